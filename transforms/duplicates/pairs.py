"""All pairs of distinct texts at or above a cosine, completely."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from transforms.duplicates.owners import NOBODY, SoleOwners
from transforms.duplicates.places import places_of
from transforms.neighbors import exact_cosines, exact_pair_cosines, screening_error

# Rows that are searched by range at a time, and columns of one score matrix: 4 MB of float32, or 40 MB when all are pairs.
_ROWS, _COLUMNS = 512, 2048

# Pairs found since the last time that rows were cut to their best (or as many as were kept then): 5 MB.
_PENDING = 1 << 18

# From one pair in so many products on, the exact product of all is faster than one for each pair: 15 ns against 0.2 µs.
_DENSE = 16

# Rows, ids of the others, and cosines of some pairs.
_Found = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Pairs:
    """Pairs of texts.

    `rows` int64 into the texts asked about, `others` int64 ids and `cosines` float32, one per pair; `dropped` int64, one
    per text asked about: how many of its pairs a cap has cut off.
    """

    rows: np.ndarray
    others: np.ndarray
    cosines: np.ndarray
    dropped: np.ndarray

    def capped(self, cap: int) -> "Pairs":
        """At most `cap` pairs of each row, those with the largest cosine, of equal ones the smaller ids."""
        return self.parted(cap)[0]

    def parted(self, cap: int) -> tuple["Pairs", "Pairs"]:
        """The best `cap` pairs of each row (as `capped`), by (row, cosine descending, other id), and all other pairs."""
        order = np.lexsort((self.others, -self.cosines, self.rows))
        counts = np.bincount(self.rows, minlength=len(self.dropped))
        rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        within = rank < cap
        return self._some(order[within], self.dropped + np.maximum(counts - cap, 0)), self._some(order[~within], self.dropped)

    def _some(self, chosen: np.ndarray, dropped: np.ndarray) -> "Pairs":
        return Pairs(self.rows[chosen], self.others[chosen], self.cosines[chosen], dropped)


@dataclass(frozen=True)
class Dropped:
    """Texts of which pairs were left out because a text had more than allowed, and how they would have to be found again.

    `ids` int64 ascending; `counts` int64, pairs left out with the text on either side, so that each pair counts twice;
    `best` float32, the highest cosine of those: all pairs of the text above it are there.
    """

    ids: np.ndarray
    counts: np.ndarray
    best: np.ndarray

    @classmethod
    def of(cls, a: np.ndarray, b: np.ndarray, cosines: np.ndarray) -> "Dropped":
        """What it means for the texts of some pairs of ids, float32 `cosines` (pairs,), to be left out."""
        both = np.concatenate([a, b])
        return cls(both, np.ones(len(both), np.int64), np.concatenate([cosines, cosines]))._by_text()

    @classmethod
    def summed(cls, parts: Iterable["Dropped"]) -> "Dropped":
        """Of different pairs that were left out, all together."""
        ids, counts, best = zip(*((part.ids, part.counts, part.best) for part in parts), strict=True)
        return cls(np.concatenate(ids), np.concatenate(counts), np.concatenate(best))._by_text()

    @property
    def pairs(self) -> int:
        """How many pairs were left out."""
        return int(self.counts.sum()) // 2

    def _by_text(self) -> "Dropped":
        order = np.argsort(self.ids, kind="stable")
        ids, starts = np.unique(self.ids[order], return_index=True)
        if not len(ids):
            return self
        return Dropped(ids, np.add.reduceat(self.counts[order], starts), np.maximum.reduceat(self.best[order], starts))


NOTHING_DROPPED = Dropped(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))


def listed_pairs(
    ids: np.ndarray,
    neighbor_ids: np.ndarray,
    cosines: np.ndarray,
    threshold: float,
    unfinished: np.ndarray,
    exact: bool = True,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs with cosine ≥ `threshold` that these lists (rows, k) hold, but for those of two unfinished texts: smaller id,
    larger id, cosine.

    `unfinished` are the ids, ascending, of all texts of the graph whose list is not finished. In an exact graph a pair of two
    finished texts is in both lists, and is taken from that of the smaller id; where one is unfinished, from that of the other:
    over all parts of the graph each pair comes once. In a graph that is not `exact` a pair may be in either list, and
    comes as often as it is. `threshold` is compared with the published float32.
    """
    rows, columns = np.nonzero(cosines.astype(np.float64) >= threshold)
    own, other, found = ids[rows], neighbor_ids[rows, columns], cosines[rows, columns]
    own_ends, other_ends = places_of(own, unfinished) < 0, places_of(other, unfinished) < 0
    wanted = own_ends & ((own < other) | ~other_ends) if exact else own_ends | other_ends
    own, other = own[wanted], other[wanted]
    return np.minimum(own, other), np.maximum(own, other), found[wanted]


