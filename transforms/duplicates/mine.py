"""The pairs of one part of the neighbour graph, with what the texts' wording says about them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from transforms.duplicates.options import DuplicatesOptions
from transforms.duplicates.owners import NOBODY, SoleOwners, sole_owners
from transforms.duplicates.pairs import Pairs, concatenated, listed_pairs, pairs_by_range, unfinished_rows
from transforms.duplicates.relation import Wording, related, wording_of
from transforms.duplicates.tables import mined_schema
from transforms.files import FileRef, Progress, join, read_table, write_batches
from transforms.neighbors import NeighborsRecord, read_neighbors, snapped_chunks
from transforms.vectors import VectorBlock

# Vectors in memory at a time for the search by range.
_ROWS_PER_CHUNK = 65536

# Pairs described at a time, as Python objects.
_ROWS_PER_TABLE = 65536


@dataclass(frozen=True)
class MineTask:
    """One part of the neighbour graph, with all blocks and the passages part of each block, in the same order.

    `split` says that a document may have several passages, whose pairs with each other do not count.
    """

    neighbors: NeighborsRecord
    blocks: tuple[VectorBlock, ...]
    passages: tuple[FileRef, ...]
    directory: str
    progress: str | None = None
    split: bool = False


@dataclass(frozen=True)
class MineRecord:
    """The pairs of one part: their file, and what it took and cost to have them all.

    `texts_capped` texts have more pairs than allowed; `pairs_dropped` is the exact number of pairs left out for it.
    """

    part: int
    file: FileRef
    pairs: int
    texts_searched_by_range: int
    texts_capped: int
    pairs_dropped: int

    @property
    def complete(self) -> bool:
        """Whether every pair at or above the threshold is in the file."""
        return self.pairs_dropped == 0


def mine_part(task: MineTask, options: DuplicatesOptions, threads: int | None = None) -> MineRecord:
    """Find and describe all pairs between one part's texts and texts of larger id; write `pairs-NNNNN.parquet`.

    Two passages that only one document has are no pair: nobody could do without either document for it.
    A list of neighbours whose last cosine is still at the threshold does not say what comes after it: those texts are
    searched again, by range, over all blocks. `threads` limits the linear algebra of this process for the call.
    """
    if len(task.blocks) != len(task.passages):
        raise ValueError(
            f"{len(task.blocks)} vector blocks for {len(task.passages)} passages parts: they must belong to each other"
        )
    ids, neighbor_ids, cosines = read_neighbors(task.neighbors.file.path)
    others = sum(block.rows for block in task.blocks) - 1
    unfinished = unfinished_rows(cosines, others, options.threshold)
    owners = sole_owners(task.passages) if task.split else NOBODY
    pairs = listed_pairs(ids, neighbor_ids, cosines, options.threshold).between_documents(ids, owners)
    if len(unfinished):
        with threadpool_limits(threads):
            ranged = _search_by_range(task, ids[unfinished], options, owners)
        pairs = _replaced(pairs, unfinished, ranged)
    pairs = pairs.capped(options.max_pairs_per_text)
    path = join(task.directory, f"pairs-{task.neighbors.part:05d}.parquet")
    file = write_batches(path, mined_schema(), _described(ids, pairs, task, options))
    progress = Progress(task.progress)
    progress.add(len(ids))
    progress.flush()
    return MineRecord(
        task.neighbors.part,
        file,
        len(pairs.rows),
        len(unfinished),
        int(np.count_nonzero(pairs.dropped)),
        int(pairs.dropped.sum()),
    )


def _search_by_range(task: MineTask, ids: np.ndarray, options: DuplicatesOptions, owners: SoleOwners) -> Pairs:
    queries = []
    for block_ids, vectors in snapped_chunks(task.neighbors.queries, 1):
        queries.append(vectors[np.isin(block_ids, ids)])
    # Only texts of larger id are wanted, and blocks are in id order.
    later = [block for block in task.blocks if block.start >= min(query.start for query in task.neighbors.queries)]
    chunks = snapped_chunks(later, _ROWS_PER_CHUNK)
    return pairs_by_range(ids, np.concatenate(queries), chunks, options.threshold, options.max_pairs_per_text, owners)


def _replaced(pairs: Pairs, rows: np.ndarray, complete: Pairs) -> Pairs:
    """`pairs` with those of some rows exchanged for all that there are."""
    kept = ~np.isin(pairs.rows, rows)
    dropped = np.zeros_like(pairs.dropped)
    dropped[rows] = complete.dropped
    return concatenated(
        [
            Pairs(pairs.rows[kept], pairs.others[kept], pairs.cosines[kept], pairs.dropped),
            Pairs(rows[complete.rows], complete.others, complete.cosines, dropped),
        ]
    )


def _described(ids: np.ndarray, pairs: Pairs, task: MineTask, options: DuplicatesOptions) -> Iterator[pa.Table]:
    """The pairs as rows, in tables of bounded size; the texts of one other part at a time are in memory."""
    if not len(pairs.rows):
        return
    first_ids = np.array([block.ids()[0] for block in task.blocks])
    own = _wordings(ids[np.unique(pairs.rows)], first_ids, task.passages)
    part_of_other = np.searchsorted(first_ids, pairs.others, side="right") - 1
    for part in np.unique(part_of_other):
        here = np.flatnonzero(part_of_other == part)
        others = _wordings(np.unique(pairs.others[here]), first_ids, task.passages, own)
        for low in range(0, len(here), _ROWS_PER_TABLE):
            some = here[low : low + _ROWS_PER_TABLE]
            columns = ids[pairs.rows[some]].tolist(), pairs.others[some].tolist(), pairs.cosines[some].tolist()
            rows = [_row(a, own[a], b, others[b], cosine, options.near_jaccard) for a, b, cosine in zip(*columns, strict=True)]
            fields = zip(zip(*rows, strict=True), mined_schema(), strict=True)
            yield pa.Table.from_arrays([pa.array(values, field.type) for values, field in fields], schema=mined_schema())


def _row(id_a: int, a: Wording, id_b: int, b: Wording, cosine: float, near_jaccard: float) -> tuple:
    """One row of `mined_schema`, id_a < id_b."""
    return cosine, *related(a, b, near_jaccard), id_a, id_b


def _wordings(
    ids: np.ndarray, first_ids: np.ndarray, passages: Sequence[FileRef], known: dict[int, Wording] | None = None
) -> dict[int, Wording]:
    """Wording of some texts, read from the parts that hold them."""
    wordings = {text_id: known[text_id] for text_id in ids.tolist() if text_id in known} if known else {}
    missing = np.array([text_id for text_id in ids.tolist() if text_id not in wordings], np.int64)
    parts = np.searchsorted(first_ids, missing, side="right") - 1
    for part in np.unique(parts):
        wanted = missing[parts == part]
        table = read_table(passages[part].path, ["id", "text"], key="id", low=int(wanted[0]), high=int(wanted[-1]) + 1)
        table = table.filter(pa.array(np.isin(table["id"].to_numpy(), wanted)))
        if not np.array_equal(table["id"].to_numpy(), wanted):
            raise ValueError(
                f"{passages[part].path} lacks texts that have vectors: the passages and the blocks are of different runs"
            )
        for text_id, text in zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True):
            wordings[text_id] = wording_of(text)
    return wordings
