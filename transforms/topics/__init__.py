"""Topics: what the corpus is about, from the neighbour graph.

In: passages, their neighbour graph and vector blocks. Out: `topics.parquet` (one row per topic: terms, title, sizes,
representative and boundary documents) and `assignments.parquet` (one row per passage of a document: topic, strength, place on
the map).
Promises: the same corpus, options and seed give the same bytes; noise stays -1 beside the topic that its neighbours vote
for; empty, tiny and all-equal corpora pass, with no topic or few.
"""

from transforms.topics.assigning import PlaceRecord, PlaceTask, place_documents
from transforms.topics.atlas import atlas_rows, atlas_schema
from transforms.topics.clusters.cluster import Clusters, assign_noise, cluster, cluster_tree
from transforms.topics.clusters.equal import equal_texts, share_labels
from transforms.topics.clusters.exact_tree import mutual_reachability_tree
from transforms.topics.clusters.kmeans import kmeans
from transforms.topics.clusters.landmarks import follow_landmarks, landmark_graph
from transforms.topics.clusters.theme_topics import ThemeTopics, topics_of_theme
from transforms.topics.clusters.themes import community_graph, find_themes, lean_on
from transforms.topics.clusters.vote import Labels, vote_for_labels, without_labels
from transforms.topics.graph import graph_arrays
from transforms.topics.layout.map import lay_out_map, place_new
from transforms.topics.layout.reduce import Layouts, lay_out, reduced
from transforms.topics.lineage.clustering import Clustering, Since, read_clustering, write_clustering
from transforms.topics.lineage.events import DRIFT_SCHEMA, EVENTS_SCHEMA, PUBLISHED_FLOW_SCHEMA, jensen_shannon, size_event
from transforms.topics.lineage.flow import FlowRecord, FlowTask, count_flow
from transforms.topics.lineage.identify import Changed
from transforms.topics.lineage.matching import match_by_centroids, match_by_documents
from transforms.topics.lineage.parent import (
    BEFORE_SCHEMA,
    JoinedParent,
    JoinParentTask,
    ParentTopics,
    Remembered,
    SortedParent,
    SortParentTask,
    join_parent,
    read_before,
    sort_parent,
)
from transforms.topics.naming.counting import CountRecord, CountRecords, CountTask, Labelling, count_texts
from transforms.topics.naming.describe import Terms, alike, best_terms, c_tf_idf, choose_terms, varied_terms
from transforms.topics.naming.find_languages import LanguagesRecord, LanguagesTask, find_languages
from transforms.topics.naming.identity import TopicDigest, theme_uid, topic_uid
from transforms.topics.naming.languages import known_languages, stop_words
from transforms.topics.naming.naming import NameRecord, NameTask, name_topics
from transforms.topics.naming.representatives import (
    best_members,
    boundary_scores,
    centroids,
    gather,
    member_scores,
    varied,
    vector_sums,
)
from transforms.topics.naming.scoring import ScoreRecord, ScoreTask, score_texts
from transforms.topics.naming.terms import COUNTS_SCHEMA, count_terms, merge_counts
from transforms.topics.naming.user_labels import LabelRecord, LabelTask, label_topics, read_user_labels
from transforms.topics.naming.weighing import WeighRecord, WeighTask, weigh_terms
from transforms.topics.new_texts import AssignRecord, AssignTask, assign_texts, lonely_cosine, new_assignments
from transforms.topics.options import TopicsOptions
from transforms.topics.publish import ContinuedRecord, ContinueTask, PublishTask, TopicsRecord, continue_topics, publish_topics
from transforms.topics.stages import FindTopicsTask, FoundTopics, find_topics
from transforms.topics.steps import (
    RunStep,
    Step,
    continue_parent,
    describe_topics,
    find_inside_themes,
    remember_parent,
)
from transforms.topics.tables import (
    ASSIGNMENTS_SCHEMA,
    CENTROIDS_SCHEMA,
    LABELS_SCHEMA,
    NEW_ASSIGNMENTS_SCHEMA,
    THEMES_SCHEMA,
    TOPICS_SCHEMA,
    VALUES_SCHEMA,
)
from transforms.topics.tabulating import TabulateRecord, TabulateTask, published_values, tabulate
from transforms.topics.theme_stages import (
    Bundle,
    ClusteredThemes,
    ClusterThemesTask,
    FindThemesTask,
    FoundThemes,
    JoinTopicsTask,
    cluster_themes,
    find_layer,
    join_topics,
)
from transforms.topics.values import Counted, check_values, texts_of

