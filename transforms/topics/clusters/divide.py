"""HDBSCAN on the whole corpus or one theme, whatever its size: on all texts, or on landmarks that the others follow."""

from collections.abc import Callable

import numpy as np

from transforms.topics.clusters.cluster import Clusters, cluster, cluster_tree, together
from transforms.topics.clusters.equal import equal_texts
from transforms.topics.clusters.exact_tree import mutual_reachability_tree
from transforms.topics.clusters.landmarks import follow_landmarks, landmark_graph
from transforms.topics.clusters.numbering import numbered_by_size
from transforms.topics.layout.reduce import reduced
from transforms.topics.options import TopicsOptions


def divider(
    neighbors: np.ndarray, cosines: np.ndarray, options: TopicsOptions, vectors: np.ndarray | None = None
) -> Callable[[TopicsOptions], Clusters]:
    """What finds the topics of m texts, for options that may differ in how clusters are selected.

    The layout or the tree, which does not depend on that, is made once, here. `neighbors` int (m, K), -1 for one outside, and
    `cosines` float32 (m, K). `vectors` float32 (m, dim), of which the first `options.landmarks` are enough, is needed where
    `reduce` is none or the texts are more than these: the first are clustered then, the others follow their neighbours.
    """
    m = len(neighbors)
    if m <= options.landmarks and options.reduce == "umap":
        equal, coordinates = equal_texts(neighbors, cosines), reduced(neighbors, cosines, options)
        return lambda chosen: cluster(coordinates, chosen, equal=equal)
    if vectors is None:
        raise ValueError(
            "topics.reduce = none clusters the vectors, and none were given"
            if options.reduce == "none"
            else f"{m} texts are more than topics.landmarks = {options.landmarks}: these need vectors, and none were given"
        )
    if m <= options.landmarks:
        equal, tree = (
            equal_texts(neighbors, cosines),
            mutual_reachability_tree(neighbors, cosines, options.min_samples, vectors),
        )
        return lambda chosen: cluster_tree(tree, chosen, equal=equal)
    return _by_landmarks(neighbors, cosines, options, vectors[: options.landmarks])


def _by_landmarks(
    neighbors: np.ndarray, cosines: np.ndarray, options: TopicsOptions, landmarks: np.ndarray
) -> Callable[[TopicsOptions], Clusters]:
    k = max(neighbors.shape[1], options.n_neighbors)
    divide = divider(*landmark_graph(landmarks, k), options, landmarks)
    equal = equal_texts(neighbors, cosines)

    def follow(chosen: TopicsOptions) -> Clusters:
        found = follow_landmarks(divide(chosen), neighbors, cosines)
        labels, strength = together(equal, found.topic_id, found.strength, chosen.cluster_size(len(landmarks)))
        return Clusters(numbered_by_size(labels, np.ones(len(labels), np.int64)), strength)

    return follow
