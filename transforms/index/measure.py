"""The tasks that judge the merged index: exact answers, nprobe, recall, and the index as it is published."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from threadpoolctl import threadpool_limits

from transforms.files import FileRef, describe, file_ref, join, read_table, write_table
from transforms.index.faiss_files import mapped_index
from transforms.index.interval import recall_interval
from transforms.index.layout import copy_with_nprobe
from transforms.index.nprobe import smallest_nprobe
from transforms.index.options import IndexOptions
from transforms.index.recall import RANKS, QuerySet, RecallMeter, stacked
from transforms.index.truth import Truth, best_of, exact_top
from transforms.vectors import VectorBlock, load_array, save_array


@dataclass(frozen=True)
class ExactTask:
    """The queries of all sets, some of the blocks, and the folder for the answers."""

    part: int
    queries: tuple[QuerySet, ...]
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
        truth = exact_top(*stacked(task.queries), task.blocks, max(RANKS), threads)
    paths = [join(task.directory, f"exact-{name}-{task.part:05d}.npy") for name in ("ids", "scores")]
    save_array(paths[0], truth.ids)
    save_array(paths[1], truth.scores)
    return ExactRecord(task.part, file_ref(paths[0]), file_ref(paths[1]))


@dataclass(frozen=True)
class RecallTask:
    """The merged index, the queries of all sets, all blocks, and the folder that is published.

    `unit` says that all vectors have length 1, so that inner products are cosines. `asked` is the digest of the user's queries.
    """

    index: FileRef
    queries: tuple[QuerySet, ...]
    blocks: tuple[VectorBlock, ...]
    published: str
    unit: bool = True
    asked: str | None = None


@dataclass(frozen=True)
class SetRecall:
    """What was measured on one set of queries: recall at each of RANKS with the ends of its 95 % interval.

    Where there is nobody to be found, as in a corpus of one text, `queries` is 0 and recall 1.
    """

    name: str
    queries: int
    recall: tuple[float, float, float]
    low: tuple[float, float, float]
    high: tuple[float, float, float]

    @property
    def at_10(self) -> float:
        """Recall at 10, which gates and nprobe go by."""
        return self.recall[RANKS.index(10)]


@dataclass(frozen=True)
class RecallRecord:
    """The published `index.faiss` and `recall.parquet`, for an index with lists also `nprobe.parquet`, and what was measured.

    `nprobe` is 0 for an index without lists.
    """

    index: FileRef
    table: FileRef
    curve: FileRef | None
    nprobe: int
    sets: tuple[SetRecall, ...]


def measure_recall(
    task: RecallTask, exact: Sequence[ExactRecord], options: IndexOptions, threads: int | None = None
) -> RecallRecord:
    """Choose nprobe, write the index with it, the table of recall, and the curve that nprobe was chosen from.

    `exact` are the answers from all blocks. Of the index, memory holds the lists that are visited.
    """
    parts = sorted(exact, key=lambda record: record.part)
    truth = best_of([Truth(load_array(part.ids.path), load_array(part.scores.path)) for part in parts])
    meter = RecallMeter(task.queries, task.blocks, truth, unit=task.unit)
    with threadpool_limits(threads), mapped_index(task.index.path) as index:
        chosen = smallest_nprobe(index, meter, options.recall_target)
        shares = meter.shares(chosen.found)
    sets = []
    for name, of_ranks in shares.items():
        queries = len(of_ranks[0]) if meter.rank(name, 1) else 0
        low, high = zip(*(recall_interval(values[:queries]) for values in of_ranks), strict=True)
        recall = [float(values.mean()) if len(values) else 1.0 for values in of_ranks]
        sets.append(SetRecall(name, queries, *(_three(values) for values in (recall, low, high))))
    curve = None
    if chosen.curve is not None:
        curve = write_table(join(task.published, "nprobe.parquet"), chosen.curve.table(chosen.nprobe))
    return RecallRecord(
        copy_with_nprobe(task.index.path, join(task.published, "index.faiss"), chosen.nprobe),
        write_table(join(task.published, "recall.parquet"), _recall_table(sets, chosen.nprobe, task)),
        curve,
        chosen.nprobe,
        tuple(sets),
    )


def read_recall(index: FileRef, table: FileRef, curve: FileRef | None) -> RecallRecord:
    """The record of a published index, whose `recall.parquet` says what was measured."""
    rows = read_table(table.path).to_pylist()
    sets = []
    for name in dict.fromkeys(row["query_set"] for row in rows):
        own = {row["k"]: row for row in rows if row["query_set"] == name}
        three = [_three([own[k][column] for k in RANKS]) for column in ("recall", "recall_low", "recall_high")]
        sets.append(SetRecall(name, own[RANKS[0]]["queries"], *three))
    return RecallRecord(index, table, curve, rows[0]["nprobe"], tuple(sets))


def queries_digest(table: FileRef) -> str | None:
    """The digest of the user's queries that a published `recall.parquet` was measured on; None when there were none, "" when it
    does not say so, as those of earlier versions.
    """
    rows = read_table(table.path)
    if "queries_digest" not in rows.column_names:
        return ""
    digests = rows["queries_digest"].drop_null()
    return digests[0].as_py() if len(digests) else None


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    one, ten, hundred = values
    return one, ten, hundred


def _recall_table(sets: Sequence[SetRecall], nprobe: int, task: RecallTask) -> pa.Table:
    exact = "exact search" if task.unit else "exact search by inner product of the vectors as the model gives them"
    schema = pa.schema(
        [
            ("query_set", pa.string()),
            ("k", pa.int32()),
            ("recall", pa.float64()),
            ("recall_low", pa.float64()),
            ("recall_high", pa.float64()),
            ("queries", pa.int32()),
            ("nprobe", pa.int32()),
            ("queries_digest", pa.string()),
        ]
    )
    schema = describe(
        schema,
        {
            "query_set": "corpus: texts of the corpus, chosen by hash; file: index.recall_queries_file.",
            "k": "Number of results that are looked at; where a text has fewer others, all of them.",
            "recall": f"Mean share of the k nearest other texts that the published index finds, against {exact}; "
            "ties count as found.",
            "recall_low": "Lower end of the 95 % interval of recall for queries like these (Wilson's).",
            "recall_high": "Upper end of that interval.",
            "queries": "Queries that were searched for.",
            "nprobe": "Inverted lists that each search visits, stored in the index; 0 when the index has no lists.",
            "queries_digest": "Digest of the texts in index.recall_queries_file; null for the corpus's own.",
        },
    )
    rows = [
        dict(zip(schema.names, (found.name, k, recall, low, high, found.queries, nprobe, _asked(found, task)), strict=True))
        for found in sets
        for k, recall, low, high in zip(RANKS, found.recall, found.low, found.high, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=schema)


def _asked(found: SetRecall, task: RecallTask) -> str | None:
    return task.asked if found.name == "file" else None
