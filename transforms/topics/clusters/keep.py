"""Themes and topics kept from the parent generation: texts that are the same stay in theirs, new ones join the nearest."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from transforms.topics.clusters.cluster import Clusters, assign_noise, together
from transforms.topics.clusters.equal import equal_texts, share_labels
from transforms.topics.clusters.landmarks import follow
from transforms.topics.clusters.numbering import numbered_by_size
from transforms.topics.options import TopicsOptions

# The label of a text that the parent generation did not have, beside -1 for noise.
UNKNOWN = -2


def keep_themes(
    before: np.ndarray,
    neighbors: np.ndarray,
    cosines: np.ndarray,
    options: TopicsOptions,
    weights: np.ndarray,
    followed: np.ndarray | None = None,
) -> np.ndarray:
    """The theme of every text, int32 (n,), numbered by size, from the parent's: `before` int (n,), UNKNOWN for a new text.

    A new text joins the theme that its neighbours vote for, each by its cosine, in rounds until all that can be reached are.
    What keeps to itself is a theme of its own: `strangers`, where so many of them hang together as a topic of the corpus
    needs; and what no vote reaches. Texts that `followed`, bool (n,), came since the themes were found: they count as new, so
    that a subject that comes a few texts a night is seen like one that comes at once. `weights` int (n,) as in `find_themes`.
    """
    labels = np.where(before >= 0, before, -1)
    free = int(labels.max(initial=-1)) + 1
    new = before == UNKNOWN
    if followed is not None:
        # A theme that nobody founded was such a subject: its texts are where they belong.
        founded = np.zeros(free + 1, bool)
        founded[labels[~followed & ~new]] = True
        new |= followed & founded[labels]
    alone = hanging_together(strangers(new, neighbors, cosines, options), neighbors)
    sizes = np.bincount(alone + 1)[1:]
    large = np.flatnonzero(sizes >= options.cluster_size(len(before)))
    place = np.full(len(sizes) + 1, -1)
    place[large] = free + np.arange(len(large))
    labels = np.where(place[alone] >= 0, place[alone], labels).astype(np.int32)
    labels, _ = assign_noise(labels, neighbors, cosines)
    left = labels < 0
    if left.any():
        islands = hanging_together(left, neighbors)
        labels = np.where(left, int(labels.max(initial=-1)) + 1 + islands, labels)
    return numbered_by_size(share_labels(equal_texts(neighbors, cosines), labels), weights)


def strangers(new: np.ndarray, neighbors: np.ndarray, cosines: np.ndarray, options: TopicsOptions) -> np.ndarray:
    """Texts that keep to themselves, bool (n,): the largest set of `new` texts, bool (n,), each of which has more than half of
    its neighbours' cosines in the set, of as many neighbours as a layout looks at. `neighbors` int (n, K), nearest first, -1
    for one outside, who is not counted.
    """
    nearest = slice(max(options.n_neighbors - 1, 1))
    neighbors, cosines = neighbors[:, nearest], cosines[:, nearest]
    weights = np.where(neighbors >= 0, np.maximum(cosines, 0), 0).astype(np.float64)
    strange, rows = new.copy(), np.flatnonzero(new)
    while len(rows):
        among = np.where(strange[neighbors[rows]], weights[rows], 0).sum(axis=1)
        leave = 2 * among <= weights[rows].sum(axis=1)
        strange[rows[leave]] = False
        if not leave.any():
            break
        rows = rows[~leave]
    return strange


def hanging_together(chosen: np.ndarray, neighbors: np.ndarray) -> np.ndarray:
    """Which of the chosen texts, bool (n,), hang together by neighbours: numbers from 0, int (n,), -1 for the others."""
    rows = np.flatnonzero(chosen)
    place = np.full(len(chosen) + 1, -1)
    place[rows] = np.arange(len(rows))
    near = place[neighbors[rows]]
    row, column = np.nonzero(near >= 0)
    edges = sp.csr_matrix((np.ones(len(row), np.int8), (row, near[row, column])), shape=(len(rows), len(rows)))
    groups = np.full(len(chosen), -1)
    groups[rows] = connected_components(edges, directed=False)[1] if len(rows) else []
    return groups


@dataclass(frozen=True)
class Told:
    """What the parent said of a theme's texts: topic int (m,), -1 for noise, UNKNOWN for a new text; strength float32 (m,).

    `followed` bool (m,): a text that came since its theme's topics were found, a new one too.
    """

    topic: np.ndarray
    strength: np.ndarray
    followed: np.ndarray


def keep_topics(told: Told, neighbors: np.ndarray, cosines: np.ndarray, options: TopicsOptions) -> Clusters:
    """The topics of a theme of m texts, from what it was told: numbered from 0, with their strength.

    A new text has the topic that its neighbours vote for, where noise has a vote too: see `follow`. Arguments as those of
    `topics_of_theme`.
    """
    known = told.topic != UNKNOWN
    names, number = np.unique(told.topic, return_inverse=True)
    topic = (number - np.count_nonzero(names < 0)).astype(np.int32)
    start = Clusters(
        np.where(told.topic >= 0, topic, -1).astype(np.int32), np.where(known, told.strength, 0).astype(np.float32)
    )
    found = follow(start, known, neighbors, cosines)
    labels, strength = together(
        equal_texts(neighbors, cosines), found.topic_id, found.strength, options.cluster_size(len(known))
    )
    return Clusters(numbered_by_size(labels, np.ones(len(labels), np.int64)), strength)
