"""One set of texts against another: all pairs of a text of A with a text of B, and the nearest of B for every text of A.

A is compared tile by tile with all of B, then the texts of B that are in a pair with all of A, for the margins. Both sets are
files in the form that a run has them in: vector blocks and distinct passages.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from threadpoolctl import threadpool_limits

from transforms.corpus import IdCollisionError, ids_of
from transforms.duplicates.between import pairs_between
from transforms.duplicates.margin import margins, neighborhoods
from transforms.duplicates.options import DuplicatesOptions
from transforms.duplicates.pairs import Pairs
from transforms.duplicates.places import ascending, places_of
from transforms.duplicates.relation import EXACT, described_pairs
from transforms.duplicates.tables import matches_schema, pairs_against_schema
from transforms.duplicates.wording import concatenated_wordings, wordings_of
from transforms.files import FileRef, Progress, join, read_table, write_batches, write_table
from transforms.neighbors import Nearest, nearest_others, snapped_chunks
from transforms.vectors import VectorBlock

# Vectors of the other set in memory at a time.
_ROWS_PER_CHUNK = 65536

# Pairs described at a time.
_ROWS_PER_TABLE = 65536

# What is said of a text of B beside its id.
_OF_B = ["doc_id", "passage_no", "n_documents"]

# The tables before the documents of A are named, and before the texts around those of B are known.
_TEXT_PAIRS = pa.schema([field for field in pairs_against_schema() if field.name not in ("doc_id_a", "passage_no_a", "margin")])
_NEAREST = pa.schema(
    [*(field for field in matches_schema() if field.name not in ("doc_id", "passage_no")), pa.field("around", pa.float64())]
)
_AROUND = pa.schema([("id", pa.int64()), ("around", pa.float64())])


@dataclass(frozen=True)
class Side:
    """Texts of one set: vector blocks (unit vectors) in position order, none empty, and the passages part of each."""

    blocks: tuple[VectorBlock, ...]
    passages: tuple[FileRef, ...]

    @property
    def rows(self) -> int:
        """How many texts there are."""
        return sum(block.rows for block in self.blocks)

    @property
    def first_ids(self) -> np.ndarray:
        """The smallest id of each block, int64, ascending."""
        return np.array([block.ids()[0] for block in self.blocks], np.int64)

    def chunks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Ids and snapped vectors, some at a time."""
        return snapped_chunks(self.blocks, _ROWS_PER_CHUNK)

    def whole(self) -> tuple[np.ndarray, np.ndarray]:
        """All ids and snapped vectors, of a side that is a tile."""
        ((ids, vectors),) = snapped_chunks(self.blocks, self.rows)
        return ids, vectors

    def passages_of(self, ids: np.ndarray, columns: list[str]) -> pa.Table:
        """The `columns` of the passages rows of ascending `ids` (n,): n rows in their order."""
        tables = [pa.table({name: [] for name in columns})] if not len(ids) else []
        parts = np.searchsorted(self.first_ids, ids, side="right") - 1
        for part in np.unique(parts).tolist():
            wanted, path = ids[parts == part], self.passages[part].path
            # The largest 64-bit integer has no successor, and is no id: they have 63 bits.
            table = read_table(path, ["id", *columns], key="id", low=int(wanted[0]), high=int(wanted[-1]) + 1)
            table = table.filter(pa.array(places_of(table["id"].to_numpy(), wanted) >= 0))
            if table.num_rows != len(wanted):
                raise ValueError(f"{path} lacks texts that have vectors: the passages and the blocks are of different runs")
            tables.append(table.select(columns))
        return pa.concat_tables(tables).combine_chunks()


@dataclass(frozen=True)
class AgainstTask:
    """A tile of A and all of B."""

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


@dataclass(frozen=True)
class AroundTask:
    """A tile of B, all of A, and the pairs of both."""

    part: int
    b: Side
    a: Side
    pairs: tuple[FileRef, ...]
    directory: str


@dataclass(frozen=True)
class AroundRecord:
    """How near the texts of A around those texts of one tile of B are that are in a pair."""

    part: int
    around: FileRef


def compare_tile(task: AgainstTask, options: DuplicatesOptions, k: int, threads: int | None = None) -> AgainstRecord:
    """Find and describe all pairs of the tile's texts with texts of B; write them, and the nearest texts.

    A text's neighbourhood are its `k` nearest in B. `threads` limits the linear algebra of this process for the call.
    """
    ids, queries = task.a.whole()
    same = np.flatnonzero(_there(ids, task.b))
    with threadpool_limits(threads):
        nearest = nearest_others(ids, queries, task.b.chunks(), min(k, task.b.rows))
        cap = options.max_pairs_per_text
        pairs = pairs_between(ids, queries, nearest, same, task.b.chunks, options.threshold, cap)
    tables = _described(ids, pairs, task, options.near_jaccard)
    pairs_file = write_batches(join(task.directory, f"pairs-{task.part:05d}.parquet"), _TEXT_PAIRS, tables)
    nearest_file = write_table(
        join(task.directory, f"nearest-{task.part:05d}.parquet"),
        _nearest(ids, pairs, nearest, same, task.b, neighborhoods(nearest.cosines, options.threshold)),
    )
    progress = Progress(task.progress)
    progress.add(len(ids))
    progress.flush()
    dropped = pairs.dropped
    return AgainstRecord(task.part, pairs_file, nearest_file, int(np.count_nonzero(dropped)), int(dropped.sum()))


