"""All pairs of a text of one set with a text of another, completely."""

from collections.abc import Callable, Iterable

import numpy as np

from transforms.duplicates.pairs import BestPairs, Pairs, reaching_pairs
from transforms.neighbors import Nearest

# Ids int64 ascending and snapped vectors float32 (m, dim) of the other set, each id once; called for every pass over it.
Chunks = Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]


def pairs_between(
    ids: np.ndarray, queries: np.ndarray, nearest: Nearest, same: np.ndarray, chunks: Chunks, threshold: float, cap: int
) -> Pairs:
    """All pairs of snapped `queries` (rows, dim) with texts of another set and cosine ≥ `threshold`, a row's `cap` best.

    `nearest` lists the nearest others of every row in that set, a row's own text left out; `same` int64 are the rows whose text
    is in the set, which is a pair of cosine 1, whatever its vector. A list that ends below the threshold says all; the other
    rows are searched by range, in memory of one score matrix and about twice `cap` pairs a row.
    """
    cosines = nearest.cosines.astype(np.float64)
    rows, columns = np.nonzero(cosines >= threshold)
    unfinished = np.flatnonzero(cosines[:, -1] >= threshold) if cosines.shape[1] else np.empty(0, np.int64)
    listed = ~np.isin(rows, unfinished)
    rows, columns = rows[listed], columns[listed]
    best = BestPairs(len(ids), cap)
    best.add(rows, nearest.ids[rows, columns], nearest.cosines[rows, columns])
    best.add(same, ids[same], np.ones(len(same), np.float32))
    for rows, others, cosines in reaching_pairs(queries[unfinished], chunks() if len(unfinished) else (), threshold):
        rows = unfinished[rows]
        pair = others != ids[rows]
        best.add(rows[pair], others[pair], cosines[pair])
        if best.are_many:
            best.cut()
    best.cut()
    return best.kept
