"""Cosine, dot product and euclidean distance of every pair of a few vectors."""

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
