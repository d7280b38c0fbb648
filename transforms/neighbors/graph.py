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
    """The blocks of each tile, in position order."""
    return [tuple(group) for group in grouped(blocks, options.rows_per_tile)]


def build_part(task: NeighborsTask, options: NeighborsOptions, threads: int | None = None) -> NeighborsRecord:
    """Find the nearest others of one tile's texts among all texts and write them as `part-NNNNN.parquet`.

    `threads` limits the linear algebra of this process for the call; None leaves it as it is.
    """
    ids, queries = _concatenated(task.queries)
    total = sum(block.rows for block in task.blocks)
    k = max(min(options.k, total - 1), 0)
    progress = Progress(task.progress)
    with threadpool_limits(threads):
        nearest, searched, taken_over = _from_parent(task, ids, queries, k)
        found, searched_exactly = _searched(task, ids[searched], queries[searched], k, options)
    nearest.ids[searched], nearest.cosines[searched] = found.ids, found.cosines
    path = join(task.directory, f"part-{task.part:05d}.parquet")
    file = write_table(path, neighbors_table(ids, nearest.ids, nearest.cosines))
    progress.add(len(ids))
    progress.flush()
    updated = len(ids) - len(searched) - taken_over
    return NeighborsRecord(task.part, file, task.queries, len(ids), k, searched_exactly, len(searched), taken_over, updated)


def _searched(
    task: NeighborsTask, ids: np.ndarray, queries: np.ndarray, k: int, options: NeighborsOptions
) -> tuple[Nearest, int]:
    """The lists of some texts by comparing them with all, and how many searches the screen could not settle."""
    nearest, searched_exactly = nearest_start(len(ids), k), 0
    if not len(ids) or not k:  # A single text has no others: its list is empty, and there is nothing to search for.
        return nearest, searched_exactly
    for chunk_ids, vectors in snapped_chunks(task.blocks, options.rows_per_chunk):
        nearest, unproven = search_chunk(nearest, ids, queries, chunk_ids, vectors, options.margin)
        searched_exactly += unproven
    return nearest, searched_exactly


def _from_parent(task: NeighborsTask, ids: np.ndarray, queries: np.ndarray, k: int) -> tuple[Nearest, np.ndarray, int]:
    """The lists as far as they follow from the parent's, the rows that must be searched, and how many are the parent's own."""
    nearest, everybody = nearest_start(len(ids), k), np.arange(len(ids))
    if task.parent is None or not k:
        return nearest, everybody, 0
    kept = np.flatnonzero(~np.isin(ids, load_ids(task.parent.changes.added), assume_unique=True))
    if not len(kept):
        return nearest, everybody, 0
    listed = parent_lists(task.parent, ids[kept])
    updated, sure = _updated(task, task.parent, listed, queries[kept], k)
    nearest.ids[kept[sure]], nearest.cosines[kept[sure]] = updated.ids[sure, :k], updated.cosines[sure, :k]
    same = listed.ids.shape[1] == k and int(np.all(updated.ids[sure, :k] == listed.ids[sure], axis=1).sum())
    return nearest, np.setdiff1d(everybody, kept[sure], assume_unique=True), int(same)


def _updated(
    task: NeighborsTask, parent: ParentGraph, listed: Nearest, queries: np.ndarray, k: int
) -> tuple[Nearest, np.ndarray]:
    left, bound = carried_over(listed, parent.changes, k)
    updated = with_added(left, queries, bound, added_chunks(task.blocks, load_ids(parent.changes.added)), k)
    return updated, proven(updated, bound, k)


def _concatenated(blocks: Sequence[VectorBlock]) -> tuple[np.ndarray, np.ndarray]:
    (chunk,) = snapped_chunks(blocks, sum(block.rows for block in blocks))
    return chunk
