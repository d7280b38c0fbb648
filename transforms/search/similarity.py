"""Cosine, dot product and euclidean distance of every pair of a few vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np


@dataclass(frozen=True)
class PairSimilarity:
    """Two texts, by number, and how near their vectors are."""

    a: int
    b: int
    cosine: float
    dot: float
    euclidean: float


def pairwise_similarity(vectors: np.ndarray) -> list[PairSimilarity]:
    """Similarities of every pair i < j of (n, dim) vectors, computed in float64.

    For unit vectors the three rank pairs alike: dot = cosine and euclidean² = 2 - 2 cosine.
    """
    rows = vectors.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1)
    pairs = []
    for i, j in combinations(range(len(rows)), 2):
        dot = float(rows[i] @ rows[j])
        cosine = dot / float(lengths[i] * lengths[j])
        pairs.append(PairSimilarity(i, j, cosine, dot, float(np.linalg.norm(rows[i] - rows[j]))))
    return pairs


# What float32 vectors of length 1 leave uncertain of a cosine, with room.
_TOLERANCE = 1e-6


def rank_alike(pairs: Sequence[PairSimilarity]) -> bool:
    """Whether cosine, dot product and euclidean distance put the pairs into one order, up to what rounding can turn.

    They do for unit vectors, where dot = cosine and euclidean² = 2 - 2 cosine; for others lengths count, and they need not.
    """
    if len(pairs) < 2:
        return True
    ranked = sorted(pairs, key=lambda pair: -pair.cosine)
    scale = max(max(abs(pair.dot) for pair in pairs), max(pair.euclidean for pair in pairs) ** 2, 1.0)
    dots = np.array([pair.dot for pair in ranked]) / scale
    squares = np.array([pair.euclidean for pair in ranked]) ** 2 / scale
    falling = np.minimum.accumulate(dots)[:-1] + _TOLERANCE >= dots[1:]
    rising = np.maximum.accumulate(squares)[:-1] - _TOLERANCE <= squares[1:]
    return bool(falling.all() and rising.all())
