"""What a search goes by: vectors, words, or both. Each finds texts for queries in the form that `nearest` asks for."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from transforms.lexical import LexicalIndex
from transforms.search.fusion import by_ranks, by_scores
from transforms.search.vector_index import Found, Only, VectorIndex

Mode = Literal["dense", "lexical", "hybrid"]

# Texts of either ranking that a hybrid one is made of, at least.
DEPTH = 100


@dataclass(frozen=True)
class LexicalRanker:
    """Texts by BM25, of all or of `only` some."""

    index: LexicalIndex
    only: Only | None = None

    def search(self, queries: np.ndarray, k: int) -> Found:
        """The best `k` texts for each query, an array of strings."""
        mask = self._mask()
        return _stacked([self.of_one(query, k, mask) for query in queries.tolist()])

    def of_one(self, query: str, k: int, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, float]:
        """Scores, ids, and the highest score that a text beyond them may have."""
        # One more, to see whether there are more.
        ids, scores = self.index.search(query, k + 1, mask)
        unseen = float(scores[k - 1]) if len(ids) > k else -np.inf
        return scores[:k], ids[:k], unseen

    def _mask(self) -> np.ndarray | None:
        return None if self.only is None else np.isin(self.index.ids, self.only.ids, assume_unique=True)


@dataclass(frozen=True)
class HybridRanker:
    """Texts by both: the best of either ranking, by their ranks, or with a `weight` of the vectors by their scores."""

    vectors: VectorIndex
    words: LexicalIndex
    weight: float | None
    cosine: bool
    only: Only | None = None

    def search(self, queries: np.ndarray, encoded: np.ndarray, k: int) -> Found:
        """The best texts for each query, an array of strings, and its vector. At least `k` unless there are no more."""
        depth = max(DEPTH, k)
        dense = self.vectors.search(encoded, depth, self.only)
        lexical = LexicalRanker(self.words, self.only).search(queries, depth)
        rows = []
        for row, query in enumerate(queries.tolist()):
            near, worded = (found.ids[row][found.ids[row] >= 0] for found in (dense, lexical))
            if self.weight is None:
                ids, scores = by_ranks(near, worded)
            else:
                ids, scores = self._by_scores(query, encoded[row], near, dense.scores[row], worded)
            whole = np.isneginf(dense.unseen[row]) and np.isneginf(lexical.unseen[row])
            # What is in neither ranking is beyond all that is; it comes into reach when more is asked for.
            unseen = -np.inf if whole or not len(ids) else float(np.nextafter(np.float32(scores[-1]), np.float32(-np.inf)))
            rows.append((scores.astype(np.float32), ids, unseen))
        return _stacked(rows)

    def _by_scores(
        self, query: str, vector: np.ndarray, near: np.ndarray, near_scores: np.ndarray, worded: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        assert self.weight is not None
        missing = np.setdiff1d(worded, near)
        # Texts that only words have found are compared with the query, too.
        found = self.vectors.search(vector[None], len(missing), Only(missing)) if len(missing) else None
        more_ids, more_scores = (
            (np.empty(0, np.int64), np.empty(0, np.float32)) if found is None else (found.ids[0], found.scores[0])
        )
        ids = np.concatenate([near, more_ids[more_ids >= 0]])
        similarity = np.concatenate([near_scores[: len(near)], more_scores[more_ids >= 0]])
        lexical = self.words.scores(query)[np.searchsorted(self.words.ids, ids)]
        return by_scores(ids, similarity, lexical, self.weight, cosine=self.cosine)


def _stacked(rows: list[tuple[np.ndarray, np.ndarray, float]]) -> Found:
    """Rows of different lengths as one `Found`."""
    width = max((len(ids) for _, ids, _ in rows), default=0)
    scores, found = np.full((len(rows), width), -np.inf, np.float32), np.full((len(rows), width), -1, np.int64)
    for row, (some, ids, _) in enumerate(rows):
        scores[row, : len(ids)], found[row, : len(ids)] = some, ids
    return Found(scores, found, np.array([unseen for *_, unseen in rows], np.float32))
