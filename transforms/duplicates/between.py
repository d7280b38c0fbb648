"""All pairs of a text of one set with a text of another, completely."""

from collections.abc import Callable, Iterable

import numpy as np

from transforms.duplicates.pairs import Pairs, concatenated, reaching, screening_floor
from transforms.neighbors import Nearest

# Rows and columns of one score matrix: 16 MB of float32.
_ROWS, _COLUMNS = 1024, 4096

# Pairs found since the last time that rows were cut to their best: 20 MB.
_PENDING = 1 << 20

# Ids int64 ascending and snapped vectors float32 (m, dim) of the other set, each id once; called for every pass over it.
Chunks = Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]


def pairs_between(
    ids: np.ndarray, queries: np.ndarray, nearest: Nearest, same: np.ndarray, chunks: Chunks, threshold: float, cap: int
) -> Pairs:
    """All pairs of snapped `queries` (rows, dim) with texts of another set and cosine ≥ `threshold`, a row's `cap` best.

    `nearest` lists the nearest others of every row in that set, a row's own text left out; `same` int64 are the rows whose text
    is in the set, which is a pair of cosine 1, whatever its vector. A list that ends below the threshold says all; the other
    rows are searched by range.
    """
    cosines = nearest.cosines.astype(np.float64)
    rows, columns = np.nonzero(cosines >= threshold)
    unfinished = np.flatnonzero(cosines[:, -1] >= threshold) if cosines.shape[1] else np.empty(0, np.int64)
    listed = ~np.isin(rows, unfinished)
    rows, columns = rows[listed], columns[listed]
    nothing = np.zeros(len(ids), np.int64)
    found = [
        Pairs(rows, nearest.ids[rows, columns], nearest.cosines[rows, columns], nothing),
        Pairs(same, ids[same], np.ones(len(same), np.float32), nothing),
    ]
    if len(unfinished):
        ranged = range_between(ids[unfinished], queries[unfinished], chunks(), threshold, cap)
        dropped = nothing.copy()
        dropped[unfinished] = ranged.dropped
        found.append(Pairs(unfinished[ranged.rows], ranged.others, ranged.cosines, dropped))
    return concatenated(found).capped(cap)


def range_between(
    ids: np.ndarray, queries: np.ndarray, chunks: Iterable[tuple[np.ndarray, np.ndarray]], threshold: float, cap: int
) -> Pairs:
    """All pairs of snapped `queries` (rows, dim) with other texts and cosine ≥ `threshold`, a row's `cap` best.

    Float32 products are the screen: what reaches the threshold minus their error bound is computed again exactly. Memory is one
    score matrix and `cap` pairs a row.
    """
    floor = screening_floor(queries.shape[1], threshold)
    nothing, nobody = np.zeros(len(ids), np.int64), np.empty(0, np.int64)
    found, pending = [Pairs(nobody, nobody, np.empty(0, np.float32), nothing)], 0
    for chunk_ids, vectors in chunks:
        for top in range(0, len(ids), _ROWS):
            own = slice(top, top + _ROWS)
            for left in range(0, len(chunk_ids), _COLUMNS):
                other = slice(left, left + _COLUMNS)
                rows, columns, cosines = reaching(queries[own], vectors[other], floor, threshold)
                rows, others = rows + top, chunk_ids[other][columns]
                pair = others != ids[rows]
                found.append(Pairs(rows[pair], others[pair], cosines[pair], nothing))
                pending += len(rows)
                if pending > _PENDING:
                    found, pending = [concatenated(found).capped(cap)], 0
    return concatenated(found).capped(cap)
