"""Exact nearest others by float32 screening and exact rescoring."""

from collections.abc import Iterable
from dataclasses import dataclass

import faiss
import numpy as np

from transforms.neighbors.cosine import exact_candidate_cosines, exact_cosines, screening_error

# Rows of the full exact search at a time: with a chunk of 65,536 columns their cosines take 67 MB.
_EXACT_ROWS = 256
_NOBODY = -1


@dataclass(frozen=True)
class Nearest:
    """The nearest others so far: `ids` int64 and `cosines` float32, (rows, k), by (cosine desc, id asc).

    Places that nobody has taken yet hold id -1 and cosine -inf.
    """

    ids: np.ndarray
    cosines: np.ndarray

    def rows(self, selected: np.ndarray) -> "Nearest":
        """The lists of some rows."""
        return Nearest(self.ids[selected], self.cosines[selected])

    def with_candidates(self, ids: np.ndarray, cosines: np.ndarray) -> "Nearest":
        """The k best of these lists and of candidates (rows, m) that are not in them."""
        all_ids, all_cosines = np.hstack([self.ids, ids]), np.hstack([self.cosines, cosines])
        order = np.lexsort((all_ids, -all_cosines))[:, : self.ids.shape[1]]
        return Nearest(np.take_along_axis(all_ids, order, 1), np.take_along_axis(all_cosines, order, 1))


def nearest_start(rows: int, k: int) -> Nearest:
    """Lists in which nobody is yet."""
    return Nearest(np.full((rows, k), _NOBODY, np.int64), np.full((rows, k), -np.inf, np.float32))


def nearest_others(
    ids: np.ndarray, queries: np.ndarray, chunks: Iterable[tuple[np.ndarray, np.ndarray]], k: int, margin: int = 8
) -> Nearest:
    """The `k` nearest others of snapped `queries` (rows, dim) with `ids` (rows,), over chunks of ids and snapped vectors.

    Every id comes once in all chunks together. A row that has fewer than `k` others keeps empty places.
    """
    nearest = nearest_start(len(ids), k)
    for chunk_ids, vectors in chunks:
        nearest, _ = search_chunk(nearest, ids, queries, chunk_ids, vectors, margin)
    return nearest


def search_chunk(
    nearest: Nearest, ids: np.ndarray, queries: np.ndarray, chunk_ids: np.ndarray, vectors: np.ndarray, margin: int
) -> tuple[Nearest, int]:
    """Add one chunk to the lists; also says for how many rows the screen was not enough.

    Float32 products keep the best k + 1 + margin vectors of the chunk (one place for the row itself), which are
    rescored exactly. Let f be the smallest kept float32 score and e the error bound. A vector that was not kept has a
    cosine of at most f + e. Where this is below the k-th exact cosine found so far, such a vector can neither enter
    the list nor tie with its end: the list is exact. The other rows, typically those with more than `margin` near-equal
    neighbours, are compared with the whole chunk in exact arithmetic. No margin is trusted: either it was
    enough, provably, or it is not used.
    """
    k = nearest.ids.shape[1]
    kept = min(k + 1 + margin, len(vectors))
    scores, columns = faiss.knn(queries, vectors, kept, metric=faiss.METRIC_INNER_PRODUCT)
    cosines = exact_candidate_cosines(queries, vectors, columns)
    found = nearest.with_candidates(*_without_self(ids, chunk_ids[columns], cosines))
    if kept == len(vectors):
        return found, 0
    left_out = scores[:, -1].astype(np.float64) + screening_error(queries.shape[1])
    unproven = np.flatnonzero(left_out >= found.cosines[:, -1])
    for low in range(0, len(unproven), _EXACT_ROWS):
        rows = unproven[low : low + _EXACT_ROWS]
        cosines = exact_cosines(queries[rows], vectors)
        cosines[ids[rows, None] == chunk_ids] = -np.inf
        columns = _best_columns(cosines, k)
        candidates = np.take_along_axis(cosines, columns, 1)
        exact = nearest.rows(rows).with_candidates(*_without_self(ids[rows], chunk_ids[columns], candidates))
        found.ids[rows], found.cosines[rows] = exact.ids, exact.cosines
    return found, len(unproven)


def _without_self(ids: np.ndarray, found: np.ndarray, cosines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    itself = found == ids[:, None]
    return np.where(itself, _NOBODY, found), np.where(itself, np.float32(-np.inf), cosines)


def _best_columns(scores: np.ndarray, k: int) -> np.ndarray:
    """Columns of the `k` largest scores of each row, of equal ones the first: what a sort would give, without one."""
    k = min(k, scores.shape[1])
    last = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]
    above, level = scores > last, scores == last
    wanted = k - above.sum(axis=1, keepdims=True)
    chosen = above | (level & (np.cumsum(level, axis=1) <= wanted))
    return np.nonzero(chosen)[1].reshape(len(scores), k)
