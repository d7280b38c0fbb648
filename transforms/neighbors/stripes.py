"""A graph from nothing: every pair of texts is compared once, for the lists of both.

The texts are cut into stripes of whole tiles. The task of a stripe compares its texts with each other and with those of the
half of the other stripes that follow it, in a circle: of an even number of stripes the one opposite is shared, the first half
of one stripe being compared by its own task and the second by that of the other. So all tasks are equally long, and no two
compare the same texts. A task leaves its own texts' candidates in one file, and those of each stripe it met in another; then
each stripe's files are merged and settled by exact cosines.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from transforms.files import Progress, join, write_table
from transforms.neighbors.candidates import Candidates, Shortlist, merged
from transforms.neighbors.exact import best_of, search_exactly, undecided
from transforms.neighbors.graph import NeighborsRecord, cut_tiles, plan_tiles
from transforms.neighbors.lists import load_lists, save_lists
from transforms.neighbors.options import NeighborsOptions
from transforms.neighbors.screen import Screen, make_screen, precision_for
from transforms.neighbors.stream import snapped_chunks
from transforms.neighbors.tables import neighbors_table
from transforms.neighbors.tiles import Side, compare, compare_within
from transforms.vectors import VectorBlock


@dataclass(frozen=True)
class Stripe:
    """Consecutive tiles, each the texts of one part of the graph, and the number of the first part."""

    first_part: int
    tiles: tuple[tuple[VectorBlock, ...], ...]

    @property
    def blocks(self) -> list[VectorBlock]:
        """Its blocks in order."""
        return [block for tile in self.tiles for block in tile]

    @property
    def start(self) -> int:
        """Position of its first text."""
        return self.tiles[0][0].start

    @property
    def rows(self) -> int:
        """How many texts it has."""
        return sum(block.rows for block in self.blocks)


@dataclass(frozen=True)
class StripeTask:
    """What one task compares: the stripe of this number with itself and with the next ones. All stripes of the run are named.

    Parts go to `directory`, lists that wait to be merged to `scratch`.
    """

    number: int
    stripes: tuple[Stripe, ...]
    directory: str
    scratch: str
    progress: str | None = None

    @property
    def stripe(self) -> Stripe:
        """Its own stripe."""
        return self.stripes[self.number]

    @property
    def total(self) -> int:
        """Texts of all stripes."""
        return sum(stripe.rows for stripe in self.stripes)

    def k(self, options: NeighborsOptions) -> int:
        """Neighbours that every text has: it is not its own."""
        return max(min(options.k, self.total - 1), 0)


@dataclass(frozen=True)
class StripeLists:
    """Candidates for the texts of the stripe `number`, as a file; `task` is its own task where that wrote them."""

    number: int
    path: str
    task: StripeTask | None


def plan_stripes(
    blocks: Sequence[VectorBlock],
    options: NeighborsOptions,
    directory: str,
    scratch: str,
    workers: int | None = None,
    progress: str | None = None,
) -> list[StripeTask]:
    """The tasks of a graph; None for `workers` where it is not known how many there are.

    A task holds two stripes in memory, at most `rows_per_chunk` texts, or one that is alone.
    """
    tiles = plan_tiles(blocks, options)
    cuts = cut_tiles(len(tiles), sum(block.rows for block in blocks), options, workers)
    stripes = tuple(Stripe(cut.start, tuple(tiles[cut])) for cut in cuts)
    return [StripeTask(number, stripes, directory, scratch, progress) for number in range(len(stripes))]


def build_graph(tasks: Sequence[StripeTask], options: NeighborsOptions, threads: int = 1) -> list[NeighborsRecord]:
    """All parts of a graph, in order, by the plain functions."""
    lists = [found for task in tasks for found in compare_stripe(task, options, threads)]
    by_stripe = [[found for found in lists if found.number == task.number] for task in tasks]
    return [record for found in by_stripe for record in settle_stripe(found, options, threads)]


def compare_stripe(task: StripeTask, options: NeighborsOptions, threads: int = 1) -> Iterator[StripeLists]:
    """Compare a stripe with itself and its share of the others."""
    k, total = task.k(options), task.total
    if not k:
        yield StripeLists(task.number, "", task)
        return
    precision = precision_for(total * total // 2)
    screen = _screen(task.stripe, precision, threads)
    own = Side(screen, task.stripe.start, Candidates(screen, k, options.margin))
    compare_within(own, k, threads)
    for number, rows, columns in _others(task):
        screen = _screen(task.stripes[number], precision, threads)
        other = Side(screen, task.stripes[number].start, Candidates(screen, k, options.margin))
        compare(own, other, k, threads, rows, columns)
        yield _saved(task, number, other)
        del screen, other  # before the next stripe is loaded: two are in memory, not three
    yield _saved(task, task.number, own)


def settle_stripe(lists: Sequence[StripeLists], options: NeighborsOptions, threads: int = 1) -> Iterator[NeighborsRecord]:
    """Merge all lists of a stripe, compare the candidates exactly, and write its parts."""
    (task,) = (found.task for found in lists if found.task is not None)
    stripe, k = task.stripe, task.k(options)
    positions, cosines = np.empty((stripe.rows, k), np.int64), np.empty((stripe.rows, k), np.float32)
    unproven = np.empty(0, np.int64)
    if k:
        ((_, queries),) = snapped_chunks(stripe.blocks, stripe.rows, threads)

        def chunks() -> Iterator[tuple[int, np.ndarray]]:
            for other in task.stripes:
                if other == stripe:
                    yield other.start, queries
                    continue
                ((_, vectors),) = snapped_chunks(other.blocks, other.rows, threads)
                yield other.start, vectors

        # In the order of their names, so that the same lists are merged in the same way.
        shortlist = _merged([found.path for found in sorted(lists, key=lambda found: found.path)], k + options.margin)
        positions, cosines = best_of(shortlist, k, queries, chunks, threads)
        unproven = np.flatnonzero(undecided(shortlist, cosines[:, -1]))
        if len(unproven):
            exact = search_exactly(queries[unproven], unproven + stripe.start, chunks, k, threads)
            positions[unproven], cosines[unproven] = exact
    ids = np.concatenate([block.ids() for each in task.stripes for block in each.blocks])
    progress = Progress(task.progress)
    low = 0
    for part, tile in enumerate(stripe.tiles, start=stripe.first_part):
        rows = slice(low, low + sum(block.rows for block in tile))
        own = ids[stripe.start + rows.start : stripe.start + rows.stop]
        path = join(task.directory, f"part-{part:05d}.parquet")
        file = write_table(path, neighbors_table(own, ids[positions[rows]], cosines[rows]))
        exactly = int(np.count_nonzero((unproven >= rows.start) & (unproven < rows.stop)))
        progress.add(len(own))
        low = rows.stop
        yield NeighborsRecord(part, file, tile, len(own), k, exactly, len(own), 0, 0)
    progress.flush()


def _others(task: StripeTask) -> Iterator[tuple[int, slice, slice]]:
    """Which other stripes a task meets, with which of its own rows and which of theirs."""
    count, everybody = len(task.stripes), slice(None)
    for apart in range(1, (count + 1) // 2):
        yield (task.number + apart) % count, everybody, everybody
    if count % 2 == 0:
        other = (task.number + count // 2) % count
        half = task.stripes[min(task.number, other)].rows // 2
        if task.number < other:
            yield other, slice(half), everybody
        else:
            yield other, everybody, slice(half, None)


def _screen(stripe: Stripe, precision: str, threads: int) -> Screen:
    ((_, vectors),) = snapped_chunks(stripe.blocks, stripe.rows, threads)
    return make_screen(vectors, precision, threads)


def _saved(task: StripeTask, number: int, side: Side) -> StripeLists:
    assert side.candidates is not None
    path = join(task.scratch, f"lists-{number:05d}-{task.number:05d}.npz")
    save_lists(path, side.candidates.shortlist())
    return StripeLists(number, path, task if number == task.number else None)


def _merged(paths: Sequence[str], keep: int) -> Shortlist:
    """The lists of all files as one; two files at a time are in memory."""
    found = load_lists(paths[0])
    for path in paths[1:]:
        found = merged([found, load_lists(path)], keep)
    return found
