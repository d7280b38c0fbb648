"""Loops of the screen and of exact products, one pass over data in cache."""

import numpy as np

from transforms.compiled import compiled

# The entry of an empty place. An entry is a key above a position: one sort puts both in order.
NOBODY = np.iinfo(np.int64).min
# Scores that are looked at together, a multiple of 8.
_STEP = 64


@compiled
def take(
    scores: np.ndarray,
    least: np.ndarray,
    for_columns: bool,
    first: int,
    shift: int,
    entries: np.ndarray,
    counts: np.ndarray,
    left_out: np.ndarray,
) -> None:
    """Put who scores enough into the lists of the rows of `scores` (rows, columns): column c is position `first` + c.

    List i takes scores of at least `least[i]`, of the type of the scores, which has `shift` bits less than a key. `entries`
    int64 (lists, places) hold `counts` int32 (lists,) each. In a full list the worst makes room for a better one, and
    `left_out` int32 (lists,), at or below which no key gets in, becomes at least the key of whoever is not in it. With
    `for_columns` the lists are those of the columns, and row r is position `first` + r.
    """
    rows, columns = scores.shape
    places, rest = entries.shape[1], (1 << shift) - 1
    # One byte for each of the scores that are looked at together, and the same bytes as words.
    enough = np.zeros(_STEP, np.uint8)
    words = enough.view(np.uint64)
    for row in range(rows):
        for step in range((columns + _STEP - 1) // _STEP):
            low = step * _STEP
            if low + _STEP > columns:
                enough[:] = 0
                for i in range(columns - low):
                    enough[i] = scores[row, low + i] >= least[low + i if for_columns else row]
            elif for_columns:  # a constant number of comparisons becomes a few instructions
                for i in range(_STEP):
                    enough[i] = scores[row, low + i] >= least[low + i]
            else:
                for i in range(_STEP):
                    enough[i] = scores[row, low + i] >= least[row]
            for word in range(_STEP // 8):
                if not words[word]:
                    continue
                for i in range(8 * word, 8 * word + 8):
                    if not enough[i]:
                        continue
                    own, other = (low + i, row) if for_columns else (row, low + i)
                    score = np.int64(scores[row, low + i])
                    key = (score << shift) | (rest if score < 0 else 0)
                    if key <= left_out[own]:
                        continue
                    entry = (key << 32) | (first + other)
                    if counts[own] < places:
                        entries[own, counts[own]] = entry
                        counts[own] += 1
                        continue
                    worst = 0
                    for place in range(places):
                        if entries[own, place] < entries[own, worst]:
                            worst = place
                    left_out[own] = max(left_out[own], min(entry, entries[own, worst]) >> 32)
                    entries[own, worst] = max(entry, entries[own, worst])


@compiled
def pair_dots(a: np.ndarray, b: np.ndarray, rows: np.ndarray, columns: np.ndarray, dots: np.ndarray) -> None:
    """Dot products of `a[rows[i]]` and `b[columns[i]]`, summed in float64, into `dots` float64 (pairs,)."""
    for pair in range(len(rows)):
        left, right = a[rows[pair]], b[columns[pair]]
        total = 0.0
        for i in range(len(left)):
            total += np.float64(left[i]) * np.float64(right[i])
        dots[pair] = total
