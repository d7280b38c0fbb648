"""The pairs that belong to one part of the neighbour graph, with what the texts' wording says about them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from transforms.duplicates.lists import unfinished_texts
from transforms.duplicates.options import DuplicatesOptions
from transforms.duplicates.owners import NOBODY, SoleOwners, sole_owners
from transforms.duplicates.pairs import NOTHING_DROPPED, Dropped, Pairs, listed_pairs, pairs_by_range
from transforms.duplicates.places import ascending, places_of
from transforms.duplicates.relation import differences, jaccards
from transforms.duplicates.tables import dropped_schema, mined_schema
from transforms.duplicates.wording_files import WordingReader
from transforms.files import FileRef, Progress, join, write_batches, write_table
from transforms.neighbors import NeighborsRecord, read_neighbors, snap
from transforms.threads import in_threads
from transforms.vectors import VectorBlock

# Vectors in memory at a time for the search by range.
_ROWS_PER_CHUNK = 65536

# Pairs described at a time: the 3-grams of their texts, up to 100 MB for texts of 60 words, are in memory.
_ROWS_PER_TABLE = 65536


@dataclass(frozen=True)
class MineTask:
    """One part of the neighbour graph, the files of all its parts, and all blocks with the passages and wordings of each.

    `split` says that a document may have several passages, whose pairs with each other do not count; `exact` that the
    graph's lists are those of the nearest others and nobody else.
    """

    neighbors: NeighborsRecord
    graph: tuple[FileRef, ...]
    blocks: tuple[VectorBlock, ...]
    passages: tuple[FileRef, ...]
    wordings: tuple[FileRef, ...]
    directory: str
    progress: str | None = None
    split: bool = False
    exact: bool = True


@dataclass(frozen=True)
class MineRecord:
    """The pairs of one part and the texts of which pairs were left out: their files, and what it took to have them all.

    `texts_searched_by_range` texts of this part had more pairs than their list. `pairs_dropped` is the exact number of pairs
    left out because one of both texts had more than allowed.
    """

    part: int
    file: FileRef
    dropped_file: FileRef
    pairs: int
    texts_searched_by_range: int
    pairs_dropped: int


@dataclass(frozen=True)
class FoundPairs:
    """Pairs of texts (`a[i]`, `b[i]`), int64 ids, with `cosines` float32, in no order, and what was left out.

    `searched_by_range` texts of the part had more pairs than their list.
    """

    a: np.ndarray
    b: np.ndarray
    cosines: np.ndarray
    dropped: Dropped
    searched_by_range: int


def mine_parts(tasks: Sequence[MineTask], options: DuplicatesOptions, threads: int = 1) -> list[MineRecord]:
    """`mine_part` of some parts of one graph, in so many threads, linear algebra included.

    Memory: that of one part for each thread.
    """
    at_once = max(1, min(threads, len(tasks)))
    if tasks:  # once, and not in each thread
        _unfinished(tasks[0].graph, options.threshold)
    with threadpool_limits(max(1, threads // at_once)):
        return in_threads(lambda task: mine_part(task, options), tasks, at_once)


def mine_part(task: MineTask, options: DuplicatesOptions) -> MineRecord:
    """Find and describe the pairs that belong to one part; write `pairs-NNNNN.parquet` and `dropped-NNNNN.parquet`."""
    if not len(task.blocks) == len(task.passages) == len(task.wordings):
        raise ValueError(
            f"{len(task.blocks)} vector blocks for {len(task.passages)} passages parts and {len(task.wordings)} parts of "
            "their wording: they must belong to each other"
        )
    found = find_pairs(task, options)
    path = join(task.directory, f"pairs-{task.neighbors.part:05d}.parquet")
    file = write_batches(path, mined_schema(), _described(found, task), durable=False)
    path = join(task.directory, f"dropped-{task.neighbors.part:05d}.parquet")
    dropped = found.dropped
    left_out = pa.table([dropped.ids, dropped.counts, dropped.best], schema=dropped_schema())
    dropped_file = write_table(path, left_out, durable=False)
    progress = Progress(task.progress)
    progress.add(task.neighbors.rows)
    progress.flush()
    return MineRecord(task.neighbors.part, file, dropped_file, len(found.a), found.searched_by_range, dropped.pairs)


def find_pairs(task: MineTask, options: DuplicatesOptions) -> FoundPairs:
    """The pairs that belong to one part.

    A list of neighbours whose last cosine is still at the threshold is unfinished: it does not say what comes after it. A
    pair with a finished text is in that text's list; two unfinished texts are compared, by range, whatever their lists are.
    Where the graph is not exact, a pair is found when it is in either list.
    Two passages that only one document has are no pair: nobody could do without either document for it.
    """
    ids, neighbor_ids, cosines = read_neighbors(task.neighbors.file.path)
    unfinished = _unfinished(task.graph, options.threshold)
    owners = sole_owners(task.passages) if task.split else NOBODY
    a, b, listed = listed_pairs(ids, neighbor_ids, cosines, options.threshold, unfinished, task.exact)
    different = np.flatnonzero(~owners.same(a, b))
    own = ids[places_of(ids, unfinished) >= 0]
    ranged, dropped = _search_by_range(own, unfinished, task.blocks, options, owners)
    a, b = np.concatenate([a[different], own[ranged.rows]]), np.concatenate([b[different], ranged.others])
    return FoundPairs(a, b, np.concatenate([listed[different], ranged.cosines]), dropped, len(own))


@lru_cache(maxsize=1)  # a worker does several parts of one graph, one after the other
def _unfinished(graph: tuple[FileRef, ...], threshold: float) -> np.ndarray:
    return unfinished_texts([part.path for part in graph], threshold)


def _search_by_range(
    own: np.ndarray, unfinished: np.ndarray, blocks: Sequence[VectorBlock], options: DuplicatesOptions, owners: SoleOwners
) -> tuple[Pairs, Dropped]:
    """Pairs of the unfinished texts `own` with other unfinished ones of larger id."""
    later = unfinished[unfinished > own.min()] if len(own) else own
    if not len(later):
        nobody = np.empty(0, np.int64)
        return Pairs(nobody, nobody, np.empty(0, np.float32), np.zeros(len(own), np.int64)), NOTHING_DROPPED
    chunks = (later[low : low + _ROWS_PER_CHUNK] for low in range(0, len(later), _ROWS_PER_CHUNK))
    vectors = ((chunk, _vectors(chunk, blocks)) for chunk in chunks)
    return pairs_by_range(own, _vectors(own, blocks), vectors, options.threshold, options.max_pairs_per_text, owners)


def _vectors(ids: np.ndarray, blocks: Sequence[VectorBlock]) -> np.ndarray:
    """The snapped vectors of texts (n,) ascending, all of which the blocks have: float32 (n, dim)."""
    vectors = np.empty((len(ids), blocks[0].dim), np.float32)
    for block in blocks:
        of_block = block.ids()
        low, high = np.searchsorted(ids, of_block[[0, -1]]) if len(of_block) else (0, 0)
        places = np.arange(low, min(high + 1, len(ids)))
        rows = places_of(ids[places], of_block)
        vectors[places[rows >= 0]] = block.vectors()[rows[rows >= 0]]
    return snap(vectors)


def _described(found: FoundPairs, task: MineTask) -> Iterator[pa.Table]:
    """The pairs as rows of `mined_schema`, in tables of bounded size."""
    a, b, cosines = found.a, found.b, found.cosines
    if not len(a):
        return
    reader = WordingReader(task.wordings, np.array([block.ids()[0] for block in task.blocks]))
    # Pairs of the same two parts come together, so that few parts of the wordings are read for a table.
    order = np.lexsort((b, a, reader.parts_of(b), reader.parts_of(a)))
    for low in range(0, len(order), _ROWS_PER_TABLE):
        chosen = order[low : low + _ROWS_PER_TABLE]
        ids = ascending(np.concatenate([a[chosen], b[chosen]]))
        pairs = reader.of(ids), places_of(a[chosen], ids), places_of(b[chosen], ids)
        columns = [a[chosen], b[chosen], cosines[chosen], jaccards(*pairs), differences(*pairs)]
        yield pa.table(columns, schema=mined_schema())
