"""What kind of pair two texts are: copies with edits or other words, and in what they differ that an encoder hardly sees."""

import numpy as np
import pyarrow as pa

from transforms.duplicates.compiled import count_common
from transforms.duplicates.wording import HashSets, Wordings

NEAR, PARAPHRASE, EXACT = "near", "paraphrase", "exact"

# Bit i of a pair's mask says that the texts differ in the i-th.
DIFFERENCES = ("numbers", "dates", "versions", "negation")


def described_pairs(
    wordings: Wordings, a: np.ndarray, b: np.ndarray, near_jaccard: float
) -> tuple[pa.Array, pa.Array, np.ndarray]:
    """Relation (string), names of the differences (list<string>) and Jaccard similarity (float32) of pairs of different texts.

    Pair i is the texts `a[i]` and `b[i]` of `wordings`.
    """
    similar = jaccards(wordings, a, b)
    return relations(similar, near_jaccard), difference_lists(differences(wordings, a, b)), similar


def jaccards(wordings: Wordings, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Jaccard similarity of the word 3-grams of each pair of texts `a[i]` and `b[i]`: float32 (pairs,).

    Of the words where one of both has fewer than 3; 1 for two texts without any word.
    """
    sizes = wordings.grams.sizes
    short = (sizes[a] == 0) | (sizes[b] == 0)
    similar = np.empty(len(a), np.float32)
    for sets, pairs in ((wordings.grams, np.flatnonzero(~short)), (wordings.words, np.flatnonzero(short))):
        if len(pairs):
            similar[pairs] = _jaccards(sets, a[pairs], b[pairs])
    return similar


def differences(wordings: Wordings, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Reason codes for pairs of texts that an encoder may take for the same: uint8 (pairs,), a bit for each of `DIFFERENCES`.

    `numbers`, `dates`, `versions`: other ones, or another count of the same; `negation`: another number of negation words.
    """
    mask = (wordings.negations[a] != wordings.negations[b]).astype(np.uint8) << 3
    for bit in range(3):
        mask |= (wordings.quantities[a, bit] != wordings.quantities[b, bit]).astype(np.uint8) << bit
    return mask


def relations(similar: np.ndarray, near_jaccard: float) -> pa.Array:
    """`near` or `paraphrase` for each pair of different texts, by the Jaccard similarity (pairs,)."""
    return pa.array([PARAPHRASE, NEAR]).take(pa.array((similar.astype(np.float64) >= near_jaccard).astype(np.int8)))


def difference_lists(mask: np.ndarray) -> pa.Array:
    """The names of the differences of each pair, list<string> (pairs,), from the bits (pairs,)."""
    names = [[name for bit, name in enumerate(DIFFERENCES) if value >> bit & 1] for value in range(1 << len(DIFFERENCES))]
    return pa.array(names, pa.list_(pa.string())).take(pa.array(mask))


def _jaccards(sets: HashSets, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    common = np.empty(len(a), np.int64)
    count_common(sets.values, sets.offsets, a, b, common)
    union = sets.sizes[a] + sets.sizes[b] - common
    return np.where(union, common / np.maximum(union, 1), 1).astype(np.float32)
