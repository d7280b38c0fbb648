"""Topics: what the corpus is about, from the neighbour graph.

In: passages, their neighbour graph and vector blocks. Out: `topics.parquet` (one row per topic: terms, title, sizes,
representative documents) and `assignments.parquet` (one row per passage of a document: topic, strength, place on the map).
Promises: the same corpus, options and seed give the same bytes; noise stays -1 beside the topic that its neighbours vote
for; empty, tiny and all-equal corpora pass, with no topic or few.
"""

from transforms.topics.cluster import Clusters, assign_noise, cluster, cluster_tree
from transforms.topics.describe import Terms, c_tf_idf, choose_terms
from transforms.topics.exact_tree import mutual_reachability_tree
from transforms.topics.graph import graph_arrays
from transforms.topics.identity import theme_uid, topic_uid
from transforms.topics.numbering import numbered_by_size
from transforms.topics.options import TopicsOptions
from transforms.topics.reduce import Layouts, lay_out, lay_out_map, reduced
from transforms.topics.representatives import centroids, representatives
from transforms.topics.stages import (
    AssignedTopics,
    AssignTopicsTask,
    CountedTerms,
    CountTermsTask,
    DescribedTopics,
    DescribeTopicsTask,
    FindTopicsTask,
    FoundTopics,
    assign_topics,
    count_part,
    describe_topics,
    find_topics,
)
from transforms.topics.tables import ASSIGNMENTS_SCHEMA, LABELS_SCHEMA, THEMES_SCHEMA, TOPICS_SCHEMA
from transforms.topics.terms import COUNTS_SCHEMA, count_terms, merge_counts
from transforms.topics.theme_stages import (
    Bundle,
    ClusteredThemes,
    ClusterThemesTask,
    DescribedThemes,
    DescribeThemesTask,
    FindThemesTask,
    FoundThemes,
    JoinedTopics,
    JoinTopicsTask,
    cluster_themes,
    describe_themes,
    find_layer,
    join_topics,
)
from transforms.topics.theme_topics import ThemeTopics, topics_of_theme
from transforms.topics.themes import community_graph, find_themes

__all__ = [
    "ASSIGNMENTS_SCHEMA",
    "COUNTS_SCHEMA",
    "LABELS_SCHEMA",
    "THEMES_SCHEMA",
    "TOPICS_SCHEMA",
    "AssignTopicsTask",
    "AssignedTopics",
    "Bundle",
    "ClusterThemesTask",
    "ClusteredThemes",
    "Clusters",
    "CountTermsTask",
    "CountedTerms",
    "DescribeThemesTask",
    "DescribeTopicsTask",
    "DescribedThemes",
    "DescribedTopics",
    "FindThemesTask",
    "FindTopicsTask",
    "FoundThemes",
    "FoundTopics",
    "JoinTopicsTask",
    "JoinedTopics",
    "Layouts",
    "Terms",
    "ThemeTopics",
    "TopicsOptions",
    "assign_noise",
    "assign_topics",
    "c_tf_idf",
    "centroids",
    "choose_terms",
    "cluster",
    "cluster_themes",
    "cluster_tree",
    "community_graph",
    "count_part",
    "count_terms",
    "describe_themes",
    "describe_topics",
    "find_layer",
    "find_themes",
    "find_topics",
    "graph_arrays",
    "join_topics",
    "lay_out",
    "lay_out_map",
    "merge_counts",
    "mutual_reachability_tree",
    "numbered_by_size",
    "reduced",
    "representatives",
    "theme_uid",
    "topic_uid",
    "topics_of_theme",
]
