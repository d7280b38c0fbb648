"""The best terms of every topic, from the counts of one range of terms."""

from dataclasses import dataclass

from transforms.files import FileRef, join, read_table, write_table
from transforms.topics.naming.counting import CountRecord, summed
from transforms.topics.naming.describe import best_terms, c_tf_idf
from transforms.topics.naming.terms import COUNTS_SCHEMA, merge_counts
from transforms.topics.options import TopicsOptions

_HASHES = 1 << 32


@dataclass(frozen=True)
class WeighTask:
    """All counts, and which of `parts` equal ranges of hashes of terms is weighed."""

    labelling: int
    part: int
    parts: int
    counted: tuple[CountRecord, ...]
    directory: str


@dataclass(frozen=True)
class WeighRecord:
    """The candidates of one range of terms: columns of `c_tf_idf`, sorted by topic."""

    labelling: int
    part: int
    terms: FileRef


def weigh_terms(task: WeighTask, options: TopicsOptions) -> WeighRecord:
    """Add up the counts of a range of terms, weigh them, and keep what can be a topic's term. Memory: the range's counts."""
    low, high = (_HASHES * border // task.parts for border in (task.part, task.part + 1))
    counts = merge_counts(
        read_table(record.counts.path, COUNTS_SCHEMA.names, key="hash", low=low, high=high) for record in task.counted
    )
    weighted = c_tf_idf(counts, summed([record.occurrences for record in task.counted]))
    path = join(task.directory, f"terms-{task.labelling}-{task.part:05d}.parquet")
    return WeighRecord(task.labelling, task.part, write_table(path, best_terms(weighted, options.n_terms)))
