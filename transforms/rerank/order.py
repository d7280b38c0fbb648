"""The order that logits give."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Relevance:
    """What a cross-encoder says of the candidate at `place` (from 0): the raw logit, and its sigmoid in 0 … 1."""

    place: int
    logit: float
    sigmoid: float


def by_relevance(logits: np.ndarray, doc_ids: Sequence[str]) -> list[Relevance]:
    """Candidates by descending logit, float32 (n,), equal ones by document id.

    Not by sigmoid: from logits of 17 on, and that of float32 is 1 for all.
    """
    values = logits.astype(np.float64)
    sigmoids = np.exp(-np.logaddexp(0, -values))
    order = sorted(range(len(doc_ids)), key=lambda i: (-values[i], doc_ids[i]))
    return [Relevance(i, float(values[i]), float(sigmoids[i])) for i in order]
