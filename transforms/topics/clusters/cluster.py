"""Clusters of a layout: HDBSCAN topics with honest noise, and the nearest topic for each noise document."""

from dataclasses import dataclass

import numpy as np

from transforms.topics.clusters.equal import joined, share_labels
from transforms.topics.clusters.numbering import numbered_by_size
from transforms.topics.options import TopicsOptions


@dataclass(frozen=True)
class Clusters:
    """`topic_id` int32 (n,), 0 is the largest and -1 is noise; `strength` float32 (n,) in [0, 1], 0 for noise."""

    topic_id: np.ndarray
    strength: np.ndarray

    @property
    def topics(self) -> int:
        """Number of topics."""
        return int(self.topic_id.max(initial=-1)) + 1


def cluster(
    coordinates: np.ndarray, options: TopicsOptions, weights: np.ndarray | None = None, equal: np.ndarray | None = None
) -> Clusters:
    """Cluster `coordinates` float (n, d) with HDBSCAN (Campello, Moulavi and Sander 2013), exact spanning tree, one process.

    The partition is that of the hdbscan package, except that texts at exactly equal coordinates always share a label
    (the package may split them: their density is infinite), and texts of one group of `equal` int (n,), `equal_texts`, which
    a layout does not put at one place. Topics are numbered by descending size, ties by their
    smallest position; `weights` int (n,) makes size the sum of weights, such as the documents of each distinct text.
    Fewer texts than a topic needs are all noise.
    """
    n = len(coordinates)
    labels, strength = np.full(n, -1), np.zeros(n, np.float32)
    min_cluster_size = options.cluster_size(n)
    # HDBSCAN's density needs min_samples others.
    if n >= max(min_cluster_size, options.min_samples + 1):
        import hdbscan

        # Equal points have infinite density; the divisions that say so are expected and handled below.
        with np.errstate(divide="ignore", invalid="ignore"):
            model = hdbscan.HDBSCAN(
                min_cluster_size=min_cluster_size,
                min_samples=options.min_samples,
                cluster_selection_method=options.cluster_selection_method,
                approx_min_span_tree=False,
                core_dist_n_jobs=1,
            ).fit(coordinates)
        strength = np.clip(np.nan_to_num(model.probabilities_, nan=1.0), 0, 1).astype(np.float32)
        _, place = np.unique(coordinates, axis=0, return_inverse=True)
        groups = place.ravel() if equal is None else joined(place.ravel(), equal)
        labels, strength = together(groups, model.labels_, strength, min_cluster_size)
    return Clusters(numbered_by_size(labels, np.ones(n, np.int64) if weights is None else weights), strength)


def cluster_tree(
    tree: np.ndarray, options: TopicsOptions, weights: np.ndarray | None = None, equal: np.ndarray | None = None
) -> Clusters:
    """Cluster texts by their `mutual_reachability_tree` (n - 1, 3), as `cluster` does by coordinates.

    Condensation and choice of clusters are the hdbscan package's; they have no public entrance that takes a tree.
    """
    n = len(tree) + 1
    labels, strength = np.full(n, -1), np.zeros(n, np.float32)
    min_cluster_size = options.cluster_size(n)
    if n >= max(min_cluster_size, options.min_samples + 1):
        from hdbscan._hdbscan_linkage import label
        from hdbscan.hdbscan_ import _tree_to_labels

        labels, probabilities, *_ = _tree_to_labels(
            None, label(tree), min_cluster_size, cluster_selection_method=options.cluster_selection_method
        )
        strength = np.clip(probabilities, 0, 1).astype(np.float32)
        if equal is not None:
            labels, strength = together(equal, labels, strength, min_cluster_size)
        strength[labels < 0] = 0
    return Clusters(numbered_by_size(labels, np.ones(n, np.int64) if weights is None else weights), strength)


def assign_noise(topic_id: np.ndarray, neighbors: np.ndarray, cosines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The topic of every document and its score: int32 (n,) its own, or for noise the one that its neighbours vote for.

    Each neighbour votes for its topic with its cosine (negative ones not at all); ties go to the larger topic, that is the
    smaller number. Documents whose neighbours are all noise wait for a next round, in which those that were assigned
    vote too; what no round reaches stays -1, such as a corpus that is all noise.

    The score, float32 (n,) in [0, 1], is 1 for a topic's own documents, for noise the winner's share of the cosines of all
    neighbours, also of those without a vote, and 0 where there is no topic.

    `topic_id` (n,), `neighbors` positions (n, K), -1 for a neighbour outside, which has no vote; `cosines` (n, K).
    """
    assigned = topic_id.astype(np.int32)
    score = (assigned >= 0).astype(np.float32)
    topics = int(assigned.max(initial=-1)) + 1
    waiting = np.flatnonzero(assigned < 0)
    while topics and len(waiting):
        near = neighbors[waiting]
        votes = np.where(near >= 0, assigned[near], -1)
        everybody = np.maximum(cosines[waiting], 0).astype(np.float64)
        winner, weight = heaviest_vote(votes, np.where(votes >= 0, everybody, 0))
        reached = weight > 0
        if not reached.any():
            break
        assigned[waiting[reached]] = winner[reached]
        score[waiting[reached]] = share_of_vote(weight[reached], everybody[reached])
        waiting = waiting[~reached]
    return assigned, score


def share_of_vote(weight: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What share of all `weights` (m, K) a winner has whose weight is `weight` (m,): in [0, 1], 0 where there is no weight."""
    total = weights.sum(axis=1)
    share: np.ndarray = np.minimum(weight / np.where(total > 0, total, 1), 1)
    return share


def heaviest_vote(votes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per row the vote with the largest total weight, and that weight; ties to the smallest vote. All (m, K)."""
    order = np.argsort(votes, axis=1, kind="stable")
    votes, weights = np.take_along_axis(votes, order, 1), np.take_along_axis(weights, order, 1)
    best, best_weight = np.full(len(votes), -1, np.int32), np.zeros(len(votes))
    running = np.zeros(len(votes))
    for column in range(votes.shape[1]):  # one pass over the sorted votes: K steps on whole columns
        again = votes[:, column] == votes[:, column - 1] if column else np.zeros(len(votes), bool)
        running = np.where(again, running, 0) + weights[:, column]
        better = running > best_weight
        best[better], best_weight[better] = votes[better, column], running[better]
    return best, best_weight


def together(
    groups: np.ndarray, labels: np.ndarray, strength: np.ndarray, min_cluster_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Labels int (n,) and strengths float32 (n,) after texts that cannot be told apart have agreed on a topic.

    A group of `groups` int (n,) has its most frequent topic; one that is all noise and large enough for a topic is a topic of
    full strength. Who was noise is as strong as the strongest of the group in that topic.
    """
    shared = share_labels(groups, labels)
    sizes = np.bincount(groups, minlength=1)
    alone = np.flatnonzero((shared < 0) & (sizes[groups] >= min_cluster_size))
    _, number = np.unique(groups[alone], return_inverse=True)
    shared[alone] = int(shared.max(initial=-1)) + 1 + number.ravel()
    best = np.zeros(len(sizes), np.float32)
    stayed = shared == labels
    np.maximum.at(best, groups[stayed], strength[stayed])
    best[groups[alone]] = 1
    changed = np.where((labels < 0) & (shared >= 0), best[groups], strength)
    return shared, np.where(shared >= 0, changed, 0).astype(np.float32)
