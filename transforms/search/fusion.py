"""Two rankings made one: by ranks, or by scores where it is known how much each counts."""

import numpy as np

# Cormack, Clarke and Buettcher 2009, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods".
RRF_CONSTANT = 60


def by_ranks(*rankings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reciprocal rank fusion of rankings, each int64 ids, best first: all their ids and scores float64, best first.

    A score is the sum of 1 / (60 + rank), ranks from 1, over the rankings that have the id. Ties by ascending id.
    """
    ids = np.concatenate([np.empty(0, np.int64), *rankings])
    scores = np.concatenate([np.empty(0), *(1 / (RRF_CONSTANT + 1 + np.arange(len(ranking))) for ranking in rankings)])
    found, place = np.unique(ids, return_inverse=True)
    return _best_first(found, np.bincount(place, scores, minlength=len(found)))


def by_scores(
    ids: np.ndarray, similarity: np.ndarray, lexical: np.ndarray, weight: float, *, cosine: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Convex combination of the scores of the same texts, ids int64 (n,), best first: ids and scores float64.

    weight * s + (1 - weight) * l, where l is the BM25 score as a share of the best one here, and s the cosine brought from
    -1 … 1 to 0 … 1. (Bruch, Gai and Ingber 2023, "An Analysis of Fusion Functions for Hybrid Retrieval": the theoretical least
    values make scores of different queries comparable.) An inner product has no least value: the least here takes its place.
    """
    if not len(ids):
        return ids, np.empty(0)
    best = float(lexical.max())
    share = lexical.astype(np.float64) / best if best > 0 else np.zeros(len(ids))
    if cosine:
        near = (1 + similarity.astype(np.float64)) / 2
    else:
        low, span = float(similarity.min()), float(np.ptp(similarity))
        near = (similarity.astype(np.float64) - low) / span if span > 0 else np.ones(len(ids))
    order = np.argsort(ids)
    return _best_first(ids[order], (weight * near + (1 - weight) * share)[order])


def _best_first(ids: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`ids` ascend."""
    order = np.argsort(-scores, kind="stable")
    return ids[order], scores[order]
