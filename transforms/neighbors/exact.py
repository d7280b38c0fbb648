"""Exact nearest others: a screen in low precision leaves few candidates, and those are compared exactly."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from transforms.neighbors.candidates import Candidates, Shortlist, least_that_counts
from transforms.neighbors.cosine import exact_cosines, exact_pair_cosines
from transforms.neighbors.screen import key, make_screen, precision_for, value
from transforms.neighbors.tiles import Side, compare
from transforms.threads import in_threads

# Rows and columns of the full exact search at a time: their cosines take 34 MB, the copies as float64 28 MB at 384 dimensions.
_EXACT_ROWS, _EXACT_COLUMNS = 1024, 8192
# Rows that are sorted at a time.
_ROWS = 4096
# Pairs that a thread compares at a time.
_PAIRS = 1 << 16
_NOBODY = -1
_WORST = np.iinfo(np.int64).min
_POSITION = np.int64(0xFFFFFFFF)

# Positions and snapped vectors float32 (m, dim) of consecutive rows, the first of which is at the position.
Chunks = Callable[[], Iterable[tuple[int, np.ndarray]]]


@dataclass(frozen=True)
class Nearest:
    """The nearest others so far: `ids` int64 and `cosines` float32, (rows, k), by (cosine desc, id asc).

    Places that nobody has taken yet hold id -1 and cosine -inf.
    """

    ids: np.ndarray
    cosines: np.ndarray

    def rows(self, selected: np.ndarray) -> "Nearest":
        """The lists of some rows."""
        return Nearest(self.ids[selected], self.cosines[selected])

    def with_candidates(self, ids: np.ndarray, cosines: np.ndarray) -> "Nearest":
        """The k best of these lists and of candidates (rows, m) that are not in them."""
        all_ids, all_cosines = np.hstack([self.ids, ids]), np.hstack([self.cosines, cosines])
        order = np.lexsort((all_ids, -all_cosines))[:, : self.ids.shape[1]]
        return Nearest(np.take_along_axis(all_ids, order, 1), np.take_along_axis(all_cosines, order, 1))


def nearest_start(rows: int, k: int) -> Nearest:
    """Lists in which nobody is yet."""
    return Nearest(np.full((rows, k), _NOBODY, np.int64), np.full((rows, k), -np.inf, np.float32))


def nearest_others(
    ids: np.ndarray, queries: np.ndarray, chunks: Iterable[tuple[np.ndarray, np.ndarray]], k: int, margin: int = 96
) -> Nearest:
    """The `k` nearest others of snapped `queries` (rows, dim) with `ids` (rows,), over chunks of ids and snapped vectors.

    Every id comes once in all chunks together. A row that has fewer than `k` others keeps empty places.
    """
    nearest = nearest_start(len(ids), k)
    for chunk_ids, vectors in chunks:
        nearest, _ = search_chunk(nearest, ids, queries, chunk_ids, vectors, margin)
    return nearest


def search_chunk(
    nearest: Nearest, ids: np.ndarray, queries: np.ndarray, chunk_ids: np.ndarray, vectors: np.ndarray, margin: int
) -> tuple[Nearest, np.ndarray]:
    """Add one chunk to the lists; also says for which rows, int64, the screen was not enough.

    `queries` (rows, dim) and `vectors` (m, dim) are snapped, with `ids` (rows,) and `chunk_ids` (m,) in any order. Uses as many
    threads as OpenMP may in this thread.
    """
    k, threads = nearest.ids.shape[1], faiss.omp_get_max_threads()
    if not len(chunk_ids) or not len(ids):
        return nearest, np.empty(0, np.int64)
    if np.any(chunk_ids[1:] <= chunk_ids[:-1]):  # of equal cosines the first is taken: that must be the one of smaller id
        order = np.argsort(chunk_ids)
        chunk_ids, vectors = chunk_ids[order], vectors[order]
    precision = precision_for(len(queries) * len(vectors))
    screen, other = make_screen(queries, precision), make_screen(vectors, precision)
    candidates = Candidates(screen, k, margin)
    # First: what is excluded depends on what the others lost.
    candidates.expect(other)
    candidates.exclude_below(nearest.cosines[:, -1])
    place = np.minimum(np.searchsorted(chunk_ids, ids), len(chunk_ids) - 1)
    itself = np.where(chunk_ids[place] == ids, place, _NOBODY)
    compare(Side(screen, 0, candidates), Side(other, 0, None), k, threads, itself=itself)
    shortlist = candidates.shortlist()
    positions, cosines = best_of(shortlist, k, queries, lambda: [(0, vectors)], threads, known=nearest.cosines[:, -1])
    found = nearest.with_candidates(_ids(chunk_ids, positions), cosines)
    unproven = np.flatnonzero(undecided(shortlist, found.cosines[:, -1]))
    if len(unproven):
        positions, cosines = search_exactly(queries[unproven], itself[unproven], lambda: [(0, vectors)], k, threads)
        exact = nearest.rows(unproven).with_candidates(_ids(chunk_ids, positions), cosines)
        found.ids[unproven], found.cosines[unproven] = exact.ids, exact.cosines
    return found, unproven


def undecided(shortlist: Shortlist, last: np.ndarray) -> np.ndarray:
    """Of which rows somebody who is not listed may belong among those whose last cosine is `last`, bool (rows,).

    No cosine is below -1, whatever bound its dot product has.
    """
    return ~np.isneginf(shortlist.left_out) & (np.maximum(shortlist.left_out, -1) >= last)


def best_of(
    shortlist: Shortlist,
    k: int,
    queries: np.ndarray,
    chunks: Chunks,
    threads: int,
    *,
    known: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The `k` nearest among those listed, by exact cosines: positions int64 and cosines float32 (rows, k).

    `queries` (rows, dim) are snapped. Equal cosines are in the order of positions; empty places hold -1 and -inf. Who cannot
    have a cosine of at least `known` float32 (rows,) may be left out.
    """
    rows, positions = _wanted(shortlist, k, known)
    cosines = np.empty(len(rows), np.float32)
    for first, vectors in chunks():
        here = np.flatnonzero((positions >= first) & (positions < first + len(vectors)))

        def compare_some(low: int, here: np.ndarray = here, first: int = first, vectors: np.ndarray = vectors) -> None:
            some = here[low : low + _PAIRS]
            cosines[some] = exact_pair_cosines(queries, vectors, rows[some], positions[some] - first)

        in_threads(compare_some, range(0, len(here), _PAIRS), threads)
    counts = np.bincount(rows, minlength=len(queries))
    ends = np.cumsum(counts)
    found = np.full((len(queries), k), _WORST, np.int64)

    def sort(low: int) -> None:
        some = slice(low, low + _ROWS)
        pairs = slice(ends[low] - counts[low], ends[some][-1])
        width = int(counts[some].max())
        lines = np.full((len(counts[some]), max(width, k)), _WORST, np.int64)
        place = np.arange(pairs.start, pairs.stop) - (ends - counts)[rows[pairs]]
        lines[rows[pairs] - low, place] = _packed(cosines[pairs], positions[pairs])
        found[some] = np.sort(lines, axis=1)[:, : -k - 1 : -1]

    in_threads(sort, range(0, len(queries), _ROWS), threads)
    return _unpacked(found)


