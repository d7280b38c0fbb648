"""Topics of a corpus or a theme too large to lay out at once: some texts are clustered, the others follow their neighbours."""

import numpy as np

from transforms.neighbors import nearest_others, snap
from transforms.topics.clusters.cluster import Clusters, heaviest_vote

# Texts whose nearest landmarks are searched at a time.
_ROWS = 8192


def landmark_graph(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The exact neighbour graph of the landmarks alone, from their unit vectors float32 (m, dim): positions, cosines (m, k)."""
    snapped, ids = snap(vectors), np.arange(len(vectors))
    k = min(k, len(vectors) - 1)
    lists = [
        nearest_others(ids[low : low + _ROWS], snapped[low : low + _ROWS], [(ids, snapped)], k)
        for low in range(0, len(ids), _ROWS)
    ]
    return np.concatenate([part.ids for part in lists]).astype(np.int32), np.concatenate([part.cosines for part in lists])


def follow_landmarks(landmarks: Clusters, neighbors: np.ndarray, cosines: np.ndarray) -> Clusters:
    """Topics of all n texts, of which the first are the landmarks, as `follow` finds them."""
    n, m = len(neighbors), len(landmarks.topic_id)
    topic_id, strength = np.full(n, -1, np.int32), np.zeros(n, np.float32)
    topic_id[:m], strength[:m] = landmarks.topic_id, landmarks.strength
    return follow(Clusters(topic_id, strength), np.arange(n) < m, neighbors, cosines)


def follow(clusters: Clusters, decided: np.ndarray, neighbors: np.ndarray, cosines: np.ndarray) -> Clusters:
    """Topics of n texts, some of which are `decided`, bool (n,): every other text has the one its neighbours vote for.

    Each neighbour that has been decided votes with its cosine, noise too: where noise wins the text is noise. Texts
    without a decided neighbour wait for the next round; who is never reached is noise. Ties go to noise, then to the
    larger topic. A text's strength is the winner's share of the votes. `neighbors` int (n, K), -1 for one outside, who has no
    vote, `cosines` float32 (n, K).
    """
    topic_id, strength, decided = clusters.topic_id.copy(), clusters.strength.copy(), decided.copy()
    while len(waiting := np.flatnonzero(~decided)):
        near = neighbors[waiting]
        # Noise votes as 0, topic t as t + 1; -1 has no vote.
        votes = np.where((near >= 0) & decided[near], topic_id[near] + 1, -1)
        weights = np.where(votes >= 0, np.maximum(cosines[waiting], 0), 0).astype(np.float64)
        winner, weight = heaviest_vote(votes, weights)
        reached = weight > 0
        if not reached.any():
            break
        rows = waiting[reached]
        topic_id[rows] = winner[reached] - 1
        share = weight[reached] / weights[reached].sum(axis=1)
        strength[rows] = np.where(topic_id[rows] >= 0, np.minimum(share, 1), 0)
        decided[rows] = True
    return Clusters(topic_id, strength)
