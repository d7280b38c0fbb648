"""One set of texts against another: all pairs of a text of A with a text of B, and the nearest of B for every text of A.

A is compared tile by tile with all of B, as files in the form that a run has them in: vector blocks and distinct passages.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from transforms.corpus import IdCollisionError, ids_of
from transforms.duplicates.between import Best, pairs_between
from transforms.duplicates.options import DuplicatesOptions
from transforms.duplicates.pairs import Pairs
from transforms.duplicates.relation import EXACT, related, wording_of
from transforms.duplicates.tables import matches_schema, pairs_against_schema
from transforms.files import FileRef, Progress, join, read_table, write_batches, write_table
from transforms.neighbors import snapped_chunks
from transforms.vectors import VectorBlock

# Vectors of B in memory at a time.
_ROWS_PER_CHUNK = 65536

# Pairs described at a time, as Python objects.
_ROWS_PER_TABLE = 65536

# What a pair says of its text of B beside the pair itself.
_OF_B = ["doc_id", "passage_no", "n_documents"]
_OF_TEXT = ["content_key", "text"]

# The tables before the documents of A are named.
_TEXT_PAIRS = pa.schema([field for field in pairs_against_schema() if field.name not in ("doc_id_a", "passage_no_a")])
_NEAREST = pa.schema([field for field in matches_schema() if field.name not in ("doc_id", "passage_no")])


@dataclass(frozen=True)
class Side:
    """Texts of one set: vector blocks (unit vectors) in position order and the part of the distinct passages of each."""

    blocks: tuple[VectorBlock, ...]
    passages: tuple[FileRef, ...]

    @property
    def first_ids(self) -> np.ndarray:
        """The smallest id of each block, int64, ascending."""
        return np.array([block.ids()[0] for block in self.blocks], np.int64)


@dataclass(frozen=True)
class AgainstTask:
    """A tile of A and all of B; none of the blocks is empty."""

    part: int
    a: Side
    b: Side
    directory: str
    progress: str | None = None


@dataclass(frozen=True)
class AgainstRecord:
    """The pairs of one tile and the nearest texts of B, as files; `texts_capped` texts of A have `pairs_dropped` more pairs."""

    part: int
    pairs: FileRef
    nearest: FileRef
    texts_capped: int
    pairs_dropped: int


def compare_tile(task: AgainstTask, options: DuplicatesOptions, threads: int | None = None) -> AgainstRecord:
    """Find and describe all pairs of the tile's texts with texts of B; write them and the nearest texts.

    `threads` limits the linear algebra of this process for the call.
    """
    ((ids, queries),) = snapped_chunks(task.a.blocks, sum(block.rows for block in task.a.blocks))
    chunks = snapped_chunks(task.b.blocks, _ROWS_PER_CHUNK)
    with threadpool_limits(threads):
        pairs, best = pairs_between(ids, queries, chunks, options.threshold, options.max_pairs_per_text)
    pairs_file = write_batches(
        join(task.directory, f"pairs-{task.part:05d}.parquet"), _TEXT_PAIRS, _described(ids, pairs, task, options.near_jaccard)
    )
    nearest = write_table(join(task.directory, f"nearest-{task.part:05d}.parquet"), _nearest(ids, pairs, best, task.b))
    progress = Progress(task.progress)
    progress.add(len(ids))
    progress.flush()
    dropped = pairs.dropped
    return AgainstRecord(task.part, pairs_file, nearest, int(np.count_nonzero(dropped)), int(dropped.sum()))


def texts_of(ids: np.ndarray, side: Side) -> dict[int, str | None]:
    """The texts with these ids, int64 ascending, all of which the side has; None for one that its corpus does not keep."""
    return {key: row["text"] for key, row in _rows(ids, side, ["text"])}


def against_tables(records: Sequence[AgainstRecord], documents: Sequence[FileRef]) -> tuple[pa.Table, pa.Table]:
    """The tables of `pairs_against_schema` and `matches_schema`: every passage of A's `documents` with what its text has.

    Memory: both tables.
    """
    names = ["content_key", "doc_id", "passage_no"]
    passages = pa.concat_tables(read_table(part.path, names) for part in documents).combine_chunks()
    ids = ids_of(passages["content_key"].combine_chunks())
    passages = passages.drop_columns("content_key").append_column("id", pa.array(ids))
    pairs = pa.concat_tables(read_table(record.pairs.path) for record in records)
    nearest = pa.concat_tables(read_table(record.nearest.path) for record in records)
    by_id = passages.sort_by([(name, "ascending") for name in ("id", "doc_id", "passage_no")])
    # Each pair of texts becomes one row for each passage of A that is the text.
    own, of_pair = by_id["id"].to_numpy(), pairs["id_a"].to_numpy()
    first, after = np.searchsorted(own, of_pair, side="left"), np.searchsorted(own, of_pair, side="right")
    repeated = np.repeat(np.arange(len(of_pair)), after - first)
    place = np.arange(len(repeated)) - np.repeat(np.cumsum(after - first) - (after - first), after - first)
    of_a = by_id.take(pa.array(first[repeated] + place))
    rows = pairs.take(pa.array(repeated))
    columns = {name: rows[name] for name in rows.column_names}
    columns |= {"doc_id_a": of_a["doc_id"], "passage_no_a": of_a["passage_no"]}
    order = [("cosine", "descending"), *((f"{name}_{side}", "ascending") for side in "ab" for name in ("doc_id", "passage_no"))]
    schema = pairs_against_schema()
    pairs_table = pa.table([columns[name] for name in schema.names], schema=schema).sort_by(order)
    return pairs_table, _matches(passages, nearest)


def _matches(passages: pa.Table, nearest: pa.Table) -> pa.Table:
    known = nearest["id"].to_numpy()
    order = np.argsort(known)
    rows = order[np.searchsorted(known[order], passages["id"].to_numpy())]
    taken = nearest.drop_columns("id").take(pa.array(rows))
    columns = {name: passages[name] for name in passages.column_names} | {name: taken[name] for name in taken.column_names}
    schema = matches_schema()
    table = pa.table([columns[name] for name in schema.names], schema=schema)
    return table.sort_by([("doc_id", "ascending"), ("passage_no", "ascending")])


def _nearest(ids: np.ndarray, pairs: Pairs, best: Best, b: Side) -> pa.Table:
    """Rows of `_NEAREST` for all texts of a tile."""
    counts = np.bincount(pairs.rows, minlength=len(ids)) + pairs.dropped
    there = best.ids >= 0
    found = {int(key): row for key, row in _rows(np.unique(best.ids[there]), b, _OF_B)}
    none = dict.fromkeys(_OF_B)
    rows = [found.get(key, none) for key in best.ids.tolist()]
    columns = {
        "id": pa.array(ids),
        "pairs": pa.array(counts, pa.int64()),
        "best_doc_id": pa.array([row["doc_id"] for row in rows], pa.string()),
        "best_passage_no": pa.array([row["passage_no"] for row in rows], pa.int32()),
        "best_cosine": pa.array(np.where(there, best.cosines, np.nan), pa.float32(), from_pandas=True),
        "best_id": pa.array(best.ids, pa.int64(), mask=~there),
    }
    return pa.table([columns[name] for name in _NEAREST.names], schema=_NEAREST)


def _described(ids: np.ndarray, pairs: Pairs, task: AgainstTask, near_jaccard: float) -> Iterator[pa.Table]:
    """The pairs as rows of `_TEXT_PAIRS`, in tables of bounded size; the texts of one part of B at a time are in memory."""
    if not len(pairs.rows):
        return
    own = {key: _Text(row) for key, row in _rows(ids[np.unique(pairs.rows)], task.a, _OF_TEXT)}
    part_of_other = np.searchsorted(task.b.first_ids, pairs.others, side="right") - 1
    for part in np.unique(part_of_other):
        here = np.flatnonzero(part_of_other == part)
        others = {key: _Text(row) for key, row in _rows(np.unique(pairs.others[here]), task.b, [*_OF_TEXT, *_OF_B])}
        for low in range(0, len(here), _ROWS_PER_TABLE):
            some = here[low : low + _ROWS_PER_TABLE]
            columns = ids[pairs.rows[some]].tolist(), pairs.others[some].tolist(), pairs.cosines[some].tolist()
            rows = [_row(a, own[a], b, others[b], cosine, near_jaccard) for a, b, cosine in zip(*columns, strict=True)]
            yield pa.Table.from_pylist(rows, schema=_TEXT_PAIRS)


class _Text:
    """A row of the distinct passages, and its wording where the text is known."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.row = row
        self.wording = None if row["text"] is None else wording_of(row["text"])


