"""Paraphrase mining: every pair of texts at or above a cosine, and groups of documents with the one to keep.

In: the neighbour graph, the vector blocks, passages and documents. Out: `pairs.parquet`, `groups.parquet` and `texts.parquet`
in `duplicates/`. Promises: the pairs are those that brute force finds, unless one text has more than a
stated maximum, which is counted and said of each text; every member of a group has a cosine at or above the threshold to the
kept text itself, never through a chain; a passage is in at most one group, and a document is neither in a pair with itself
nor beside itself as the kept one; equal texts are pairs of relation exact, m - 1 of them for m documents.
"""

from transforms.duplicates.grouping import group_passages, groups_from_pairs
from transforms.duplicates.groups import Cover, cover
from transforms.duplicates.keep import KeepError, check_dates, columns_of
from transforms.duplicates.margin import margins, neighborhoods, neighborhoods_of
from transforms.duplicates.mine import MineRecord, MineTask, mine_part
from transforms.duplicates.options import DuplicatesOptions
from transforms.duplicates.pairs import Dropped, Pairs, listed_pairs, pairs_by_range
from transforms.duplicates.publish import GroupRecord, GroupTask, publish_duplicates
from transforms.duplicates.relation import DIFFERENCES, described_pairs
from transforms.duplicates.tables import VERSION, groups_schema, is_current, pairs_schema, texts_schema
from transforms.duplicates.wording import Wordings, wordings_of
from transforms.duplicates.wording_files import WordingRecord, WordingTask, write_wording

__all__ = [
    "DIFFERENCES",
    "VERSION",
    "Cover",
    "Dropped",
    "DuplicatesOptions",
    "GroupRecord",
    "GroupTask",
    "KeepError",
    "MineRecord",
    "MineTask",
    "Pairs",
    "WordingRecord",
    "WordingTask",
    "Wordings",
    "check_dates",
    "columns_of",
    "cover",
    "described_pairs",
    "group_passages",
    "groups_from_pairs",
    "groups_schema",
    "is_current",
    "listed_pairs",
    "margins",
    "mine_part",
    "neighborhoods",
    "neighborhoods_of",
    "pairs_by_range",
    "pairs_schema",
    "publish_duplicates",
    "texts_schema",
    "wordings_of",
    "write_wording",
]
