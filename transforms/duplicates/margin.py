"""Margin: how much nearer two texts are to each other than to the texts around them.

The ratio margin of Artetxe and Schwenk (arXiv 1811.01136): cosine / mean of both neighbourhoods, where a text's neighbourhood
is the mean cosine of its nearest others. There both languages are sets without duplicates. Within one corpus the nearest
others of a text in a large group are the group itself, and the group would suppress its own pairs; so others that are a
pair with the text do not count.
"""

from collections.abc import Iterable

import numpy as np

from transforms.duplicates.lists import listed_cosines
from transforms.duplicates.places import places_of


def neighborhoods(cosines: np.ndarray, threshold: float) -> np.ndarray:
    """Mean cosine of the neighbours in each list (rows, k) that are below `threshold`: float64 (rows,).

    Where there are none all that is not in the list is below the threshold, which stands for it: an upper bound.
    """
    exact = cosines.astype(np.float64)
    outside = (exact < threshold) & np.isfinite(exact)  # an approximate list may have places that nobody has taken
    counts = outside.sum(axis=1)
    return np.where(counts, np.where(outside, exact, 0).sum(axis=1) / np.maximum(counts, 1), threshold)


def neighborhoods_of(ids: np.ndarray, graph: Iterable[str], threshold: float) -> np.ndarray:
    """The neighbourhoods of texts by ascending id, from the parts (paths) of the neighbour graph: float64 (ids,).

    Raises ValueError when the graph lacks a text.
    """
    found = np.full(len(ids), np.nan)
    for of_part, cosines in listed_cosines(graph):
        places = places_of(of_part, ids)
        rows = np.flatnonzero(places >= 0)
        found[places[rows]] = neighborhoods(cosines[rows], threshold)
    if len(missing := ids[np.isnan(found)]):
        raise ValueError(f"text {missing[0]} is in a pair but not in the neighbour graph: they are of different runs")
    return found


def margins(cosines: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Margins of pairs, from their cosines and the neighbourhoods of their texts, all (pairs,): float32, NaN without one."""
    around = (a + b) / 2
    return np.divide(cosines.astype(np.float64), around, out=np.full(len(around), np.nan), where=around > 0).astype(np.float32)
