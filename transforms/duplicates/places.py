"""Positions of ids in ascending ids."""

import numpy as np


def places_of(values: np.ndarray, ascending: np.ndarray) -> np.ndarray:
    """Where each of `values` (n,) stands in `ascending` (m,), both int64: int64 (n,), -1 for those that are not there.

    By binary search: np.isin makes a hash table of both, which takes a hundred times as long for ids of 63 bits.
    """
    if not len(ascending):
        return np.full(len(values), -1, np.int64)
    places = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return np.where(ascending[places] == values, places, -1)


def ascending(values: np.ndarray) -> np.ndarray:
    """The different ones of `values` (n,) int64 in order, by sorting: np.unique makes a hash table first, and is slower."""
    ordered = np.sort(values)
    return ordered[np.concatenate([np.ones(min(1, len(ordered)), bool), ordered[1:] != ordered[:-1]])]