def _row(id_a: int, a: _Text, id_b: int, b: _Text, cosine: float, near_jaccard: float) -> dict[str, Any]:
    """One row of `_TEXT_PAIRS`."""
    found: tuple[str, list[str], float] | tuple[None, None, None] = None, None, None
    if id_a == id_b:
        if a.row["content_key"] != b.row["content_key"]:
            raise IdCollisionError(
                f"the text of document {b.row['doc_id']!r} and another one that it is compared with have the same id {id_b}: "
                "change one of them"
            )
        found = EXACT, [], 1.0
    elif a.wording is not None and b.wording is not None:
        found = related(a.wording, b.wording, near_jaccard)
    described = dict(zip(("relation", "differences", "jaccard"), found, strict=True))
    named = {"doc_id_b": b.row["doc_id"], "passage_no_b": b.row["passage_no"], "documents_b": b.row["n_documents"]}
    return {**named, "cosine": cosine, **described, "id_a": id_a, "id_b": id_b}


def _rows(ids: np.ndarray, side: Side, columns: list[str]) -> Iterator[tuple[int, dict]]:
    """The passages rows of ascending `ids`, read from the parts that hold them."""
    parts = np.searchsorted(side.first_ids, ids, side="right") - 1
    for part in np.unique(parts):
        wanted, path = ids[parts == part], side.passages[part].path
        # The largest id has no successor in 64 bits, and no text has it: ids have 63.
        table = read_table(path, ["id", *columns], key="id", low=int(wanted[0]), high=int(wanted[-1]) + 1)
        table = table.filter(pa.array(np.isin(table["id"].to_numpy(), wanted)))
        if table.num_rows != len(wanted):
            raise ValueError(f"{path} lacks texts that have vectors: the passages and the blocks are of different runs")
        yield from zip(table["id"].to_pylist(), table.select(columns).to_pylist(), strict=True)
