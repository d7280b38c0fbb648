"""Paraphrase mining: every pair of texts at or above a cosine, and groups of documents with the one to keep.

In: the neighbour graph, the vector blocks, passages and documents. Out: `pairs.parquet`, `groups.parquet` and `texts.parquet`
in `duplicates/`. Promises: the pairs are those that brute force finds, unless one text has more than a
stated maximum, which is counted and said of each text; every member of a group has a cosine at or above the threshold to the
kept text itself, never through a chain; a passage is in at most one group, and a document is neither in a pair with itself
nor beside itself as the kept one; equal texts are pairs of relation exact, m - 1 of them for m documents.
"""

from transforms.duplicates.against import (
    AgainstRecord,
    AgainstTask,
    AroundRecord,
    AroundTask,
    Side,
    against_tables,
    compare_tile,
    measure_around,
    texts_of,
)
from transforms.duplicates.calibrate import Curve, curve_of, curve_table
from transforms.duplicates.grouping import groups_from_pairs
from transforms.duplicates.keep import KeepError, check_dates, columns_of
from transforms.duplicates.labels import LabelledPairs, has_scores, read_labels, read_scores
from transforms.duplicates.mine import MineRecord, MineTask, find_pairs, mine_part, mine_parts
from transforms.duplicates.options import DuplicatesOptions
from transforms.duplicates.publish import APPROXIMATE, CAPPED, GroupRecord, GroupTask, publish_duplicates
from transforms.duplicates.raise_threshold import Raised, raise_threshold
from transforms.duplicates.relation import DIFFERENCES
from transforms.duplicates.tables import (
    VERSION,
    groups_schema,
    is_current,
    matches_schema,
    pairs_against_schema,
    pairs_schema,
    texts_schema,
)
from transforms.duplicates.wording import Wordings, wordings_of
from transforms.duplicates.wording_files import WordingRecord, WordingTask, write_wording, write_wording_parts

__all__ = [
    "APPROXIMATE",
    "CAPPED",
    "DIFFERENCES",
    "VERSION",
    "AgainstRecord",
    "AgainstTask",
    "AroundRecord",
    "AroundTask",
    "Curve",
    "DuplicatesOptions",
    "GroupRecord",
    "GroupTask",
    "KeepError",
    "LabelledPairs",
    "MineRecord",
    "MineTask",
    "Raised",
    "Side",
    "WordingRecord",
    "WordingTask",
    "Wordings",
    "against_tables",
    "check_dates",
    "columns_of",
    "compare_tile",
    "curve_of",
    "curve_table",
    "find_pairs",
    "groups_from_pairs",
    "groups_schema",
    "has_scores",
    "is_current",
    "matches_schema",
    "measure_around",
    "mine_part",
    "mine_parts",
    "pairs_against_schema",
    "pairs_schema",
    "publish_duplicates",
    "raise_threshold",
    "read_labels",
    "read_scores",
    "texts_of",
    "texts_schema",
    "wordings_of",
    "write_wording",
    "write_wording_parts",
]