def pairs_by_range(
    ids: np.ndarray,
    queries: np.ndarray,
    chunks: Iterable[tuple[np.ndarray, np.ndarray]],
    threshold: float,
    cap: int,
    owners: SoleOwners = NOBODY,
) -> tuple[Pairs, Dropped]:
    """All pairs of snapped `queries` (rows, dim) with texts of larger id and cosine ≥ `threshold`, a row's `cap` best.

    Two texts that only one and the same document has, by `owners`, are no pair.
    Float32 products are the screen: what reaches the threshold minus their error bound is computed again exactly.
    Memory is one score matrix and about twice `cap` pairs a row.
    """
    best, dropped = BestPairs(len(ids), cap), NOTHING_DROPPED
    for rows, others, cosines in reaching_pairs(queries, chunks, threshold, ids):
        pair = (others > ids[rows]) & ~owners.same(ids[rows], others)
        best.add(rows[pair], others[pair], cosines[pair])
        if best.are_many:
            dropped = _more_dropped(dropped, ids, best.cut())
    dropped = _more_dropped(dropped, ids, best.cut())
    return best.kept, dropped


def _more_dropped(dropped: Dropped, ids: np.ndarray, rest: Pairs) -> Dropped:
    return Dropped.summed([dropped, Dropped.of(ids[rest.rows], rest.others, rest.cosines)]) if len(rest.rows) else dropped


class BestPairs:
    """Pairs of `rows` texts as they are found, of which the best `cap` of each are kept.

    `kept` is right after `cut`, and is due when they `are_many`: so memory is about twice `cap` pairs a row.
    """

    def __init__(self, rows: int, cap: int) -> None:
        nobody = np.empty(0, np.int64)
        self.kept = Pairs(nobody, nobody, np.empty(0, np.float32), np.zeros(rows, np.int64))
        self._cap, self._found, self._pending = cap, list[_Found](), 0

    def add(self, rows: np.ndarray, others: np.ndarray, cosines: np.ndarray) -> None:
        """Take pairs, one value in each array, as in `Pairs`."""
        if len(rows):
            self._found.append((rows, others, cosines))
            self._pending += len(rows)

    @property
    def are_many(self) -> bool:
        """Whether so many are there that the worse ones should go."""
        # Sorting what was kept before must not cost more than it saves.
        return self._pending > max(_PENDING, len(self.kept.rows))

    def cut(self) -> Pairs:
        """Keep the best; the pairs that go."""
        found = [(self.kept.rows, self.kept.others, self.kept.cosines), *self._found]
        rows, others, cosines = (np.concatenate(values) for values in zip(*found, strict=True))
        self._found, self._pending = [], 0
        self.kept, rest = Pairs(rows, others, cosines, self.kept.dropped).parted(self._cap)
        return rest


def reaching_pairs(
    queries: np.ndarray,
    chunks: Iterable[tuple[np.ndarray, np.ndarray]],
    threshold: float,
    ids: np.ndarray | None = None,
) -> Iterator[_Found]:
    """Rows, other ids and cosines of all pairs of snapped `queries` (rows, dim) and texts of chunks with cosine ≥ `threshold`.

    Ids of a chunk ascend. With the `ids` of the rows, what has no text of larger id than a row's may be left out.
    """
    floor = screening_floor(queries.shape[1], threshold)
    for chunk_ids, vectors in chunks:
        for top in range(0, len(queries), _ROWS):
            own = slice(top, top + _ROWS)
            for left in range(0, len(chunk_ids), _COLUMNS):
                other = slice(left, left + _COLUMNS)
                if ids is not None and chunk_ids[other][-1] <= ids[own].min():
                    continue
                rows, columns, cosines = reaching(queries[own], vectors[other], floor, threshold)
                yield rows + top, chunk_ids[other][columns], cosines


def screening_floor(dim: int, threshold: float) -> np.float32:
    """What the float32 product of every pair with cosine ≥ `threshold` reaches."""
    # The conversion to float32 may have rounded up.
    return np.nextafter(np.float32(threshold - screening_error(dim)), np.float32(-2))


def reaching(
    queries: np.ndarray, vectors: np.ndarray, floor: np.float32, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and cosines of the pairs of snapped vectors with cosine ≥ `threshold`, whose `screening_floor` is given."""
    screened = queries @ vectors.T >= floor
    rows, columns = np.nonzero(screened)
    if len(rows) > screened.size // _DENSE:
        cosines = exact_cosines(queries, vectors)[rows, columns]
    else:
        cosines = exact_pair_cosines(queries, vectors, rows, columns)
    enough = cosines.astype(np.float64) >= threshold
    return rows[enough], columns[enough], cosines[enough]
