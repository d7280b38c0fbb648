"""Texts with equal vectors: what is found by a layout or a sequence of merges may tear them apart, and nothing else could."""

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

# Four float32 steps below 1: lengths and cosines are rounded, and texts that are nearer than this cannot be told apart.
EQUAL = 1 - 2.0**-22


def equal_texts(neighbors: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """Groups of texts that edges between equal vectors connect, numbers int32 (n,); a text without an equal is alone.

    `neighbors` int (n, K) positions, -1 for one outside; `cosines` float32 (n, K).
    """
    n = len(neighbors)
    row, place = np.nonzero((cosines >= EQUAL) & (neighbors >= 0))
    if not len(row):
        return np.arange(n, dtype=np.int32)
    edges = sp.csr_matrix((np.ones(len(row), np.int8), (row, neighbors[row, place])), shape=(n, n))
    groups: np.ndarray = connected_components(edges, directed=False)[1]
    return groups.astype(np.int32)


def joined(groups: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Groups of texts that share a group of one kind or of the other; all int (n,)."""
    n = len(groups)
    if not n:
        return groups
    nodes = n + int(groups.max()) + 1
    texts, both = np.tile(np.arange(n), 2), np.concatenate([n + groups, nodes + others])
    edges = sp.csr_matrix((np.ones(2 * n, np.int8), (texts, both)), shape=(nodes + int(others.max()) + 1,) * 2)
    found: np.ndarray = connected_components(edges, directed=False)[1][:n]
    return found


def share_labels(groups: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Every text's label int (n,) after its group has agreed on one: the most frequent, ties to the smaller.

    Negative labels, noise, do not count: a group has one only where all of it have. `groups` int (n,), from 0.
    """
    sizes = np.bincount(groups)
    crowd = sizes[groups] > 1
    voters = np.flatnonzero(crowd & (labels >= 0))
    agreed = np.full(len(sizes), -1, labels.dtype)
    if len(voters):
        width = int(labels.max()) + 1
        ballots, votes = np.unique(groups[voters].astype(np.int64) * width + labels[voters], return_counts=True)
        group, label = np.divmod(ballots, width)
        order = np.lexsort((label, -votes, group))
        first = order[np.diff(group[order], prepend=-1) > 0]
        agreed[group[first]] = label[first]
    shared: np.ndarray = np.where(crowd, agreed[groups], labels)
    return shared