__all__ = [
    "ASSIGNMENTS_SCHEMA",
    "BEFORE_SCHEMA",
    "CENTROIDS_SCHEMA",
    "COUNTS_SCHEMA",
    "DRIFT_SCHEMA",
    "EVENTS_SCHEMA",
    "LABELS_SCHEMA",
    "NEW_ASSIGNMENTS_SCHEMA",
    "PUBLISHED_FLOW_SCHEMA",
    "THEMES_SCHEMA",
    "TOPICS_SCHEMA",
    "VALUES_SCHEMA",
    "AssignRecord",
    "AssignTask",
    "Bundle",
    "Changed",
    "ClusterThemesTask",
    "ClusteredThemes",
    "Clustering",
    "Clusters",
    "ContinueTask",
    "ContinuedRecord",
    "CountRecord",
    "CountRecords",
    "CountTask",
    "Counted",
    "FindThemesTask",
    "FindTopicsTask",
    "FlowRecord",
    "FlowTask",
    "FoundThemes",
    "FoundTopics",
    "JoinParentTask",
    "JoinTopicsTask",
    "JoinedParent",
    "LabelRecord",
    "LabelTask",
    "Labelling",
    "Labels",
    "LanguagesRecord",
    "LanguagesTask",
    "Layouts",
    "NameRecord",
    "NameTask",
    "ParentTopics",
    "PlaceRecord",
    "PlaceTask",
    "PublishTask",
    "Remembered",
    "RunStep",
    "ScoreRecord",
    "ScoreTask",
    "Since",
    "SortParentTask",
    "SortedParent",
    "Step",
    "TabulateRecord",
    "TabulateTask",
    "Terms",
    "ThemeTopics",
    "TopicDigest",
    "TopicsOptions",
    "TopicsRecord",
    "WeighRecord",
    "WeighTask",
    "alike",
    "assign_noise",
    "assign_texts",
    "atlas_rows",
    "atlas_schema",
    "best_members",
    "best_terms",
    "boundary_scores",
    "c_tf_idf",
    "centroids",
    "check_values",
    "choose_terms",
    "cluster",
    "cluster_themes",
    "cluster_tree",
    "community_graph",
    "continue_parent",
    "continue_topics",
    "count_flow",
    "count_terms",
    "count_texts",
    "describe_topics",
    "equal_texts",
    "find_inside_themes",
    "find_languages",
    "find_layer",
    "find_themes",
    "find_topics",
    "follow_landmarks",
    "gather",
    "graph_arrays",
    "jensen_shannon",
    "join_parent",
    "join_topics",
    "kmeans",
    "known_languages",
    "label_topics",
    "landmark_graph",
    "lay_out",
    "lay_out_map",
    "lean_on",
    "lonely_cosine",
    "match_by_centroids",
    "match_by_documents",
    "member_scores",
    "merge_counts",
    "mutual_reachability_tree",
    "name_topics",
    "new_assignments",
    "place_documents",
    "place_new",
    "publish_topics",
    "published_values",
    "read_before",
    "read_clustering",
    "read_user_labels",
    "reduced",
    "remember_parent",
    "score_texts",
    "share_labels",
    "size_event",
    "sort_parent",
    "stop_words",
    "tabulate",
    "texts_of",
    "theme_uid",
    "topic_uid",
    "topics_of_theme",
    "varied",
    "varied_terms",
    "vector_sums",
    "vote_for_labels",
    "weigh_terms",
    "without_labels",
    "write_clustering",
]
