"""Loops over the words of many texts, one pass over data in cache.

All arithmetic is of uint64, which wraps: a signed number beside one would make both floating-point numbers.
"""

import numpy as np

from transforms.compiled import compiled


@compiled
def hash_words(codes: np.ndarray, starts: np.ndarray, lengths: np.ndarray, base: np.uint64, hashes: np.ndarray) -> None:
    """Σ code · base^place, places from 1, of each word `codes[start : start + length]`, into `hashes` uint64 (words,)."""
    for word in range(len(starts)):
        total, power = np.uint64(0), base
        for place in range(starts[word], starts[word] + lengths[word]):
            total += np.uint64(codes[place]) * power
            power *= base
        hashes[word] = total


@compiled
def keep_once(values: np.ndarray, borders: np.ndarray, sizes: np.ndarray) -> None:
    """Keep each of the sorted `values[borders[i] : borders[i + 1]]` once, one set after the other at the front of `values`.

    `sizes` int64 becomes how many are left of each.
    """
    end = 0
    for text in range(len(sizes)):
        first, before = end, np.uint64(0)
        for place in range(borders[text], borders[text + 1]):
            value = values[place]
            if place == borders[text] or value != before:
                # Not past the place that is read: what is kept is not longer than what was there.
                values[end] = value
                end += 1
            before = value
        sizes[text] = end - first


@compiled
def take_sets(values: np.ndarray, offsets: np.ndarray, rows: np.ndarray, starts: np.ndarray, taken: np.ndarray) -> None:
    """Copy the sets of some rows: set `rows[i]` of `values` goes to `taken[starts[i] : starts[i + 1]]`."""
    for i in range(len(rows)):
        first = offsets[rows[i]]
        for place in range(starts[i + 1] - starts[i]):
            taken[starts[i] + place] = values[first + place]


@compiled
def count_common(values: np.ndarray, offsets: np.ndarray, a: np.ndarray, b: np.ndarray, common: np.ndarray) -> None:
    """How many elements the sets `a[i]` and `b[i]`, each ascending, have in common, into `common` int64 (pairs,)."""
    for pair in range(len(a)):
        left, left_end = offsets[a[pair]], offsets[a[pair] + 1]
        right, right_end = offsets[b[pair]], offsets[b[pair] + 1]
        count = 0
        while left < left_end and right < right_end:
            one, other = values[left], values[right]
            # Sums of comparisons, which are never guessed wrong, as jumps would be.
            left += one <= other
            right += other <= one
            count += one == other
        common[pair] = count
