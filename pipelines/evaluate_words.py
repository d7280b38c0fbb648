"""What words add to vectors, by the user's own labels: lexical and hybrid search, and the best weight for both."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipelines.rankers import PublishedRanker, Ranked, System
from transforms.evaluation import MEASURES, Judgements, retrieval_measures

# Weights of the vectors that are tried. 0 and 1 are the parts themselves.
WEIGHTS = tuple(round(0.1 * step, 1) for step in range(1, 10))
# What a weight is chosen by: the first measure, nDCG@10.
_BY = next(iter(MEASURES))


@dataclass(frozen=True)
class WordRankings:
    """Rankings by the name of the way they were made, dense first; the weight that is best for all queries together, where it
    is better than either part alone; and what is to be said of that.

    In the ranking by weight each query's weight is what was best for the other half of the queries: no query chose its own.
    """

    rankings: dict[str, Ranked]
    weight: float | None = None
    finding: str | None = None


def rank_by_words(system: System, judgements: Judgements) -> WordRankings:
    """Rank with a published system: by vectors, and where its generation has a lexical index by words and both."""
    assert system.generation is not None
    ranker = PublishedRanker(system, judgements.texts)
    dense = ranker.rank("dense")
    if not system.generation.manifest.under("lexical"):
        return WordRankings({system.name: dense})
    lexical = ranker.rank("lexical")
    tried = {weight: ranker.rank("hybrid", weight) for weight in WEIGHTS}
    values = np.stack([_gains(judgements, ranked) for ranked in tried.values()])
    # By the ids, so that neither half depends on the order of the file.
    half = np.array([hashlib.sha256(query.encode()).digest()[0] % 2 for query in judgements.relevance])
    chosen = dict(zip(judgements.relevance, _cross_chosen(values, half), strict=True))
    passages = {query: tried[WEIGHTS[chosen[query]]].passages[query] for query in judgements.texts}
    seconds = float(np.mean([ranked.seconds for ranked in tried.values()]))
    rankings = {
        system.name: dense,
        f"{system.name}, lexical": lexical,
        f"{system.name}, hybrid": ranker.rank("hybrid"),
        f"{system.name}, hybrid by weight": Ranked(passages, seconds),
    }
    parts = {"vectors": _gains(judgements, dense).mean(), "words": _gains(judgements, lexical).mean()}
    return WordRankings(rankings, *_recommended(system.name, values, parts))


def _gains(judgements: Judgements, ranked: Ranked) -> np.ndarray:
    return retrieval_measures(judgements.relevance, ranked.documents)[_BY]


def _recommended(name: str, values: np.ndarray, parts: Mapping[str, float]) -> tuple[float | None, str]:
    """The best weight by `values` (weights, queries), None where it is no better than the best of the `parts`; in words."""
    best, queries = _best(values), values.shape[1]
    part = max(parts, key=lambda one: parts[one])
    if values[best].mean() <= parts[part]:
        return (
            None,
            f"{name}: over {queries:,} queries no weight that was tried for hybrid search finds better than {part} alone",
        )
    weight = WEIGHTS[best]
    said = f"of the weights tried for hybrid search {weight} finds best, search --mode hybrid --weight {weight}"
    return weight, f"{name}: over {queries:,} queries {said}"


def _best(values: np.ndarray) -> int:
    """The row of `values` (weights, queries) with the best mean; of equal ones that of the weight nearest to the middle."""
    means = values.mean(axis=1)
    return min(np.flatnonzero(means == means.max()).tolist(), key=lambda row: abs(row - len(means) // 2))


def _cross_chosen(values: np.ndarray, half: np.ndarray) -> list[int]:
    """For each query the row of `values` (weights, queries) that is best over the other half."""
    best = []
    for own in (0, 1):
        others = values[:, half != own]
        best.append(_best(others) if others.size else len(values) // 2)
    return [best[own] for own in half.tolist()]
