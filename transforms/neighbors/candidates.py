"""Who can be among the nearest others of each row, by the screen: collected tile by tile, in whole arrays."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transforms.neighbors.compiled import NOBODY, take
from transforms.neighbors.screen import NOTHING, Screen, key, value

# Rows of a tile, and columns. Rows are locked in such blocks, so that two tiles without a row in common never wait.
ROWS = 1024
# Places beyond those of candidates that are kept. Half full they are pruned, when a tile is done: more lets weak ones in, fewer
# costs sorting.
_ROOM = 64
_POSITION = 0xFFFFFFFF
# A key below those of all scores of unit vectors, far enough from the smallest to subtract from.
_NO_SCORE = NOTHING + (1 << 24)
# Cosines are cut at -1, where the order of dot products is not theirs any more: below this nobody is left out for a score.
_LOWEST = -0.999
# More than what rounding a cosine to float32 can add to it.
_LAST_PLACE = 2.0**-24


@dataclass(frozen=True)
class Shortlist:
    """For each row the others that can be among its nearest, and what is proven of those who are not listed.

    Row i has the next `counts[i]` of `positions` int64 and `above` float32, descending within the row: bounds from above of the
    exact dot products. `left_out` float32 (rows,) is one for everybody else, -inf where there is nobody. A listed dot product
    is at least `above` - 2 `error` - `place` 2^floor(log2 |above|), with `error` float32 (rows,) and `place` the width of a
    score's last place at 1.
    """

    counts: np.ndarray
    positions: np.ndarray
    above: np.ndarray
    left_out: np.ndarray
    error: np.ndarray
    place: float

    def __len__(self) -> int:
        return len(self.counts)

    def row_numbers(self) -> np.ndarray:
        """The row of everybody who is listed, int64, ascending."""
        return np.repeat(np.arange(len(self)), self.counts)

    def rows(self, some: slice) -> "Shortlist":
        """The lists of consecutive rows."""
        start, stop, _ = some.indices(len(self))
        ends = np.cumsum(self.counts)
        first = int(ends[start - 1]) if start else 0
        listed = slice(first, int(ends[stop - 1]) if stop > start else first)
        return Shortlist(
            self.counts[some],
            self.positions[listed],
            self.above[listed],
            self.left_out[some],
            self.error[some],
            self.place,
        )

    def needed(self, k: int) -> np.ndarray:
        """What `above` must reach for somebody to be one of the `k` nearest, or tie with the last of them: float64 (rows,)."""
        places = np.cumsum(self.counts) - self.counts + k - 1
        enough = self.counts >= k
        last, error = np.full(len(self), -np.inf), self.error.astype(np.float64)
        last[enough] = self.above[places[enough]]
        # Never too small: the far end of the place, where |score| is largest, can be in the next power of two.
        with np.errstate(divide="ignore", invalid="ignore"):
            place = self.place * np.exp2(np.floor(np.log2(np.abs(last) * (1 + 2.0**-6) + 2 * error)))
            return least_that_counts(last - 2 * error - place)


def joined(parts: Sequence[Shortlist]) -> Shortlist:
    """The lists of consecutive rows, one after the other."""
    return Shortlist(
        np.concatenate([part.counts for part in parts]),
        np.concatenate([part.positions for part in parts]),
        np.concatenate([part.above for part in parts]),
        np.concatenate([part.left_out for part in parts]),
        np.concatenate([part.error for part in parts]),
        max(part.place for part in parts),
    )


def merged(lists: Sequence[Shortlist], keep: int) -> Shortlist:
    """One list for each row from lists of the same rows that name different others; the best `keep` stay in it."""
    steps = [slice(low, low + ROWS) for low in range(0, len(lists[0]), ROWS)]
    return joined([_merged([part.rows(some) for part in lists], keep) for some in steps])


def _merged(lists: Sequence[Shortlist], keep: int) -> Shortlist:
    entries = np.sort(np.hstack([_lines(part) for part in lists]), axis=1)[:, ::-1]
    left_out = np.max([part.left_out for part in lists], axis=0)
    if entries.shape[1] > keep:
        # Whoever ties with the first that is cut may be cut or not: `left_out` is not below either.
        dropped = entries[:, keep]
        left_out = np.maximum(left_out, np.where(dropped == NOBODY, np.float32(-np.inf), value(_keys(dropped))))
    entries = entries[:, :keep]
    listed = entries != NOBODY
    error = np.max([part.error for part in lists], axis=0)
    place = max(part.place for part in lists)
    return Shortlist(listed.sum(axis=1), entries[listed] & _POSITION, value(_keys(entries[listed])), left_out, error, place)


def _lines(lists: Shortlist) -> np.ndarray:
    """Lists as entries, int64 (rows, length of the longest)."""
    lines = np.full((len(lists), int(lists.counts.max(initial=0))), NOBODY, np.int64)
    listed = np.arange(lines.shape[1]) < lists.counts[:, None]
    lines[listed] = (key(lists.above).astype(np.int64) << 32) | lists.positions
    return lines


def _keys(entries: np.ndarray) -> np.ndarray:
    return (entries >> 32).astype(np.int32)


def least_that_counts(last: np.ndarray) -> np.ndarray:
    """What a dot product must reach for a cosine not below the k-th, whose dot product is at least `last`: float64."""
    least = np.minimum(last, 1) - _LAST_PLACE
    return np.where(least > _LOWEST, least, -np.inf)


class Candidates:
    """Candidates of rows, the best `k` + `spare` by the screen, and the score above which nobody was left out.

    That score, `left_out` (int32 keys), rises in two ways: with the k-th best score, which excludes whoever scores less by more
    than the screen's error, and when there are more than `spare` candidates that it does not exclude. The first never costs
    a row its proof; after the second the exact cosines decide whether there is one.
    """

    def __init__(self, screen: Screen, k: int, spare: int) -> None:
        self._screen, self._k, self._keep = screen, k, k + spare
        self._entries = np.full((len(screen), k + spare + _ROOM), NOBODY, np.int64)
        self._counts = np.zeros(len(screen), np.int32)
        self._left_out = np.full(len(screen), NOTHING, np.int32)
        self._lost = 0.0
        self._error = screen.error(0.0)
        self._locks = [threading.Lock() for _ in range(0, len(screen), ROWS)]

    def expect(self, other: Screen) -> None:
        """Know that scores with the rows of `other` come next."""
        self._lost = max(self._lost, float(other.lost.max(initial=0.0)))
        self._error = self._screen.error(self._lost)

    def unknown(self, rows: slice) -> bool:
        """Whether for some of the rows nothing excludes anybody yet."""
        return bool((self._left_out[rows] == NOTHING).any())

    def limits(self, rows: slice) -> np.ndarray:
        """The least score, in the screen's own width, that makes somebody a candidate of each row.

        Other threads may be raising it: whoever uses a limit of a moment ago only adds candidates in vain.
        """
        return self._screen.least_score(self._left_out[rows])

    def exclude_by_scores(self, rows: slice, last: np.ndarray) -> None:
        """Exclude whoever cannot be among the `k` nearest, `k` others having at least the scores `last`: rows of one block."""
        # Another thread may be raising the same limits: the smaller ones must not replace them.
        with self._locks[rows.start // ROWS]:
            self._exclude(rows, self._at_least(self._screen.keys(last), self._error[rows]))

    def exclude_below(self, last: np.ndarray) -> None:
        """Exclude whoever cannot be among the `k` nearest where the k-th of others has the cosine `last`, -inf for none."""
        self._exclude(slice(None), last.astype(np.float64))

    def take(self, rows: slice, scores: np.ndarray, first: int, for_columns: bool = False) -> None:
        """Add those of a tile who score enough to the lists of `rows`, which are in one block.

        `scores` (rows, others) with those at the positions from `first`, or, `for_columns`, (others, rows).
        """
        own = self._entries[rows], self._counts[rows], self._left_out[rows]
        with self._locks[rows.start // ROWS]:
            take(scores, self.limits(rows), for_columns, first, self._screen.shift, *own)
            full = np.flatnonzero(own[1] > self._keep + _ROOM // 2)
            if len(full):
                self._prune(rows.start + full)

    def shortlist(self) -> Shortlist:
        """What has been found, as it holds for exact dot products."""
        return joined([self._shortlist(slice(low, low + ROWS)) for low in range(0, len(self._entries), ROWS)])

    def _shortlist(self, rows: slice) -> Shortlist:
        self._prune(np.arange(len(self._entries))[rows])
        entries, left_out, error = self._entries[rows, : self._keep], self._left_out[rows], self._error[rows]
        listed = entries != NOBODY
        counts, entries = listed.sum(axis=1), entries[listed]
        return Shortlist(
            counts,
            entries & _POSITION,
            self._at_most(_keys(entries), np.repeat(error, counts)),
            np.where(left_out == NOTHING, np.float32(-np.inf), self._at_most(left_out, error)),
            np.nextafter(error.astype(np.float32), np.float32(np.inf)),
            self._screen.half_place * 2.0**-22,
        )

    def _prune(self, rows: np.ndarray) -> None:
        entries = np.sort(self._entries[rows], axis=1)[:, ::-1]
        last, dropped = _keys(entries[:, self._k - 1]), _keys(entries[:, self._keep])
        lowest = np.where(last > NOTHING, self._at_least(np.maximum(last, _NO_SCORE), self._error[rows]), -np.inf)
        left_out = np.maximum(np.maximum(self._left_out[rows], dropped), self._excluded(lowest, self._error[rows]))
        kept = entries >> 32 > left_out[:, None]
        self._entries[rows] = np.where(kept, entries, NOBODY)
        self._counts[rows] = kept.sum(axis=1)
        self._left_out[rows] = left_out

    def _exclude(self, rows: slice, lowest: np.ndarray) -> None:
        self._left_out[rows] = np.maximum(self._left_out[rows], self._excluded(lowest, self._error[rows]))

    def _excluded(self, lowest: np.ndarray, error: np.ndarray) -> np.ndarray:
        """The largest key that excludes where the k-th dot product is at least `lowest`, NOTHING where none does."""
        least = least_that_counts(lowest)
        below = np.nextafter((least - error).astype(np.float32), np.float32(-np.inf))
        return np.where(np.isfinite(least), key(below) - self._screen.half_place - 1, NOTHING).astype(np.int32)

    def _at_least(self, keys: np.ndarray, error: np.ndarray) -> np.ndarray:
        return value(keys - self._screen.half_place).astype(np.float64) - error

    def _at_most(self, keys: np.ndarray, error: np.ndarray) -> np.ndarray:
        above = value(np.maximum(keys, _NO_SCORE) + self._screen.half_place).astype(np.float64) + error
        return np.nextafter(above.astype(np.float32), np.float32(np.inf))
