"""The index: trained once, encoded in shards, merged into one FAISS file, its recall measured against exact search.

In: the run's vector blocks and documents. Out: `index/index.faiss`, `index/ids.parquet`, `index/recall.parquet` and,
for a type with lists, `index/nprobe.parquet`, `index/trained.faiss` and `index/training.json`. Promises: the merged index is
the one that a single process would build, byte for byte, and so is one that grew from an earlier index of the same training;
shards of another template are refused; merging has bounded memory; training texts and recall queries are chosen by hash; nprobe
is the smallest that reaches the recall target, stored in the file.
"""

from transforms.index.choose import FLAT, IndexTypeError, check_factory, choose_type, inverted_lists, resolve_type
from transforms.index.combine import Kept, MergeRecord, MergeTask, merge_index, merge_shards
from transforms.index.drift import drift_reasons, growth_reasons, measured_for, most_lists, same_kind, type_beside
from transforms.index.estimate import IndexEstimate, estimate_index
from transforms.index.faiss_files import (
    fingerprint_of,
    index_bytes,
    index_from_bytes,
    mapped_index,
    read_index,
    write_index,
)
from transforms.index.ids import IdCollisionError, ids_schema, write_ids
from transforms.index.interval import recall_interval, wilson_bounds
from transforms.index.layout import LayoutError, copy_with_nprobe
from transforms.index.measure import (
    ExactRecord,
    ExactTask,
    RecallRecord,
    RecallTask,
    SetRecall,
    find_exact,
    measure_recall,
    queries_digest,
    read_recall,
)
from transforms.index.nprobe import Chosen, Curve, smallest_nprobe
from transforms.index.options import IndexOptions
from transforms.index.recall import RANKS, QuerySet, RecallMeter
from transforms.index.sample import mixed, rows_of, sampled, sampled_rows
from transforms.index.shards import (
    EncodeTask,
    ShardError,
    ShardRecord,
    encode_shard,
    plan_shards,
    read_template,
)
from transforms.index.train import TrainRecord, TrainTask, train_index, trained_template
from transforms.index.training import Encoded, Spread, Training, read_training, spread_of, write_training
from transforms.index.truth import Truth, best_of, exact_top

__all__ = [
    "FLAT",
    "RANKS",
    "Chosen",
    "Curve",
    "EncodeTask",
    "Encoded",
    "ExactRecord",
    "ExactTask",
    "IdCollisionError",
    "IndexEstimate",
    "IndexOptions",
    "IndexTypeError",
    "Kept",
    "LayoutError",
    "MergeRecord",
    "MergeTask",
    "QuerySet",
    "RecallMeter",
    "RecallRecord",
    "RecallTask",
    "SetRecall",
    "ShardError",
    "ShardRecord",
    "Spread",
    "TrainRecord",
    "TrainTask",
    "Training",
    "Truth",
    "best_of",
    "check_factory",
    "choose_type",
    "copy_with_nprobe",
    "drift_reasons",
    "encode_shard",
    "estimate_index",
    "exact_top",
    "find_exact",
    "fingerprint_of",
    "growth_reasons",
    "ids_schema",
    "index_bytes",
    "index_from_bytes",
    "inverted_lists",
    "mapped_index",
    "measure_recall",
    "measured_for",
    "merge_index",
    "merge_shards",
    "mixed",
    "most_lists",
    "plan_shards",
    "queries_digest",
    "read_index",
    "read_recall",
    "read_template",
    "read_training",
    "recall_interval",
    "resolve_type",
    "rows_of",
    "same_kind",
    "sampled",
    "sampled_rows",
    "smallest_nprobe",
    "spread_of",
    "train_index",
    "trained_template",
    "type_beside",
    "wilson_bounds",
    "write_ids",
    "write_index",
    "write_training",
]
