"""The tasks that end in the published index: exact answers, recall."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from transforms.files import FileRef, describe, file_ref, join, read_table, write_table
from transforms.index.faiss_files import read_index, write_index
from transforms.index.options import IndexOptions
from transforms.index.recall import RANKS, RecallMeter, Truth, best_of, exact_top, smallest_nprobe
from transforms.vectors import VectorBlock, load_array, save_array


@dataclass(frozen=True)
class ExactTask:
    """The queries, some of the blocks, and the folder for the answers."""

    part: int
    queries: VectorBlock
    blocks: tuple[VectorBlock, ...]
    directory: str


@dataclass(frozen=True)
class ExactRecord:
    """The nearest others of the queries among one task's blocks: ids and scores as `.npy`."""

    part: int
    ids: FileRef
    scores: FileRef


def find_exact(task: ExactTask, threads: int | None = None) -> ExactRecord:
    """Answer the queries exactly from some of the blocks."""
    with threadpool_limits(threads):
        truth = exact_top(task.queries, task.blocks, max(RANKS))
    paths = [join(task.directory, f"exact-{name}-{task.part:05d}.npy") for name in ("ids", "scores")]
    save_array(paths[0], truth.ids)
    save_array(paths[1], truth.scores)
    return ExactRecord(task.part, file_ref(paths[0]), file_ref(paths[1]))


@dataclass(frozen=True)
class RecallTask:
    """The merged index, the queries with their exact answers from all blocks, and the folder that is published.

    `unit` says that all vectors have length 1, so that inner products are cosines.
    """

    index: FileRef
    queries: VectorBlock
    exact: tuple[ExactRecord, ...]
    blocks: tuple[VectorBlock, ...]
    published: str
    unit: bool = True


@dataclass(frozen=True)
class RecallRecord:
    """The published `index.faiss` and `recall.parquet`, and what was measured.

    `nprobe` is 0 for an index without lists. In a corpus of one text there is nobody to find: `queries` is 0, recall 1.
    """

    index: FileRef
    table: FileRef
    nprobe: int
    queries: int
    recall_at_1: float
    recall_at_10: float
    recall_at_100: float
    passed: bool


def measure_recall(task: RecallTask, options: IndexOptions, threads: int | None = None) -> RecallRecord:
    """Choose nprobe, write the index with it, and write the table of recall.

    `passed` of the record says whether recall at 10 reaches the gate; the files are written in either case.
    """
    index = read_index(task.index.path)
    truth = best_of([Truth(load_array(part.ids.path), load_array(part.scores.path)) for part in task.exact])
    meter = RecallMeter(task.queries, task.blocks, truth, unit=task.unit)
    with threadpool_limits(threads):
        nprobe = smallest_nprobe(index, meter, options.recall_target)
        recalls = meter.measure(index, meter.ranks())
    queries = task.queries.rows if index.ntotal > 1 else 0
    return RecallRecord(
        write_index(index, join(task.published, "index.faiss")),
        write_table(join(task.published, "recall.parquet"), _recall_table(recalls, queries, nprobe, task.unit)),
        nprobe,
        queries,
        recalls[0],
        recalls[1],
        recalls[2],
        recalls[1] >= options.recall_gate,
    )


def read_recall(index: FileRef, table: FileRef, options: IndexOptions) -> RecallRecord:
    """The record of a published index, whose `recall.parquet` says what was measured, judged by the gate of `options`."""
    columns = read_table(table.path).to_pydict()
    recalls = dict(zip(columns["k"], columns["recall"], strict=True))
    one, ten, hundred = (recalls[k] for k in RANKS)
    passed = ten >= options.recall_gate
    return RecallRecord(index, table, columns["nprobe"][0], columns["queries"][0], one, ten, hundred, passed)


def _recall_table(recalls: Sequence[float], queries: int, nprobe: int, unit: bool) -> pa.Table:
    exact = "exact search" if unit else "exact search by inner product of the vectors as the model gives them"
    schema = pa.schema([("k", pa.int32()), ("recall", pa.float64()), ("queries", pa.int32()), ("nprobe", pa.int32())])
    schema = describe(
        schema,
        {
            "k": "Number of results that are looked at; where a text has fewer others, all of them.",
            "recall": f"Mean share of the k nearest other texts that the published index finds, against {exact}; "
            "ties count as found.",
            "queries": "Texts of the corpus, chosen by hash, that were searched for.",
            "nprobe": "Inverted lists that each search visits, stored in the index; 0 when the index has no lists.",
        },
    )
    count = len(RANKS)
    columns = [np.array(RANKS), np.array(recalls), np.full(count, queries), np.full(count, nprobe)]
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
