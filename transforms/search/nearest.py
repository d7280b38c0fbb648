"""The best k documents, or groups of them, where an index only knows texts: it is asked for more until they are enough."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np

from transforms.search.owners import Passage
from transforms.search.vector_index import Found


@dataclass(frozen=True)
class Best:
    """A document or group by its best passage."""

    score: float
    passage: Passage


def nearest(
    queries: int,
    k: int,
    search: Callable[[np.ndarray, int], Found],
    owners_of: Callable[[np.ndarray], dict[int, list[Passage]]],
    group_of: Callable[[Passage], Hashable | None] = lambda _: None,
) -> list[list[Best]]:
    """For each of so many queries the best `k` documents by their best passages, best first, fewer when there are no more.

    `search` gets the numbers of some queries and how many texts are wanted of each.
    Of equal passages of a document the first counts; documents with equal scores are in the order of their ids. Of documents
    whose best passages are in one group the best is an answer. Exact for what `search` can find: also where more texts than
    were asked for have the score of the last answer.
    """
    answers: list[list[Best]] = [[] for _ in range(queries)]
    # One more, to see whether the last answer ties with the next.
    rows, wanted = np.arange(queries), k + 1
    owners, known = dict[int, list[Passage]](), np.empty(0, np.int64)
    while len(rows):
        found = search(rows, wanted)
        new = np.setdiff1d(found.ids[found.ids >= 0], known)
        owners |= owners_of(new)
        known = np.union1d(known, new)
        again = []
        for row, scores, ids, unseen in zip(
            rows.tolist(), found.scores.tolist(), found.ids.tolist(), found.unseen, strict=True
        ):
            best = _best(scores, ids, owners, group_of)
            if np.isneginf(unseen) or (len(best) >= k and best[k - 1].score > unseen):
                answers[row] = best[:k]
            else:
                again.append(row)
        rows, wanted = np.array(again, np.int64), 2 * wanted
    return answers


def _best(
    scores: list[float], ids: list[int], owners: dict[int, list[Passage]], group_of: Callable[[Passage], Hashable | None]
) -> list[Best]:
    """The best passage of each document among these texts, then of each group the best of these."""
    documents: dict[str, Best] = {}
    for score, text in zip(scores, ids, strict=True):
        for passage in owners.get(text, ()):
            known = documents.get(passage[0])
            if known is None or (-score, passage) < (-known.score, known.passage):
                documents[passage[0]] = Best(score, passage)
    best: list[Best] = []
    seen: set[Hashable] = set()
    for one in sorted(documents.values(), key=lambda one: (-one.score, one.passage)):
        group = group_of(one.passage)
        if group is None or group not in seen:
            seen.add(group)
            best.append(one)
    return best
