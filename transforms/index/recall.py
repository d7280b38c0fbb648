"""Recall: how many of the true neighbours a search in the index finds."""

from collections.abc import Sequence
from dataclasses import dataclass

import faiss
import numpy as np

from transforms.index.sample import rows_of_ids
from transforms.index.truth import Truth, batches_of, products_of
from transforms.vectors import VectorBlock

RANKS = (1, 10, 100)

# Scores that differ by less are ties: float32 products of unit vectors err by some 1e-7 (and never by 2e-5, at 384).
# An inner product of x and y is ‖x‖·‖y‖ times that of their directions, and so is its error: float32 rounds relatively (Higham,
# Accuracy and Stability of Numerical Algorithms, 3.1: at most γ_d·Σ|x_i·y_i| ≤ γ_d·‖x‖·‖y‖). For other vectors the tolerance is
# therefore TIE·‖query‖·‖result‖. The result's own length suffices: a true neighbour, or its equal, may come out of two kernels
# with two scores, both within the error at its own length, while a text of another length that happens to tie within rounding
# may only be counted as not found. Recall is never overstated because of one long vector elsewhere.
TIE = 1e-5

# Queries that are compared with their true neighbours at a time.
_QUERIES = 128


@dataclass(frozen=True)
class QuerySet:
    """Queries of one kind: texts of the corpus, named `corpus`, or of the user's file, `file`, whose ids are below -1."""

    name: str
    block: VectorBlock

    @property
    def themselves(self) -> int:
        """How many texts of the corpus are the query itself: 1 or 0."""
        return int(self.block.rows > 0 and int(self.block.ids()[0]) >= 0)


