"""Paraphrase mining: every pair of texts at or above a cosine, and groups of documents with the one to keep.

In: the neighbour graph, the vector blocks, passages and documents. Out: `duplicates/pairs.parquet` and
`duplicates/groups.parquet`. Promises: the pairs are those that brute force finds, unless one text has more than a
stated maximum, which is counted; every member of a group has a cosine at or above the threshold to the kept text
itself, never through a chain; a passage is in at most one group, and a document is neither in a pair with itself nor
beside itself as the kept one; equal texts are pairs of relation exact, m - 1 of them for m documents.
"""

from transforms.duplicates.grouping import group_passages, groups_from_pairs
from transforms.duplicates.groups import Cover, cover
from transforms.duplicates.keep import KeepError, columns_of
from transforms.duplicates.mine import MineRecord, MineTask, mine_part
from transforms.duplicates.options import DuplicatesOptions
from transforms.duplicates.pairs import Pairs, listed_pairs, pairs_by_range, unfinished_rows
from transforms.duplicates.publish import GroupRecord, GroupTask, publish_duplicates
from transforms.duplicates.relation import Wording, differences, jaccard, wording_of
from transforms.duplicates.tables import groups_schema, pairs_schema

__all__ = [
    "Cover",
    "DuplicatesOptions",
    "GroupRecord",
    "GroupTask",
    "KeepError",
    "MineRecord",
    "MineTask",
    "Pairs",
    "Wording",
    "columns_of",
    "cover",
    "differences",
    "group_passages",
    "groups_from_pairs",
    "groups_schema",
    "jaccard",
    "listed_pairs",
    "mine_part",
    "pairs_by_range",
    "pairs_schema",
    "publish_duplicates",
    "unfinished_rows",
    "wording_of",
]
