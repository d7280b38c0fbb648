"""Numbers of topics and themes: by descending size."""

import numpy as np


def numbered_by_size(labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Renumber labels >= 0 by descending total weight, ties by first position; int32 (n,). Negative labels become -1.

    `labels` int (n,), `weights` int (n,).
    """
    members = np.flatnonzero(labels >= 0)
    names, first, inverse = np.unique(labels[members], return_index=True, return_inverse=True)
    sizes = np.bincount(inverse, weights[members], minlength=len(names))
    number = np.empty(len(names), np.int32)
    number[np.lexsort((first, -sizes))] = np.arange(len(names))
    numbered = np.full(len(labels), -1, np.int32)
    numbered[members] = number[inverse]
    return numbered
