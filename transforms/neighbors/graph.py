"""The neighbour graph as files: one part for each tile of texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from transforms.files import FileRef, Progress, join, write_table
from transforms.neighbors.changes import load_ids
from transforms.neighbors.exact import Nearest, nearest_start, search_chunk
from transforms.neighbors.options import NeighborsOptions
from transforms.neighbors.stream import grouped, snapped_chunks
from transforms.neighbors.tables import neighbors_table
from transforms.neighbors.update import ParentGraph, added_chunks, carried_over, parent_lists, proven, with_added
from transforms.vectors import VectorBlock

# Work is cut into at least so many tasks where it is not known how many workers there are.
_TASKS = 64


@dataclass(frozen=True)
class NeighborsTask:
    """One tile: the blocks whose texts get lists, all blocks of the run, and the folder of the part file.

    `parent` is a graph whose lists are taken over where they are right; it changes the time, never the file.
    """

    part: int
    queries: tuple[VectorBlock, ...]
    blocks: tuple[VectorBlock, ...]
    directory: str
    progress: str | None = None
    parent: ParentGraph | None = None


@dataclass(frozen=True)
class NeighborsRecord:
    """A finished part: its file and the blocks of its texts.

    `searched_exactly` counts searches of one text, in one chunk of an update, that the screen could not settle. Of the `rows`,
    `searched` were compared with all texts, `taken_over` have the parent's list as it was, and `updated` have one that
    follows from the parent's and the new texts alone.
    """

    part: int
    file: FileRef
    queries: tuple[VectorBlock, ...]
    rows: int
    k: int
    searched_exactly: int
    searched: int
    taken_over: int
    updated: int


def plan_tiles(blocks: Sequence[VectorBlock], options: NeighborsOptions) -> list[tuple[VectorBlock, ...]]:
    """The blocks of each tile, in position order. Empty blocks are left out, but for one where nothing else is there."""
    full = [block for block in blocks if block.rows]
    return [tuple(group) for group in grouped(full or blocks[:1], options.rows_per_tile)]


def cut_tiles(tiles: int, texts: int, options: NeighborsOptions, workers: int | None) -> list[slice]:
    """Consecutive tiles for each task, as many tasks for every worker; `workers` is None where nobody knows how many there are.

    A task has half of `rows_per_chunk` texts at most, so that it can hold as many others, or one tile. A single task has all.
    """
    tasks = workers or _TASKS
    if tasks > 1 or texts > options.rows_per_chunk:
        tasks *= max(1, -(-2 * texts // (options.rows_per_chunk * tasks)))
    tasks = min(tasks, tiles)
    return [slice(tiles * i // tasks, tiles * (i + 1) // tasks) for i in range(tasks)]


def build_part(task: NeighborsTask, options: NeighborsOptions, threads: int | None = None) -> NeighborsRecord:
    """`build_parts` of a single tile."""
    (record,) = build_parts([task], options, threads)
    return record


def build_parts(tasks: Sequence[NeighborsTask], options: NeighborsOptions, threads: int | None = None) -> list[NeighborsRecord]:
    """Find the nearest others of some tiles' texts among all texts and write each tile as `part-NNNNN.parquet`.

    The tiles are of one run. Those of their texts that must be searched are searched together, all vectors being read once.
    `threads` limits the linear algebra of this process for the call; None leaves it as it is.
    """
    total = sum(block.rows for block in tasks[0].blocks)
    k = max(min(options.k, total - 1), 0)
    with threadpool_limits(threads):
        parts = [_from_parent(task, k) for task in tasks]
        ids = np.concatenate([part.ids[part.searched] for part in parts])
        queries = np.concatenate([part.queries for part in parts])
        found, searched_exactly = _searched(tasks[0].blocks, ids, queries, k, options)
    records, low, progress = [], 0, Progress(tasks[0].progress)
    for task, part in zip(tasks, parts, strict=True):
        own = slice(low, low + len(part.searched))
        part.nearest.ids[part.searched], part.nearest.cosines[part.searched] = found.ids[own], found.cosines[own]
        path = join(task.directory, f"part-{task.part:05d}.parquet")
        file = write_table(path, neighbors_table(part.ids, part.nearest.ids, part.nearest.cosines))
        rows, searched, exactly = len(part.ids), len(part.searched), int(searched_exactly[own].sum())
        updated = rows - searched - part.taken_over
        records.append(NeighborsRecord(task.part, file, task.queries, rows, k, exactly, searched, part.taken_over, updated))
        progress.add(rows)
        low = own.stop
    progress.flush()
    return records


def _searched(
    blocks: Sequence[VectorBlock], ids: np.ndarray, queries: np.ndarray, k: int, options: NeighborsOptions
) -> tuple[Nearest, np.ndarray]:
    """The lists of some texts by comparing them with all, and how many searches of each the screen could not settle."""
    nearest, searched_exactly = nearest_start(len(ids), k), np.zeros(len(ids), np.int64)
    if not len(ids) or not k:  # A single text has no others: its list is empty, and there is nothing to search for.
        return nearest, searched_exactly
    for chunk_ids, vectors in snapped_chunks(blocks, options.rows_per_chunk):
        nearest, unproven = search_chunk(nearest, ids, queries, chunk_ids, vectors, options.margin)
        searched_exactly[unproven] += 1
    return nearest, searched_exactly


@dataclass(frozen=True)
class _Part:
    """A tile's texts with their lists as far as these follow from the parent's.

    `searched` rows must be searched: `queries` are their snapped vectors. `taken_over` lists are the parent's own.
    """

    ids: np.ndarray
    nearest: Nearest
    searched: np.ndarray
    queries: np.ndarray
    taken_over: int


def _from_parent(task: NeighborsTask, k: int) -> _Part:
    ids, vectors = _concatenated(task.queries)
    nearest, everybody = nearest_start(len(ids), k), np.arange(len(ids))
    if task.parent is None or not k:
        return _Part(ids, nearest, everybody, vectors, 0)
    kept = np.flatnonzero(~np.isin(ids, load_ids(task.parent.changes.added), assume_unique=True))
    if not len(kept):
        return _Part(ids, nearest, everybody, vectors, 0)
    listed = parent_lists(task.parent, ids[kept])
    updated, sure = _updated(task, task.parent, listed, vectors[kept], k)
    nearest.ids[kept[sure]], nearest.cosines[kept[sure]] = updated.ids[sure, :k], updated.cosines[sure, :k]
    same = listed.ids.shape[1] == k and int(np.all(updated.ids[sure, :k] == listed.ids[sure], axis=1).sum())
    searched = np.setdiff1d(everybody, kept[sure], assume_unique=True)
    return _Part(ids, nearest, searched, vectors[searched], int(same))


def _updated(
    task: NeighborsTask, parent: ParentGraph, listed: Nearest, queries: np.ndarray, k: int
) -> tuple[Nearest, np.ndarray]:
    left, bound = carried_over(listed, parent.changes, k)
    updated = with_added(left, queries, bound, added_chunks(task.blocks, load_ids(parent.changes.added)), k)
    return updated, proven(updated, bound, k)


def _concatenated(blocks: Sequence[VectorBlock]) -> tuple[np.ndarray, np.ndarray]:
    (chunk,) = snapped_chunks(blocks, sum(block.rows for block in blocks))
    return chunk
