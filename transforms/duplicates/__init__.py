"""Paraphrase mining: every pair of texts at or above a cosine, and groups of documents with the one to keep.

In: the neighbour graph, the vector blocks, passages and documents. Out: `duplicates/pairs.parquet` and
`duplicates/groups.parquet`. Promises: the pairs are those that brute force finds, unless one text has more than a
stated maximum, which is counted; every member of a group has a cosine at or above the threshold to the kept text
itself, never through a chain; a passage is in at most one group, and a document is neither in a pair with itself nor
beside itself as the kept one; equal texts are pairs of relation exact, m - 1 of them for m documents.
"""

from transforms.duplicates.against import AgainstRecord, AgainstTask, Side, against_tables, compare_tile, texts_of
from transforms.duplicates.between import Best, pairs_between
from transforms.duplicates.calibrate import Curve, curve_of, curve_table, wilson_interval
from transforms.duplicates.groups import Cover, cover
from transforms.duplicates.labels import LabelledPairs, read_labels
from transforms.duplicates.mine import MineRecord, MineTask, mine_part
from transforms.duplicates.options import DuplicatesOptions
from transforms.duplicates.pairs import Pairs, listed_pairs, pairs_by_range, unfinished_rows
from transforms.duplicates.publish import GroupRecord, GroupTask, publish_duplicates
from transforms.duplicates.relation import Wording, differences, jaccard, wording_of
from transforms.duplicates.tables import groups_schema, matches_schema, pairs_against_schema, pairs_schema

__all__ = [
    "AgainstRecord",
    "AgainstTask",
    "Best",
    "Cover",
    "Curve",
    "DuplicatesOptions",
    "GroupRecord",
    "GroupTask",
    "LabelledPairs",
    "MineRecord",
    "MineTask",
    "Pairs",
    "Side",
    "Wording",
    "against_tables",
    "compare_tile",
    "cover",
    "curve_of",
    "curve_table",
    "differences",
    "groups_schema",
    "jaccard",
    "listed_pairs",
    "matches_schema",
    "mine_part",
    "pairs_against_schema",
    "pairs_between",
    "pairs_by_range",
    "pairs_schema",
    "publish_duplicates",
    "read_labels",
    "texts_of",
    "unfinished_rows",
    "wilson_interval",
    "wording_of",
]
