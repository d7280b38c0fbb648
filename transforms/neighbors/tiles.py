"""All scores of two sets of vectors, tile by tile: one product serves the lists of both."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from transforms.neighbors.candidates import ROWS, Candidates
from transforms.neighbors.screen import Screen, alone, in_order, one_thread
from transforms.threads import in_threads


@dataclass(frozen=True)
class Side:
    """Vectors, the position of the first among all, and the candidates of each row if it shall have any."""

    screen: Screen
    start: int
    candidates: Candidates | None


def compare_within(side: Side, k: int, threads: int) -> None:
    """Everybody of a side with everybody else of it, each pair once."""
    assert side.candidates is not None
    side.candidates.expect(side.screen)
    blocks = list(_blocks(slice(None), len(side.screen)))
    # First the diagonal: then every row has a limit, from about a thousand others.
    _run([(side, block, side, block) for block in blocks], k, threads)
    pairs = [(blocks[i], blocks[i + apart]) for apart in range(1, len(blocks)) for i in range(len(blocks) - apart)]
    _run([(side, rows, side, columns) for rows, columns in pairs], k, threads)


def compare(
    a: Side,
    b: Side,
    k: int,
    threads: int,
    rows: slice = slice(None),
    columns: slice = slice(None),
    itself: np.ndarray | None = None,
) -> None:
    """Some `rows` of `a` with some rows of `b`, the `columns`: candidates for the sides that have room for them.

    `itself` int64 (rows of a,) says which row of `b` each row of `a` is, -1 where it is none: nobody is its own neighbour.
    """
    for side, other in ((a, b), (b, a)):
        if side.candidates is not None:
            side.candidates.expect(other.screen)
    own, others = list(_blocks(rows, len(a.screen))), list(_blocks(columns, len(b.screen)))
    # In diagonals, so that what excludes somebody is learned for all rows of both sides alike.
    count = max(len(own), len(others))
    order = [(i, (i + apart) % count) for apart in range(count) for i in range(count)]
    _run([(a, own[i], b, others[j]) for i, j in order if i < len(own) and j < len(others)], k, threads, itself)


def _blocks(some: slice, rows: int) -> Iterator[slice]:
    """Some of so many rows, cut where blocks of candidates end."""
    start, stop, _ = some.indices(rows)
    while start < stop:
        end = min(stop, (start // ROWS + 1) * ROWS)
        yield slice(start, end)
        start = end


_Tile = tuple[Side, slice, Side, slice]


def _run(tiles: list[_Tile], k: int, threads: int, itself: np.ndarray | None = None) -> None:
    """Do all tiles, each in one thread. The order in which they are done changes nothing that is proven by them."""
    if not tiles:
        return
    queue = iter(tiles)
    screen = tiles[0][0].screen

    def work(_: int) -> None:
        buffer = screen.buffer(ROWS, ROWS)
        alone(screen.precision)
        for tile in queue:  # of a list: its iterator gives each tile to one thread
            _tile(*tile, k, buffer, itself)

    with one_thread(screen.precision), threadpool_limits(1):
        in_threads(work, range(min(threads, len(tiles))), threads)


def _tile(a: Side, rows: slice, b: Side, columns: slice, k: int, buffer: np.ndarray, itself: np.ndarray | None) -> None:
    """The scores of one tile, and who is a candidate of whom by them."""
    tile = _Scores(a.screen.scores(rows, b.screen, columns, buffer), _same(a, rows, b, columns, itself))
    # On the diagonal every pair comes twice: there one direction has both.
    of_rows, of_columns = a.candidates, None if a is b and rows == columns else b.candidates
    for candidates, own, axis in ((of_rows, rows, 0), (of_columns, columns, 1)):
        if candidates is not None:
            _limit(tile, candidates, own, k, axis)
    if of_rows is not None:
        of_rows.take(rows, tile.scores, b.start + columns.start)
    if of_columns is not None:
        of_columns.take(columns, tile.scores, a.start + rows.start, for_columns=True)


class _Scores:
    """The scores of a tile, as bits at first. Nobody's own score counts: it is below all others."""

    def __init__(self, scores: np.ndarray, same: tuple[np.ndarray, np.ndarray] | None) -> None:
        self.scores, self._same, self._in_order = scores, same, False
        self._hide()

    def put_in_order(self) -> None:
        """Once: the bits of negative numbers are in reverse order, which matters only to those who want such numbers."""
        if not self._in_order:
            in_order(self.scores)
            self._hide()
            self._in_order = True

    def _hide(self) -> None:
        if self._same is not None:
            self.scores[self._same] = np.iinfo(self.scores.dtype).min


def _limit(tile: _Scores, candidates: Candidates, own: slice, k: int, axis: int) -> None:
    """Exclude whom this tile proves to be too far away, if the rows (axis 0) or columns (1) exclude nobody yet."""
    if candidates.unknown(own) and tile.scores.shape[1 - axis] > k:
        last = _kth(tile, k, axis)
        if (last <= 0).any():
            tile.put_in_order()
            last = _kth(tile, k, axis)
        candidates.exclude_by_scores(own, last)
    if candidates.take_negative(own):
        tile.put_in_order()


def _kth(tile: _Scores, k: int, axis: int) -> np.ndarray:
    scores = np.ascontiguousarray(tile.scores if axis == 0 else tile.scores.T)
    place = scores.shape[1] - k
    return np.partition(scores, place, axis=1)[:, place]


def _same(a: Side, rows: slice, b: Side, columns: slice, itself: np.ndarray | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Where in a tile a row meets itself."""
    if itself is None:
        if a is not b or rows != columns:
            return None
        place = np.arange(rows.stop - rows.start)
        return place, place
    place = itself[rows]
    inside = np.flatnonzero((place >= columns.start) & (place < columns.stop))
    return inside, place[inside] - columns.start
