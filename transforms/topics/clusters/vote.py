"""Topics of texts that were not there when topics were found: their nearest texts vote."""

from dataclasses import dataclass

import numpy as np

from transforms.topics.clusters.cluster import heaviest_vote, share_of_vote


@dataclass(frozen=True)
class Labels:
    """What is known of n texts: arrays in one order, such as that of their ids.

    `themes` int32 (n, layers), -1 for none; `topic_id`, `assigned_topic_id` int32 (n,), -1 for none; `score` float32 (n,).
    """

    themes: np.ndarray
    topic_id: np.ndarray
    assigned_topic_id: np.ndarray
    score: np.ndarray

    def rows(self, selected: np.ndarray) -> "Labels":
        """The labels of some texts."""
        return Labels(*(values[selected] for values in (self.themes, self.topic_id, self.assigned_topic_id, self.score)))

    def replaced(self, selected: np.ndarray, others: "Labels") -> "Labels":
        """The labels with those of the texts `selected`, bool (n,), taken from `others`, in their order."""
        whole = [values.copy() for values in (self.themes, self.topic_id, self.assigned_topic_id, self.score)]
        for values, taken in zip(whole, (others.themes, others.topic_id, others.assigned_topic_id, others.score), strict=True):
            values[selected] = taken
        return Labels(*whole)


def vote_for_labels(known: Labels, neighbors: np.ndarray, cosines: np.ndarray, layer: int | None) -> Labels:
    """Labels of m texts by the votes of their nearest among the n that are known. What is known stays as it is.

    `neighbors` int (m, K): places among the known, -1 for none; `cosines` float32 (m, K). Every neighbour votes with its
    cosine, negative ones not at all; ties go to the smaller number, which is the larger theme or topic.

    - The theme of each layer: the heaviest.
    - The assigned topic, as noise of the corpus has one (`assign_noise`): topics that neighbours are in have a vote, where none
      is in one those that neighbours were assigned to. With `layer`, the place of the themes that topics are inside of, only
      neighbours of the text's own theme vote. The score is the winner's share of the cosines of all neighbours.
    - `topic_id`, as for texts beyond the landmarks (`follow_landmarks`): noise votes too, and where it wins the text is noise.
    """
    m, layers = len(neighbors), known.themes.shape[1]
    if not len(known.topic_id):
        nothing = np.full(m, -1, np.int32)
        return Labels(np.full((m, layers), -1, np.int32), nothing, nothing, np.zeros(m, np.float32))
    there = neighbors >= 0
    weights = np.where(there, np.maximum(cosines, 0), 0).astype(np.float64)
    themes = np.empty((m, layers), np.int32)
    for at in range(layers):
        themes[:, at], _ = _heaviest(np.where(there, known.themes[neighbors, at], -1), weights)
    voters = there
    if layer is not None:
        voters = there & (known.themes[neighbors, layer] == themes[:, layer, None])
    # Noise votes as 0, topic t as t + 1; -1 has no vote.
    with_noise, _ = _heaviest(np.where(voters, known.topic_id[neighbors] + 1, -1), weights)
    assigned, weight = _heaviest(np.where(voters, known.topic_id[neighbors], -1), weights)
    by_noise, weight_by_noise = _heaviest(np.where(voters, known.assigned_topic_id[neighbors], -1), weights)
    second = assigned < 0
    assigned, weight = np.where(second, by_noise, assigned), np.where(second, weight_by_noise, weight)
    score = np.where(assigned >= 0, share_of_vote(weight, weights), 0).astype(np.float32)
    return Labels(themes, np.maximum(with_noise - 1, -1).astype(np.int32), assigned.astype(np.int32), score)


def without_labels(labels: Labels, outside: np.ndarray) -> Labels:
    """The labels after texts that are `outside`, bool (m,), have lost theirs: they are like nothing that is known."""
    return Labels(
        np.where(outside[:, None], np.int32(-1), labels.themes),
        np.where(outside, np.int32(-1), labels.topic_id),
        np.where(outside, np.int32(-1), labels.assigned_topic_id),
        np.where(outside, np.float32(0), labels.score),
    )


def _heaviest(votes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return heaviest_vote(votes, np.where(votes >= 0, weights, 0))
