"""Who can be among the nearest others of each row, by the screen: collected tile by tile, in whole arrays."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transforms.neighbors.screen import NOTHING, Screen, key, value

# Rows of a tile, and columns. Rows are locked in such blocks, so that two tiles without a row in common never wait.
ROWS = 1024
# Candidates that come in, beyond those that are kept, before a row is pruned. More lets weak ones in, fewer costs sorting.
_ROOM = 64
# An entry is a key above a position: one sort puts both in order.
_NOBODY = np.iinfo(np.int64).min
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

    `positions` int64 (rows, m), -1 in empty places, which come last; `above` float32 (rows, m), descending: bounds from above
    of the exact dot products, -inf in empty places; `left_out` float32 (rows,) is one for everybody else. A listed dot product
    is at least `above` - 2 `error` - `place` 2^floor(log2 |above|), with `error` float32 (rows,) and `place` the width of a
    score's last place at 1.
    """

    positions: np.ndarray
    above: np.ndarray
    left_out: np.ndarray
    error: np.ndarray
    place: float

    def rows(self, some: slice) -> "Shortlist":
        """The lists of some rows."""
        return Shortlist(self.positions[some], self.above[some], self.left_out[some], self.error[some], self.place)

    def needed(self, k: int) -> np.ndarray:
        """What `above` must reach for somebody to be one of the `k` nearest, or tie with the last of them: float64 (rows,)."""
        if self.above.shape[1] < k:
            return np.full(len(self.above), -np.inf)
        last, error = self.above[:, k - 1].astype(np.float64), self.error.astype(np.float64)
        # Never too small: the far end of the place, where |score| is largest, can be in the next power of two.
        with np.errstate(divide="ignore", invalid="ignore"):
            place = self.place * np.exp2(np.floor(np.log2(np.abs(last) * (1 + 2.0**-6) + 2 * error)))
            return least_that_counts(last - 2 * error - place)


def merged(lists: Sequence[Shortlist], keep: int) -> Shortlist:
    """One list for each row from lists of the same rows that name different others; the best `keep` stay in it."""
    above = np.hstack([part.above for part in lists])
    positions = np.hstack([part.positions for part in lists])
    left_out = np.max([part.left_out for part in lists], axis=0)
    # Stable is for nobody: whoever ties with the first that is cut is cut by `left_out` too.
    order = np.argsort(-above, axis=1)
    above, positions = np.take_along_axis(above, order, 1), np.take_along_axis(positions, order, 1)
    if above.shape[1] > keep:
        left_out = np.maximum(left_out, above[:, keep])
    error = np.max([part.error for part in lists], axis=0)
    return Shortlist(positions[:, :keep], above[:, :keep], left_out, error, max(part.place for part in lists))


def joined(parts: Sequence[Shortlist]) -> Shortlist:
    """The lists of consecutive rows, one after the other."""
    width = max(part.above.shape[1] for part in parts)
    rows = sum(len(part.above) for part in parts)
    whole = Shortlist(
        np.full((rows, width), -1, np.int64),
        np.full((rows, width), -np.inf, np.float32),
        np.concatenate([part.left_out for part in parts]),
        np.concatenate([part.error for part in parts]),
        max(part.place for part in parts),
    )
    low = 0
    for part in parts:
        some = slice(low, low + len(part.above)), slice(part.above.shape[1])
        whole.positions[some], whole.above[some] = part.positions, part.above
        low = some[0].stop
    return whole


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
        self._entries = np.full((len(screen), k + spare + _ROOM), _NOBODY, np.int64)
        self._counts = np.zeros(len(screen), np.int32)
        self._left_out = np.full(len(screen), NOTHING, np.int32)
        self._lost = 0.0
        self._error = screen.error(0.0)
        self.locks = [threading.Lock() for _ in range(0, len(screen), ROWS)]

    def expect(self, other: Screen) -> None:
        """Know that scores with the rows of `other` come next."""
        self._lost = max(self._lost, float(other.lost.max(initial=0.0)))
        self._error = self._screen.error(self._lost)

    def unknown(self, rows: slice) -> bool:
        """Whether for some of the rows nothing excludes anybody yet."""
        return bool((self._left_out[rows] == NOTHING).any())

    def limits(self, rows: slice) -> np.ndarray:
        """The least score, in the screen's own width, that makes somebody a candidate of each row."""
        return self._screen.least_score(self._left_out[rows])

    def exclude_by_scores(self, rows: slice, last: np.ndarray) -> None:
        """Exclude whoever cannot be among the `k` nearest where `k` others have at least the scores `last`."""
        self._exclude(rows, self._at_least(self._screen.keys(last), self._error[rows]))

    def exclude_below(self, last: np.ndarray) -> None:
        """Exclude whoever cannot be among the `k` nearest where the k-th of others has the cosine `last`, -inf for none."""
        self._exclude(slice(None), last.astype(np.float64))

    def add(self, number: int, rows: np.ndarray, positions: np.ndarray, keys: np.ndarray) -> None:
        """Add candidates in the block of this number: `rows`, ascending, count from its first row."""
        start = number * ROWS
        block = slice(start, start + ROWS)
        entries, counts = self._entries[block], self._counts[block]
        packed = (keys.astype(np.int64) << 32) | positions
        while len(rows):
            new = np.bincount(rows, minlength=len(counts))
            place = np.arange(len(rows)) - (np.cumsum(new) - new)[rows] + counts[rows]
            fits = place < entries.shape[1]
            full = None if fits.all() else np.flatnonzero(counts + new > entries.shape[1])
            if full is None:
                entries[rows, place] = packed
                counts += new.astype(np.int32)
                return
            entries[rows[fits], place[fits]] = packed[fits]
            counts[:] = np.minimum(counts + new, entries.shape[1])
            self._prune(start + full)
            rest = ~fits & (packed >> 32 > self._left_out[block][rows])
            rows, packed = rows[rest], packed[rest]

    def shortlist(self) -> Shortlist:
        """What has been found, as it holds for exact dot products."""
        for low in range(0, len(self._entries), ROWS):
            self._prune(np.arange(low, min(low + ROWS, len(self._entries))))
        entries = self._entries[:, : self._keep]
        nobody = entries == _NOBODY
        keys = (entries >> 32).astype(np.int32)
        return Shortlist(
            np.where(nobody, -1, entries & _POSITION),
            np.where(nobody, np.float32(-np.inf), self._at_most(keys, self._error[:, None])),
            np.where(self._left_out == NOTHING, np.float32(-np.inf), self._at_most(self._left_out, self._error)),
            np.nextafter(self._error.astype(np.float32), np.float32(np.inf)),
            self._screen.half_place * 2.0**-22,
        )

    def _prune(self, rows: np.ndarray) -> None:
        entries = np.sort(self._entries[rows], axis=1)[:, ::-1]
        last, dropped = ((entries[:, place] >> 32).astype(np.int32) for place in (self._k - 1, self._keep))
        lowest = np.where(last > NOTHING, self._at_least(np.maximum(last, _NO_SCORE), self._error[rows]), -np.inf)
        left_out = np.maximum(np.maximum(self._left_out[rows], dropped), self._excluded(lowest, self._error[rows]))
        kept = entries >> 32 > left_out[:, None]
        self._entries[rows] = np.where(kept, entries, _NOBODY)
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
