"""What is summed up over the texts of a topic or a theme: its terms, and its vectors."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.files import FileRef, file_ref, join, read_table, write_table
from transforms.topics.naming.languages import ENGLISH
from transforms.topics.naming.representatives import vector_sums
from transforms.topics.naming.terms import COUNTS_SCHEMA, count_terms_of_each, merge_counts
from transforms.topics.options import TopicsOptions
from transforms.vectors import VectorBlock, load_array, save_array

# Work, not published: counts sorted by the hash of their terms, so that a range of terms is a range of rows.
HASHED_SCHEMA = COUNTS_SCHEMA.insert(0, pa.field("hash", pa.int64()))


@dataclass(frozen=True)
class Labelling:
    """Labels of all texts, and how many topics these have. For the themes of a layer they are called topics all the same."""

    labels: FileRef
    topics: int


@dataclass(frozen=True)
class CountTask:
    """Consecutive parts of the passages with their blocks, all labellings, and the languages that the texts are in."""

    part: int
    passages: tuple[FileRef, ...]
    blocks: tuple[VectorBlock, ...]
    labellings: tuple[Labelling, ...]
    directory: str
    languages: tuple[str, ...] = (ENGLISH,)


@dataclass(frozen=True)
class CountRecord:
    """The sums of one task for one labelling: `counts` in HASHED_SCHEMA, `occurrences` int64 (topics + 1,) of all terms in each
    topic, noise first, and `vectors` float64 (topics, dim), the last two as `.npy`.
    """

    counts: FileRef
    occurrences: FileRef
    vectors: FileRef


@dataclass(frozen=True)
class CountRecords:
    """The sums of one task for each labelling."""

    part: int
    of_labellings: tuple[CountRecord, ...]


def count_texts(task: CountTask, options: TopicsOptions) -> CountRecords:
    """Sum up over some texts. Each distinct text counts once: a mail-merge must not name a topic.

    Memory: one part of the texts, the words of some of them, the counts of all, and one block of vectors. Raises ValueError for
    labels of other texts.
    """
    tables: list[list[pa.Table]] = [[] for _ in task.labellings]
    vectors = [np.zeros((labelling.topics, task.blocks[0].dim)) for labelling in task.labellings]
    for passages, block in zip(task.passages, task.blocks, strict=True):
        texts = read_table(passages.path, ["id", "text"])
        ids = texts["id"].to_numpy()
        labels = [read_labels(one.labels, passages, ids, ["topic_id"])["topic_id"].to_numpy() for one in task.labellings]
        counted = count_terms_of_each(texts["text"].to_pylist(), labels, options.ngram_max, task.languages)
        for number, (labelling, topic_id) in enumerate(zip(task.labellings, labels, strict=True)):
            tables[number].append(counted[number])
            vectors[number] += vector_sums(topic_id, labelling.topics, block.vectors())
    records = [
        _written(f"{task.part:05d}-{number}", task.directory, labelling, tables[number], vectors[number])
        for number, labelling in enumerate(task.labellings)
    ]
    return CountRecords(task.part, tuple(records))


def _written(name: str, directory: str, labelling: Labelling, tables: list[pa.Table], vectors: np.ndarray) -> CountRecord:
    counts = merge_counts(tables)
    occurrences = np.bincount(
        counts["topic_id"].to_numpy() + 1, counts["occurrences"].to_numpy().astype(np.float64), minlength=labelling.topics + 1
    ).astype(np.int64)
    sums = [join(directory, f"{kind}-{name}.npy") for kind in ("occurrences", "vectors")]
    for path, array in zip(sums, (occurrences, vectors), strict=True):
        save_array(path, array)
    table = write_table(join(directory, f"counts-{name}.parquet"), _hashed(counts))
    return CountRecord(table, file_ref(sums[0]), file_ref(sums[1]))


def read_labels(labels: FileRef, passages: FileRef, ids: np.ndarray, columns: list[str]) -> pa.Table:
    """Columns of the labels of a part's texts, whose `ids` ascend. Raises ValueError for labels of other texts."""
    low, high = (int(ids[0]), int(ids[-1]) + 1) if len(ids) else (0, 0)
    table = read_table(labels.path, ["id", *columns], key="id", low=low, high=high)
    if not np.array_equal(table["id"].to_numpy(), ids):
        raise ValueError(f"{labels.path} does not label the texts of {passages.path}")
    return table.select(columns)


def summed(files: Sequence[FileRef]) -> np.ndarray:
    """The sum of arrays of one shape, in the order given, at least one; one of them is in memory beside it."""
    total = np.array(load_array(files[0].path))
    for file in files[1:]:
        total += load_array(file.path)
    return total


def _hashed(counts: pa.Table) -> pa.Table:
    hashes = np.fromiter((zlib.crc32(term.encode()) for term in counts["term"].to_pylist()), np.int64, counts.num_rows)
    table = counts.add_column(0, HASHED_SCHEMA.field("hash"), pa.array(hashes))
    return table.sort_by([(name, "ascending") for name in ("hash", "term", "topic_id")])
