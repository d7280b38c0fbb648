"""Recall: how many of the true neighbours a search in the index finds, and how many lists it must visit for that."""

from collections.abc import Sequence
from dataclasses import dataclass

import faiss
import numpy as np

from transforms.index.sample import all_ids, rows_of
from transforms.vectors import VectorBlock

RANKS = (1, 10, 100)

# Scores that differ by less are ties: float32 products of unit vectors err by some 1e-7 (and never by 2e-5, at 384).
# An inner product of x and y is ‖x‖·‖y‖ times that of their directions, and so is its error: float32 rounds relatively (Higham,
# Accuracy and Stability of Numerical Algorithms, 3.1: at most γ_d·Σ|x_i·y_i| ≤ γ_d·‖x‖·‖y‖). For other vectors the tolerance is
# therefore TIE·‖query‖·‖result‖. The result's own length suffices: a true neighbour, or its equal, may come out of two kernels
# with two scores, both within the error at its own length, while a text of another length that happens to tie within rounding
# may only be counted as not found. Recall is never overstated because of one long vector elsewhere.
TIE = 1e-5


@dataclass(frozen=True)
class Truth:
    """The queries' nearest others, never themselves: ids int64 and scores float32 (queries, depth), best first."""

    ids: np.ndarray
    scores: np.ndarray


def exact_top(queries: VectorBlock, blocks: Sequence[VectorBlock], depth: int) -> Truth:
    """The nearest others of each query among the blocks, one block in memory at a time.

    Where blocks have fewer than `depth` others, empty places hold id -1 and score -inf.
    """
    query_ids, vectors = queries.ids(), np.ascontiguousarray(queries.vectors())
    truth = Truth(np.full((queries.rows, depth), -1, np.int64), np.full((queries.rows, depth), -np.inf, np.float32))
    for block in blocks if queries.rows else ():
        k = min(depth + 1, block.rows)  # one more, for the query itself
        others = np.ascontiguousarray(block.vectors())
        scores, columns = faiss.knn(vectors, others, k, metric=faiss.METRIC_INNER_PRODUCT)
        truth = best_of([truth, without_self(query_ids, block.ids()[columns], scores)])
    return truth


def without_self(query_ids: np.ndarray, ids: np.ndarray, scores: np.ndarray) -> Truth:
    """Search results without the queries themselves: their places become empty."""
    nobody = (ids == query_ids[:, None]) | (ids < 0)
    return Truth(np.where(nobody, -1, ids), np.where(nobody, np.float32(-np.inf), scores))


def best_of(truths: Sequence[Truth]) -> Truth:
    """The best of several results over different texts, ties by smaller id; as deep as the first."""
    ids, scores = np.hstack([truth.ids for truth in truths]), np.hstack([truth.scores for truth in truths])
    order = np.lexsort((ids, -scores))[:, : truths[0].ids.shape[1]]
    return Truth(np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1))


class RecallMeter:
    """Measures the recall of an index against the truth, as often as its parameters change."""

    def __init__(self, queries: VectorBlock, blocks: Sequence[VectorBlock], truth: Truth, *, unit: bool = True) -> None:
        """`unit`: all vectors have length 1; else ties are scaled with the vectors' lengths."""
        self._unit = unit
        self._query_ids, self._queries = queries.ids(), np.ascontiguousarray(queries.vectors())
        self._blocks, self._ids, self._truth = blocks, all_ids(blocks), truth

    def ranks(self) -> list[int]:
        """The k at which recall is measured; where a text has fewer than k others, it is their number."""
        return [min(k, len(self._ids) - 1) for k in RANKS]

    def measure(self, index: faiss.Index, ranks: Sequence[int]) -> list[float]:
        """Mean recall at each rank; 1 when there is nobody to be found.

        Of the first k results (the query itself left out) those count whose exact score reaches that of the k-th true
        neighbour: with ties, as equal vectors of different texts give, which ids come first is no merit and no fault.
        """
        depth = max(ranks, default=0)
        if depth <= 0:
            return [1.0 for _ in ranks]
        scores, ids = index.search(self._queries, depth + 1)
        found = best_of([without_self(self._query_ids, ids, scores)])
        exact, ties = self._exact_scores(found.ids[:, :depth])
        return [float(np.mean(exact[:, :k] >= self._truth.scores[:, k - 1 : k] - ties[:, :k])) if k else 1.0 for k in ranks]

    def _exact_scores(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores of each query with its results by the vectors, not by the index's codes, and what may pass as a tie.

        Empty places have the score -inf.
        """
        unique, place = np.unique(ids, return_inverse=True)
        place = place.reshape(ids.shape)
        scores, ties = np.full(ids.shape, -np.inf), np.full(ids.shape, TIE, np.float32)
        real = unique[unique >= 0]
        for low in range(0, len(real), _ROWS):
            some = real[low : low + _ROWS]
            vectors = rows_of(self._blocks, np.searchsorted(self._ids, some))
            first = low + len(unique) - len(real)
            rows, columns = np.nonzero((place >= first) & (place < first + len(some)))
            queries, results = self._queries[rows], vectors[place[rows, columns] - first]
            scores[rows, columns] = np.einsum("ij,ij->i", queries, results)
            if not self._unit:
                ties[rows, columns] *= np.linalg.norm(queries, axis=1) * np.linalg.norm(results, axis=1)
        return scores, ties


# Result vectors in memory at a time: 25 MB at 384 dimensions.
_ROWS = 16_384


def smallest_nprobe(index: faiss.Index, meter: RecallMeter, target: float) -> int:
    """Set and return the smallest number of visited lists whose recall at 10 reaches `target`; 0 without lists.

    Doubling until it does, then halving the gap. When not even all lists reach it (codes too coarse), all are set:
    the gate decides.
    """
    ivf = inverted_file(index)
    if ivf is None:
        return 0
    rank = [meter.ranks()[RANKS.index(10)]]

    def reaches(nprobe: int) -> bool:
        ivf.nprobe = nprobe
        return meter.measure(index, rank)[0] >= target

    enough = 1
    while enough < ivf.nlist and not reaches(enough):
        enough = min(2 * enough, ivf.nlist)
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if reaches(middle):
            enough = middle
        else:
            too_few = middle
    ivf.nprobe = enough
    return enough


def inverted_file(index: faiss.Index) -> faiss.IndexIVF | None:
    """The inverted file inside an index, or None when it has no lists."""
    try:
        return faiss.extract_index_ivf(index)
    except RuntimeError:
        return None
