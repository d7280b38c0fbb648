"""All pairs of a text of one set with a text of another, completely, and for each of the one its nearest of the other."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from transforms.duplicates.pairs import Pairs, concatenated
from transforms.neighbors import exact_cosines, exact_pair_cosines, screening_error

# Rows and columns of one score matrix: 16 MB of float32.
_ROWS, _COLUMNS = 1024, 4096

# Pairs found since the last time that rows were cut to their best: 20 MB.
_PENDING = 1 << 20


@dataclass(frozen=True)
class Best:
    """The nearest text of the other set: `ids` int64 and `cosines` float32, one for each row; -1 and -inf where none is."""

    ids: np.ndarray
    cosines: np.ndarray

    def offer(self, rows: np.ndarray, ids: np.ndarray, cosines: np.ndarray) -> None:
        """Take what is nearer, of equal ones the smaller id."""
        order = np.lexsort((ids, -cosines, rows))
        rows, first = np.unique(rows[order], return_index=True)
        ids, cosines = ids[order][first], cosines[order][first]
        nearer = (cosines > self.cosines[rows]) | ((cosines == self.cosines[rows]) & (ids < self.ids[rows]))
        self.ids[rows[nearer]], self.cosines[rows[nearer]] = ids[nearer], cosines[nearer]


def pairs_between(
    ids: np.ndarray, queries: np.ndarray, chunks: Iterable[tuple[np.ndarray, np.ndarray]], threshold: float, cap: int
) -> tuple[Pairs, Best]:
    """All pairs of snapped `queries` (rows, dim) with texts of another set and cosine ≥ `threshold`, a row's `cap` best.

    `chunks` are ids int64 ascending and snapped vectors of the other set, each id once. A text that is in both sets is a pair
    of cosine 1, whatever its vector, and its own nearest. Float32 products are the screen: what may reach the threshold, or may
    be the nearest of its row, is computed again exactly. Memory is one score matrix and `cap` pairs a row.
    """
    error = screening_error(queries.shape[1])
    floor = _not_above(np.array(threshold - error))
    best = Best(np.full(len(ids), -1, np.int64), np.full(len(ids), -np.inf, np.float32))
    nothing = np.zeros(len(ids), np.int64)
    same = [np.empty(0, np.int64)]
    found, pending = [Pairs(same[0], same[0], np.empty(0, np.float32), nothing)], 0
    for chunk_ids, vectors in chunks:
        same.append(np.flatnonzero(np.isin(ids, chunk_ids, assume_unique=True)))
        for top in range(0, len(ids), _ROWS):
            own = slice(top, top + _ROWS)
            for left in range(0, len(chunk_ids), _COLUMNS):
                other = slice(left, left + _COLUMNS)
                scores = queries[own] @ vectors[other].T
                # The nearest has a cosine of at least `known`, hence a score of at least that minus the error.
                known = np.maximum(best.cosines[own].astype(np.float64), scores.max(axis=1) - error)
                rows, columns = np.nonzero(scores >= np.minimum(floor, _not_above(known - error))[:, None])
                cosines = _exactly(queries[own], vectors[other], rows, columns)
                rows, others = rows + top, chunk_ids[other][columns]
                best.offer(rows, others, cosines)
                pair = (cosines.astype(np.float64) >= threshold) & (others != ids[rows])
                found.append(Pairs(rows[pair], others[pair], cosines[pair], nothing))
                pending += int(np.count_nonzero(pair))
                if pending > _PENDING:
                    found, pending = [concatenated(found).capped(cap)], 0
    both = np.concatenate(same)
    best.ids[both], best.cosines[both] = ids[both], 1
    found.append(Pairs(both, ids[both], np.ones(len(both), np.float32), nothing))
    return concatenated(found).capped(cap), best


def _not_above(values: np.ndarray) -> np.ndarray:
    """Float32 that the conversion has not rounded up."""
    return np.nextafter(values.astype(np.float32), np.float32(-np.inf))


def _exactly(queries: np.ndarray, vectors: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    if len(rows) > len(queries) * len(vectors) // 16:  # many near-equal texts: one exact product is faster than one for each
        return exact_cosines(queries, vectors)[rows, columns]
    return exact_pair_cosines(queries, vectors, rows, columns)
