"""Groups: kept texts, and the texts that each of them stands for."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

# Pairs that are looked at at a time.
_PAIRS = 1 << 20


@dataclass(frozen=True)
class Cover:
    """For every text its kept text (itself when it is kept), its cosine to that, and its connected component.

    `kept` and `component` are positions (n,) int64, a component being named by its smallest position; `cosines`
    float32 (n,).
    """

    kept: np.ndarray
    cosines: np.ndarray
    component: np.ndarray


def cover(texts: int, a: np.ndarray, b: np.ndarray, cosines: np.ndarray, order: np.ndarray) -> Cover:
    """Choose kept texts so that every other text is in a pair with its kept one, and no two kept texts are a pair.

    Pairs (`a[i]`, `b[i]`) of positions below `texts`, each pair once, have `cosines[i]`; `order` (texts,) lists
    positions, most wanted first. Going through it, a text is kept unless it is in a pair with a text kept before.
    Then every other text goes to the kept text that it is most similar to, of equal ones the most wanted. Nothing is
    removed by a chain: A ~ B ~ C without A ~ C never puts C under A.
    """
    rank = np.empty(texts, np.int32)
    rank[order] = np.arange(texts, dtype=np.int32)
    kept = _kept(texts, rank[a], rank[b])
    best, partner = _best_partners(kept, rank, a, b, cosines)
    best[kept], partner[kept] = 1, np.flatnonzero(kept)
    return Cover(order[partner][rank], best[rank], _components(texts, a, b))


def _kept(texts: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Which ranks are kept, bool (texts,), by pairs of ranks int32. Takes 8 bytes a pair."""
    pairs = np.minimum(a, b).astype(np.int64) << 32
    pairs |= np.maximum(a, b)
    pairs.sort()
    borders = np.searchsorted(pairs, np.arange(texts + 1) << 32)
    less_wanted = pairs.astype(np.int32)  # the lower half
    del pairs
    kept = np.ones(texts, bool)
    for row in np.flatnonzero(np.diff(borders)).tolist():
        if kept[row]:
            kept[less_wanted[borders[row] : borders[row + 1]]] = False
    return kept


def _best_partners(
    kept: np.ndarray, rank: np.ndarray, a: np.ndarray, b: np.ndarray, cosines: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """By rank the largest cosine to a kept text, float32, and the most wanted one that has it, int64 (texts,); some pairs at a
    time.
    """
    best, partner = np.full(len(kept), -np.inf, np.float32), np.full(len(kept), len(kept))
    for own, _, found in _with_kept(kept, rank, a, b, cosines):
        np.maximum.at(best, own, found)
    for own, other, found in _with_kept(kept, rank, a, b, cosines):
        nearest = found == best[own]
        np.minimum.at(partner, own[nearest], other[nearest])
    return best, partner


def _with_kept(
    kept: np.ndarray, rank: np.ndarray, a: np.ndarray, b: np.ndarray, cosines: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Ranks of texts that are not kept, of kept ones that they are a pair with, and the cosines."""
    for low in range(0, len(a), _PAIRS):
        of_a, of_b, found = rank[a[low : low + _PAIRS]], rank[b[low : low + _PAIRS]], cosines[low : low + _PAIRS]
        for own, other in ((of_a, of_b), (of_b, of_a)):
            chosen = kept[other] & ~kept[own]
            yield own[chosen], other[chosen], found[chosen]


def _components(texts: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    graph = csr_array((np.ones(len(a), bool), (a, b)), shape=(texts, texts))
    _, labels = connected_components(graph, directed=False)
    # Labels are numbered in order of the smallest member only by accident of the implementation: name them ourselves.
    _, smallest, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return smallest[inverse]
