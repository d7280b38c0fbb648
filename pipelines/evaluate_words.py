"""What words add to vectors, by the user's own labels: lexical and hybrid search, and the best weight for both."""

import hashlib
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
    """Rankings by the name of the way they were made, dense first; and the weight that is best for all queries together.

    In the ranking by weight each query's weight is what was best for the other half of the queries: no query chose its own.
    """

    rankings: dict[str, Ranked]
    weight: float | None


def rank_by_words(system: System, judgements: Judgements) -> WordRankings:
    """Rank with a published system: by vectors, and where its generation has a lexical index by words and both."""
    assert system.generation is not None
    ranker = PublishedRanker(system, judgements.texts)
    rankings = {system.name: ranker.rank("dense")}
    if not system.generation.manifest.under("lexical"):
        return WordRankings(rankings, None)
    rankings[f"{system.name}, lexical"] = ranker.rank("lexical")
    rankings[f"{system.name}, hybrid"] = ranker.rank("hybrid")
    tried = {weight: ranker.rank("hybrid", weight) for weight in WEIGHTS}
    values = np.stack([retrieval_measures(judgements.relevance, ranked.documents)[_BY] for ranked in tried.values()])
    # By the ids, so that neither half depends on the order of the file.
    half = np.array([hashlib.sha256(query.encode()).digest()[0] % 2 for query in judgements.relevance])
    chosen = dict(zip(judgements.relevance, _cross_chosen(values, half), strict=True))
    passages = {
        query: tried[WEIGHTS[chosen[query]] if query in chosen else WEIGHTS[0]].passages[query] for query in judgements.texts
    }
    seconds = float(np.mean([ranked.seconds for ranked in tried.values()]))
    rankings[f"{system.name}, hybrid by weight"] = Ranked(passages, seconds)
    return WordRankings(rankings, WEIGHTS[int(values.mean(axis=1).argmax())])


def _cross_chosen(values: np.ndarray, half: np.ndarray) -> list[int]:
    """For each query the row of `values` (weights, queries) whose mean is best over the other half, of equal ones the first."""
    best = []
    for own in (0, 1):
        others = values[:, half != own]
        best.append(int(others.mean(axis=1).argmax()) if others.size else len(values) // 2)
    return [best[own] for own in half.tolist()]
