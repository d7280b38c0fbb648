"""Representative documents: strong members near their topic's centre that do not repeat each other."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

# Two texts this similar say the same thing: a second one would show nothing new about the topic.
_SAME = 0.9
# Candidates per wanted document: enough to step over repetitions, few enough to hold their vectors.
_CANDIDATES = 10


def centroids(topic_id: np.ndarray, topics: int, blocks: Sequence[np.ndarray]) -> np.ndarray:
    """Unit-length mean directions of the topics' members, float32 (topics, dim); noise takes no part.

    `topic_id` (n,); `blocks` matrices (rows, dim) of unit vectors that together hold the n texts in order. One block is
    in memory at a time.
    """
    total = np.zeros((topics, blocks[0].shape[1] if blocks else 0))
    start = 0
    for block in blocks:
        labels = topic_id[start : start + len(block)]
        rows = np.flatnonzero(labels >= 0)
        members = sp.csr_matrix((np.ones(len(rows)), (labels[rows], rows)), shape=(topics, len(block)))
        total += members @ block
        start += len(block)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return (total / np.where(length > 0, length, 1)).astype(np.float32)


def representatives(
    topic_id: np.ndarray,
    strength: np.ndarray,
    topics: int,
    blocks: Sequence[np.ndarray],
    count: int,
    documents: np.ndarray,
) -> list[list[int]]:
    """Positions of up to `count` representative texts of each topic, best first, each of another document.

    Members are ranked by strength * cosine to the topic's centroid, ties by position; a member with cosine >= 0.9 to one
    already chosen is passed over unless there is nothing else. Arguments as in `centroids`; `strength` (n,) and `documents`
    int (n,), equal for texts of the same document.
    """
    centres = centroids(topic_id, topics, blocks)
    score = np.full(len(topic_id), -np.inf)
    start = 0
    for block in blocks:
        rows = np.flatnonzero(topic_id[start : start + len(block)] >= 0)
        at = start + rows
        score[at] = strength[at] * np.einsum("ij,ij->i", block[rows], centres[topic_id[at]])
        start += len(block)

    order = np.lexsort((-score, topic_id))  # stable: ties stay in position order
    # Of each document only its best text in a topic.
    in_topic = topic_id[order].astype(np.int64) * (int(documents.max(initial=0)) + 1) + documents[order]
    order = order[np.sort(np.unique(in_topic, return_index=True)[1])]
    bounds = np.searchsorted(topic_id[order], np.arange(topics + 1))
    candidates = [order[low:high][: count * _CANDIDATES] for low, high in pairwise(bounds)]
    vectors = _gather(np.unique(np.concatenate(candidates)) if candidates else np.empty(0, np.int64), blocks)
    return [_varied(positions.tolist(), vectors, count) for positions in candidates]


def _varied(positions: list[int], vectors: dict[int, np.ndarray], count: int) -> list[int]:
    chosen: list[int] = []
    for position in positions:
        if len(chosen) < count and all(float(vectors[position] @ vectors[other]) < _SAME for other in chosen):
            chosen.append(position)
    rest = [position for position in positions if position not in chosen]
    return chosen + rest[: count - len(chosen)]


def _gather(positions: np.ndarray, blocks: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
    """The vectors at ascending `positions`."""
    vectors: dict[int, np.ndarray] = {}
    start = 0
    for block in blocks:
        low, high = np.searchsorted(positions, [start, start + len(block)])
        vectors |= zip(positions[low:high].tolist(), np.asarray(block[positions[low:high] - start]), strict=True)
        start += len(block)
    return vectors
