"""Topics of one theme: HDBSCAN on the theme's own layout, with what is done where HDBSCAN finds nothing to divide."""

from dataclasses import dataclass

import numpy as np

from transforms.topics.clusters.cluster import Clusters, assign_noise
from transforms.topics.clusters.divide import divider
from transforms.topics.clusters.keep import Told, keep_topics
from transforms.topics.options import TopicsOptions

# A topic with a larger share of its theme than this says no more than the theme does.
_GIANT = 0.8


@dataclass(frozen=True)
class ThemeTopics:
    """What a theme's texts are in: arrays (m,), topics numbered from 0 within the theme.

    `topic_id` int32, -1 is noise; `assigned_topic_id` int32, noise by its neighbours' vote, with `assigned_score` float32;
    `strength` float32.
    """

    topic_id: np.ndarray
    assigned_topic_id: np.ndarray
    assigned_score: np.ndarray
    strength: np.ndarray

    @property
    def topics(self) -> int:
        """Number of topics."""
        return int(self.topic_id.max(initial=-1)) + 1


def topics_of_theme(
    neighbors: np.ndarray, cosines: np.ndarray, options: TopicsOptions, vectors: np.ndarray | None = None
) -> ThemeTopics:
    """Topics of a theme of m texts. `neighbors` int (m, K): places of their neighbours within the theme, -1 for one
    outside; `cosines` float32 (m, K), also of those outside; `vectors` float32 (m, dim), which `reduce` = none needs, and a
    theme of more than `landmarks` texts, whose first so many are clustered while the others follow: see `divider`.

    Where HDBSCAN calls everything noise, or one topic has more than four fifths of the theme, the finest clusters (leaf)
    are tried; where these are no better, or the theme is too small for two topics, the whole theme is one topic, in which a
    text's strength is the share of its neighbours' cosines that stays inside the theme. A theme smaller than a topic may be
    is noise.
    """
    found = _clusters(neighbors, cosines, options, vectors)
    assigned, score = assign_noise(found.topic_id, neighbors, cosines)
    return ThemeTopics(found.topic_id, assigned, score, found.strength)


def topics_kept(told: Told, neighbors: np.ndarray, cosines: np.ndarray, options: TopicsOptions) -> ThemeTopics:
    """The topics of a theme as the parent generation had them, with texts that are new in those of their neighbours."""
    found = keep_topics(told, neighbors, cosines, options)
    assigned, score = assign_noise(found.topic_id, neighbors, cosines)
    return ThemeTopics(found.topic_id, assigned, score, found.strength)


def _clusters(neighbors: np.ndarray, cosines: np.ndarray, options: TopicsOptions, vectors: np.ndarray | None) -> Clusters:
    m = len(neighbors)
    if m < options.cluster_size(m):
        return Clusters(np.full(m, -1, np.int32), np.zeros(m, np.float32))
    if m >= max(2 * options.cluster_size(m), options.min_samples + 2):
        divide = divider(neighbors, cosines, options, vectors)
        for method in dict.fromkeys((options.cluster_selection_method, "leaf")):
            found = divide(options.model_copy(update={"cluster_selection_method": method}))
            if _divides(found.topic_id):
                return found
    return Clusters(np.zeros(m, np.int32), _inside(neighbors, cosines))


def _divides(topic_id: np.ndarray) -> bool:
    sizes = np.bincount(topic_id[topic_id >= 0])
    return len(sizes) > 0 and int(sizes.max()) <= _GIANT * len(topic_id)


def _inside(neighbors: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    weights = np.maximum(cosines, 0).astype(np.float64)
    total = weights.sum(axis=1)
    inside = np.where(neighbors >= 0, weights, 0).sum(axis=1)
    return (inside / np.where(total > 0, total, 1)).astype(np.float32)
