"""Topics: what the corpus is about, from the neighbour graph.

In: passages, their neighbour graph and vector blocks. Out: `topics.parquet` (one row per topic: terms, title, sizes,
representative documents) and `assignments.parquet` (one row per passage of a document: topic, strength, place on the map).
Promises: the same corpus, options and seed give the same bytes; noise stays -1 beside the topic that its neighbours vote
for; empty, tiny and all-equal corpora pass, with no topic or few.
"""

from transforms.topics.assigning import PlaceRecord, PlaceTask, place_documents
from transforms.topics.cluster import Clusters, assign_noise, cluster
from transforms.topics.counting import CountRecord, CountTask, count_texts
from transforms.topics.describe import Terms, best_terms, c_tf_idf, choose_terms
from transforms.topics.graph import graph_arrays
from transforms.topics.identity import TopicDigest, topic_uid
from transforms.topics.naming import NameRecord, NameTask, name_topics
from transforms.topics.options import TopicsOptions
from transforms.topics.plan import count_ranges, cut_parts, cut_topics
from transforms.topics.publish import PublishTask, TopicsRecord, publish_topics
from transforms.topics.reduce import Layouts, lay_out
from transforms.topics.representatives import best_members, centroids, gather, member_scores, varied, vector_sums
from transforms.topics.scoring import ScoreRecord, ScoreTask, score_texts
from transforms.topics.stages import FindTopicsTask, FoundTopics, find_topics
from transforms.topics.steps import RunStep, Step, describe_topics
from transforms.topics.tables import ASSIGNMENTS_SCHEMA, LABELS_SCHEMA, TOPICS_SCHEMA
from transforms.topics.terms import COUNTS_SCHEMA, count_terms, merge_counts
from transforms.topics.weighing import WeighRecord, WeighTask, weigh_terms

__all__ = [
    "ASSIGNMENTS_SCHEMA",
    "COUNTS_SCHEMA",
    "LABELS_SCHEMA",
    "TOPICS_SCHEMA",
    "Clusters",
    "CountRecord",
    "CountTask",
    "FindTopicsTask",
    "FoundTopics",
    "Layouts",
    "NameRecord",
    "NameTask",
    "PlaceRecord",
    "PlaceTask",
    "PublishTask",
    "RunStep",
    "ScoreRecord",
    "ScoreTask",
    "Step",
    "Terms",
    "TopicDigest",
    "TopicsOptions",
    "TopicsRecord",
    "WeighRecord",
    "WeighTask",
    "assign_noise",
    "best_members",
    "best_terms",
    "c_tf_idf",
    "centroids",
    "choose_terms",
    "cluster",
    "count_ranges",
    "count_terms",
    "count_texts",
    "cut_parts",
    "cut_topics",
    "describe_topics",
    "find_topics",
    "gather",
    "graph_arrays",
    "lay_out",
    "member_scores",
    "merge_counts",
    "name_topics",
    "place_documents",
    "publish_topics",
    "score_texts",
    "topic_uid",
    "varied",
    "vector_sums",
    "weigh_terms",
]