def measure_around(task: AroundTask, options: DuplicatesOptions, k: int, threads: int | None = None) -> AroundRecord:
    """Search A for the `k` nearest of those texts of a tile of B that are in a pair, and write their neighbourhoods."""
    ids, vectors = task.b.whole()
    paired = ascending(np.concatenate([read_table(file.path, ["id_b"])["id_b"].to_numpy() for file in task.pairs]))
    rows = np.flatnonzero(places_of(ids, paired) >= 0)
    with threadpool_limits(threads):
        nearest = nearest_others(ids[rows], vectors[rows], task.a.chunks(), min(k, task.a.rows))
    columns = [pa.array(ids[rows]), pa.array(neighborhoods(nearest.cosines, options.threshold))]
    path = join(task.directory, f"around-{task.part:05d}.parquet")
    return AroundRecord(task.part, write_table(path, pa.table(columns, schema=_AROUND)))


def texts_of(ids: np.ndarray, side: Side) -> dict[int, str | None]:
    """The texts with these ids, int64 ascending, all of which the side has; None for one that its corpus does not keep."""
    return dict(zip(ids.tolist(), side.passages_of(ids, ["text"])["text"].to_pylist(), strict=True))


def against_tables(
    records: Sequence[AgainstRecord], around: Sequence[AroundRecord], documents: Sequence[FileRef]
) -> tuple[pa.Table, pa.Table]:
    """The tables of `pairs_against_schema` and `matches_schema`: every passage of A's `documents` with what its text has.

    Memory: both tables.
    """
    names = ["content_key", "doc_id", "passage_no"]
    passages = pa.concat_tables(read_table(part.path, names) for part in documents).combine_chunks()
    ids = ids_of(passages["content_key"].combine_chunks())
    passages = passages.drop_columns("content_key").append_column("id", pa.array(ids))
    nearest = pa.concat_tables(read_table(record.nearest.path) for record in records).sort_by("id").combine_chunks()
    pairs = pa.concat_tables(read_table(record.pairs.path) for record in records)
    pairs = pairs.append_column("margin", _margins(pairs, nearest, around))
    # Each pair of texts becomes one row for each passage of A that is the text.
    by_id = passages.sort_by("id").combine_chunks()
    own, of_pair = by_id["id"].to_numpy(), pairs["id_a"].to_numpy()
    first, after = np.searchsorted(own, of_pair, side="left"), np.searchsorted(own, of_pair, side="right")
    counts = after - first
    pair = np.repeat(np.arange(len(of_pair)), counts)
    place = np.arange(len(pair)) - np.repeat(np.cumsum(counts) - counts, counts)
    of_a, rows = by_id.take(pa.array(first[pair] + place)), pairs.take(pa.array(pair))
    columns = {name: rows[name] for name in rows.column_names}
    columns |= {"doc_id_a": of_a["doc_id"], "passage_no_a": of_a["passage_no"]}
    order = [("cosine", "descending"), *((f"{name}_{side}", "ascending") for side in "ab" for name in ("doc_id", "passage_no"))]
    schema = pairs_against_schema()
    return pa.table([columns[name] for name in schema.names], schema=schema).sort_by(order), _matches(passages, nearest)


def _margins(pairs: pa.Table, nearest: pa.Table, around: Sequence[AroundRecord]) -> pa.Array:
    of_b = pa.concat_tables([_AROUND.empty_table(), *(read_table(record.around.path) for record in around)]).sort_by("id")
    sides = []
    for name, table in (("id_a", nearest), ("id_b", of_b)):
        places = places_of(pairs[name].to_numpy(), table["id"].to_numpy())
        sides.append(table["around"].to_numpy()[places])
    return pa.array(margins(pairs["cosine"].to_numpy(), *sides), from_pandas=True)


def _matches(passages: pa.Table, nearest: pa.Table) -> pa.Table:
    rows = places_of(passages["id"].to_numpy(), nearest["id"].to_numpy())
    taken = nearest.drop_columns("id").take(pa.array(rows))
    columns = {name: passages[name] for name in passages.column_names} | {name: taken[name] for name in taken.column_names}
    schema = matches_schema()
    table = pa.table([columns[name] for name in schema.names], schema=schema)
    return table.sort_by([("doc_id", "ascending"), ("passage_no", "ascending")])