class RecallMeter:
    """Measures the recall of an index against the truth, as often as its parameters change."""

    def __init__(self, sets: Sequence[QuerySet], blocks: Sequence[VectorBlock], truth: Truth, *, unit: bool = True) -> None:
        """`truth` is of the queries of all sets, one set after the other. `unit`: all vectors have length 1; else ties are
        scaled with the vectors' lengths.
        """
        self.unit, self._blocks, self.truth = unit, sorted(blocks), truth
        self.query_ids, self.queries = stacked(sets)
        self._texts = sum(block.rows for block in blocks)
        self._sets = {}
        start = 0
        for queries in sets:
            self._sets[queries.name] = (slice(start, start + queries.block.rows), queries.themselves)
            start += queries.block.rows

    @property
    def sets(self) -> dict[str, slice]:
        """Where the queries of each set are."""
        return {name: rows for name, (rows, _) in self._sets.items()}

    def ranks(self, name: str) -> list[int]:
        """The k at which a set's recall is measured: 1, 10 and 100; where there are fewer others to find, their number."""
        return [self.rank(name, k) for k in RANKS]

    def rank(self, name: str, k: int) -> int:
        """The k of a set where k is asked for."""
        return max(min(k, self._texts - self._sets[name][1]), 0)

    @property
    def depth(self) -> int:
        """How many neighbours of each query are known."""
        return int(self.truth.ids.shape[1])

    def search(self, index: faiss.Index, depth: int | None = None, rows: np.ndarray | None = None) -> Truth:
        """What the index answers, without the queries themselves: `depth` results (None: as many as true neighbours are known)
        of all queries or of those at `rows`.
        """
        depth = self.depth if depth is None else depth
        queries, own = (self.queries, self.query_ids) if rows is None else (self.queries[rows], self.query_ids[rows])
        found = Truth(np.full((len(own), depth), -1, np.int64), np.full((len(own), depth), -np.inf, np.float32))
        for some in batches_of(len(own)) if self._texts else ():
            scores, ids = index.search(queries[some], min(depth + 1, self._texts))
            nobody = (ids == own[some, None]) | (ids < 0)
            # What is left moves up, in the order that the index gave it.
            order = np.argsort(nobody, axis=1, kind="stable")[:, :depth]
            nobody, width = np.take_along_axis(nobody, order, 1), order.shape[1]
            found.ids[some, :width] = np.where(nobody, -1, np.take_along_axis(ids, order, 1))
            found.scores[some, :width] = np.where(nobody, np.float32(-np.inf), np.take_along_axis(scores, order, 1))
        return found

    def good(self, found: Truth, k: int, within: int) -> np.ndarray:
        """Which of the first `within` results are among the `k` nearest: bool (queries, within).

        Those are whose exact score reaches that of the k-th true neighbour: with ties, as equal vectors of different texts
        give, which ids come first is no merit and no fault.
        """
        limits = np.full(len(found.ids), np.inf, np.float32)
        for name, (rows, _) in self._sets.items():
            if rank := self.rank(name, k):
                limits[rows] = self.truth.scores[rows, rank - 1]
        ids = found.ids[:, :within]
        parts = [self._good(ids[some], limits[some], some) for some in batches_of(len(ids))]
        return np.concatenate([np.empty((0, ids.shape[1]), bool), *parts])

    def _good(self, ids: np.ndarray, limits: np.ndarray, some: slice) -> np.ndarray:
        """Which results of some queries score at least their limits, or tie with them."""
        ask = (ids >= 0) & (limits < np.inf)[:, None]
        if self.unit:
            scores = self._scores_in_truth(ids, some)
            # What is not among the true neighbours scores at most as the last of them.
            unknown = np.isneginf(scores) & (self.truth.scores[some, -1] >= limits - TIE)[:, None]
            query, place = np.nonzero(ask & unknown)
            scores[query, place] = self._products(some.start + query, ids[query, place])[0]
            return ask & (scores >= limits[:, None] - TIE)
        query, place = np.nonzero(ask)
        exact, lengths = self._products(some.start + query, ids[query, place])
        good = np.zeros(ids.shape, bool)
        ties = TIE * np.linalg.norm(self.queries[some], axis=1)[query] * lengths
        good[query, place] = exact >= limits[query] - ties
        return good

    def shares(self, found: Truth) -> dict[str, list[np.ndarray]]:
        """For each set and each of RANKS each query's share of found neighbours: float64 (queries,), 1 where none are."""
        good = [self.good(found, k, k) for k in RANKS]
        result = {}
        for name, (rows, _) in self._sets.items():
            counts = zip(good, self.ranks(name), strict=True)
            result[name] = [hits[rows, :k].sum(axis=1) / k if k else np.ones(rows.stop - rows.start) for hits, k in counts]
        return result

    def recall(self, found: Truth, k: int = 10) -> float:
        """The lowest recall at k of all sets: the mean of their queries' shares; 1 when there is nobody to be found."""
        return self.lowest(self.good(found, k, k).cumsum(axis=1, dtype=np.int32), k)

    def lowest(self, counts: np.ndarray, k: int) -> float:
        """The lowest mean share of all sets, from how many neighbours each query has found among its first results.

        `counts` int (queries, at least k): in column i among the first i + 1.
        """
        means = [1.0]
        for name, (rows, _) in self._sets.items():
            if (rank := self.rank(name, k)) and rows.stop > rows.start:
                means.append(float(np.mean(counts[rows, rank - 1]) / rank))
        return min(means)

    def _scores_in_truth(self, ids: np.ndarray, queries: slice) -> np.ndarray:
        """Exact scores of results of some queries that are true neighbours, -inf for the others."""
        scores = np.full(ids.shape, -np.inf, np.float32)
        true_ids, true_scores = self.truth.ids[queries], self.truth.scores[queries]
        for low in range(0, len(ids), _QUERIES):
            some = slice(low, low + _QUERIES)
            query, place, rank = np.nonzero((ids[some, :, None] == true_ids[some, None, :]) & (ids[some, :, None] >= 0))
            scores[low + query, place] = true_scores[low + query, rank]
        return scores

    def _products(self, query: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Exact scores of queries with texts, pair by pair, and the texts' lengths: float32 (pairs,). Absent: -inf."""
        scores, lengths = np.full(len(ids), -np.inf, np.float32), np.zeros(len(ids), np.float32)
        for pairs, block, row in rows_of_ids(self._blocks, ids):
            vectors = block.vectors()
            scores[pairs] = products_of(self.queries, query[pairs], vectors, row)
            lengths[pairs] = np.linalg.norm(vectors[row], axis=1)
        return scores, lengths


def stacked(sets: Sequence[QuerySet]) -> tuple[np.ndarray, np.ndarray]:
    """Ids int64 and vectors float32 of the queries of all sets, one set after the other."""
    ids = np.concatenate([queries.block.ids() for queries in sets])
    return ids, np.ascontiguousarray(np.concatenate([queries.block.vectors() for queries in sets]), np.float32)
