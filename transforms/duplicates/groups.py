"""Groups: kept texts, and the texts that each of them stands for."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components


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
    rank = np.empty(texts, np.int64)
    rank[order] = np.arange(texts)
    left, right = np.concatenate([rank[a], rank[b]]), np.concatenate([rank[b], rank[a]])
    both = np.concatenate([cosines, cosines])
    by_left = np.lexsort((right, -both, left))
    left, right, both = left[by_left], right[by_left], both[by_left]
    kept = np.ones(texts, bool)
    later = right > left
    less_wanted, borders = right[later], np.searchsorted(left[later], np.arange(texts + 1))
    for row in np.flatnonzero(np.diff(borders)).tolist():
        if kept[row]:
            kept[less_wanted[borders[row] : borders[row + 1]]] = False
    # The first partner that is kept, in order of cosine and rank, is the one that stands for a text.
    candidates = np.flatnonzero(kept[right] & ~kept[left])
    members, first = np.unique(left[candidates], return_index=True)
    kept_rank, cosine = np.arange(texts), np.ones(texts, np.float32)
    kept_rank[members], cosine[members] = right[candidates[first]], both[candidates[first]]
    return Cover(order[kept_rank][rank], cosine[rank], _components(texts, a, b))


def _components(texts: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    graph = csr_array((np.ones(len(a), bool), (a, b)), shape=(texts, texts))
    _, labels = connected_components(graph, directed=False)
    # Labels are numbered in order of the smallest member only by accident of the implementation: name them ourselves.
    _, smallest, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return smallest[inverse]