def _there(ids: np.ndarray, side: Side) -> np.ndarray:
    """Which of the ids, ascending, a side has: bool (ids,)."""
    found = np.zeros(len(ids), bool)
    for block in side.blocks:
        found |= places_of(ids, block.ids()) >= 0
    return found


def _nearest(ids: np.ndarray, pairs: Pairs, nearest: Nearest, same: np.ndarray, b: Side, around: np.ndarray) -> pa.Table:
    """Rows of `_NEAREST` for all texts of a tile: with the text itself where B has it."""
    best, cosines = np.full(len(ids), -1, np.int64), np.full(len(ids), np.nan, np.float32)
    if nearest.ids.shape[1]:
        taken = nearest.ids[:, 0] >= 0
        best[taken], cosines[taken] = nearest.ids[taken, 0], nearest.cosines[taken, 0]
    best[same], cosines[same] = ids[same], 1
    there = best >= 0
    of_b = ascending(best[there])
    rows = b.passages_of(of_b, _OF_B).take(pa.array(places_of(best, of_b), mask=~there))
    columns = {
        "id": pa.array(ids),
        "pairs": pa.array(np.bincount(pairs.rows, minlength=len(ids)) + pairs.dropped),
        "best_doc_id": rows["doc_id"],
        "best_passage_no": rows["passage_no"],
        "best_cosine": pa.array(cosines, from_pandas=True),
        "best_id": pa.array(best, mask=~there),
        "around": pa.array(around),
    }
    return pa.table([columns[name] for name in _NEAREST.names], schema=_NEAREST)


def _described(ids: np.ndarray, pairs: Pairs, task: AgainstTask, near_jaccard: float) -> Iterator[pa.Table]:
    """The pairs as rows of `_TEXT_PAIRS`, in tables of bounded size; the texts of one part of B at a time are in memory."""
    if not len(pairs.rows):
        return
    ids_a = ids[ascending(pairs.rows)]
    texts_a = task.a.passages_of(ids_a, ["content_key", "text"])
    words_a = wordings_of(texts_a["text"].to_pylist())
    part_of_other = np.searchsorted(task.b.first_ids, pairs.others, side="right") - 1
    for part in np.unique(part_of_other).tolist():
        here = np.flatnonzero(part_of_other == part)
        ids_b = ascending(pairs.others[here])
        texts_b = task.b.passages_of(ids_b, ["content_key", "text", *_OF_B])
        _check_same(ids_a, texts_a, ids_b, texts_b)
        known = not texts_b["text"].null_count
        wordings = concatenated_wordings([words_a, wordings_of(texts_b["text"].to_pylist())]) if known else None
        for low in range(0, len(here), _ROWS_PER_TABLE):
            some = here[low : low + _ROWS_PER_TABLE]
            a, b = ids[pairs.rows[some]], pairs.others[some]
            places_a, places_b = places_of(a, ids_a), places_of(b, ids_b)
            of_b = texts_b.take(pa.array(places_b))
            columns = {
                "doc_id_b": of_b["doc_id"],
                "passage_no_b": of_b["passage_no"],
                "documents_b": of_b["n_documents"],
                "cosine": pa.array(pairs.cosines[some]),
                "id_a": pa.array(a),
                "id_b": pa.array(b),
            }
            if wordings is not None:
                relation, differences, jaccard = described_pairs(wordings, places_a, places_b + len(ids_a), near_jaccard)
                columns |= {"relation": relation, "differences": differences, "jaccard": pa.array(jaccard)}
            yield _with_exact(columns, a == b)


def _with_exact(columns: dict[str, pa.Array], same: np.ndarray) -> pa.Table:
    """Rows of `_TEXT_PAIRS`. A text is the same as itself, whether or not it is known; without texts nothing else is known."""
    for name, said in (("relation", EXACT), ("differences", []), ("jaccard", 1.0)):
        kind = _TEXT_PAIRS.field(name).type
        columns[name] = pc.if_else(pa.array(same), pa.scalar(said, kind), columns.get(name, pa.nulls(len(same), kind)))
    return pa.table([columns[name] for name in _TEXT_PAIRS.names], schema=_TEXT_PAIRS)


def _check_same(ids_a: np.ndarray, texts_a: pa.Table, ids_b: np.ndarray, texts_b: pa.Table) -> None:
    """Raise IdCollisionError when different texts of both sides have one id."""
    places = places_of(ids_a, ids_b)
    both = np.flatnonzero(places >= 0)
    keys = texts_a["content_key"].to_numpy()[both], texts_b["content_key"].to_numpy()[places[both]]
    for row in np.flatnonzero(keys[0] != keys[1]).tolist():
        at = places[both[row]]
        raise IdCollisionError(
            f"the text of document {texts_b['doc_id'][at]} and another one that it is compared with have the same id "
            f"{ids_b[at]}: change one of them"
        )