def search_exactly(
    queries: np.ndarray, itself: np.ndarray, chunks: Chunks, k: int, threads: int
) -> tuple[np.ndarray, np.ndarray]:
    """The `k` nearest others of snapped queries (rows, dim), at the positions `itself` (rows,), without a screen.

    As `best_of` gives them. In exact arithmetic, which is slow: for the few whom the screen cannot tell apart.
    """
    best = np.full((len(queries), k), _WORST, np.int64)
    with threadpool_limits(threads):
        for first, vectors in chunks():
            for left in range(0, len(vectors), _EXACT_COLUMNS):
                columns = vectors[left : left + _EXACT_COLUMNS]
                for low in range(0, len(queries), _EXACT_ROWS):
                    rows = slice(low, low + _EXACT_ROWS)
                    cosines = exact_cosines(queries[rows], columns)
                    place = itself[rows] - first - left
                    inside = np.flatnonzero((place >= 0) & (place < len(columns)) & (itself[rows] >= 0))
                    cosines[inside, place[inside]] = -np.inf
                    chosen = _best_columns(cosines, k)
                    packed = _packed(np.take_along_axis(cosines, chosen, 1), chosen + (first + left))
                    best[rows] = np.sort(np.hstack([best[rows], packed]), axis=1)[:, : -k - 1 : -1]
    return _unpacked(best)


def _wanted(shortlist: Shortlist, k: int, known: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Rows, ascending, and positions int64 (pairs,) of those listed who can be among the nearest."""
    needed = shortlist.needed(k)
    if known is not None:
        needed = np.maximum(needed, least_that_counts(known.astype(np.float64)))
    wanted = shortlist.above >= np.repeat(needed, shortlist.counts)
    return shortlist.row_numbers()[wanted], shortlist.positions[wanted]


def _packed(cosines: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Numbers in the order of the lists, the best last: by cosine, of equal ones by position descending."""
    return (key(cosines).astype(np.int64) << 32) | (_POSITION - positions)


def _unpacked(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    cosines = value((packed >> 32).astype(np.int32))
    nobody = (packed == _WORST) | np.isneginf(cosines)
    positions = np.where(nobody, _NOBODY, _POSITION - (packed & _POSITION))
    return positions, np.where(nobody, np.float32(-np.inf), cosines)


def _ids(ids: np.ndarray, positions: np.ndarray) -> np.ndarray:
    return np.where(positions == _NOBODY, _NOBODY, ids[positions])


def _best_columns(scores: np.ndarray, k: int) -> np.ndarray:
    """Columns of the `k` largest scores of each row, of equal ones the first: what a sort would give, without one."""
    k = min(k, scores.shape[1])
    last = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]
    above, level = scores > last, scores == last
    wanted = k - above.sum(axis=1, keepdims=True)
    chosen = above | (level & (np.cumsum(level, axis=1) <= wanted))
    return np.nonzero(chosen)[1].reshape(len(scores), k)
