from collections import Counter

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.topics.helpers import blobs, graph_of, scattered
from transforms.topics import TopicsOptions, equal_texts, share_labels, topics_of_theme
from transforms.topics.clusters.cluster import together
from transforms.topics.clusters.equal import joined

NUMBERS = st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 4)), max_size=20)


def agreed(labels):
    votes = Counter(label for label in labels if label >= 0)
    return min(votes, key=lambda label: (-votes[label], label), default=-1)


@given(NUMBERS)
def test_groups_agree_on_their_most_frequent_topic(pairs):
    groups, labels = np.array(pairs, int).reshape(-1, 2).T
    expected = [agreed(labels[groups == group]) for group in groups]
    assert share_labels(groups, labels).tolist() == expected


@given(NUMBERS)
def test_joined_groups_are_components(pairs):
    groups, others = np.array(pairs, int).reshape(-1, 2).T
    others = others + 1
    graph = networkx.Graph([(f"a{a}", f"b{b}") for a, b in zip(groups, others, strict=True)])
    components = list(networkx.connected_components(graph))
    expected = [next(i for i, component in enumerate(components) if f"a{a}" in component) for a in groups]
    found = joined(groups, others).tolist()
    assert len(set(zip(found, expected, strict=True))) == len(set(found)) == len(set(expected))


def test_equal_texts_are_those_of_equal_vectors():
    vectors = scattered(50)
    vectors[[3, 10, 20, 49]] = vectors[3]
    vectors[[5, 6]] = vectors[5]
    neighbors, cosines = graph_of(vectors, 2)
    groups = equal_texts(neighbors, cosines)
    assert groups.dtype == np.int32
    np.testing.assert_array_equal(groups[:, None] == groups, (vectors[:, None] == vectors).all(axis=2))
    # Alone is who has no equal inside.
    assert len(set(equal_texts(np.full_like(neighbors, -1), cosines).tolist())) == 50


def test_a_group_of_noise_is_a_topic_where_it_is_large_enough_and_noise_takes_the_strength_of_its_topic():
    groups = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2])
    labels = np.array([-1, 0, 0, -1, -1, -1, -1, -1, -1])
    strength = np.array([0, 0.5, 0.75, 0, 0, 0, 0, 0, 0], np.float32)
    shared, strengths = together(groups, labels, strength, 3)
    assert shared.tolist() == [0, 0, 0, 1, 1, 1, 1, -1, -1]
    assert strengths.tolist() == [0.75, 0.5, 0.75, 1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("equal", [100, 600])
def test_a_layout_does_not_tear_equal_texts_apart(equal):
    vectors, _ = blobs([300, 300], spread=1.0)
    vectors[:equal] = vectors[0]
    neighbors, cosines = graph_of(vectors)
    found = topics_of_theme(neighbors, cosines, TopicsOptions(n_epochs=50))
    assert len(set(found.topic_id[:equal].tolist())) == 1
    assert found.topic_id[0] >= 0
    assert (found.strength[:equal] > 0).all()
    if equal == 600:
        assert found.topics == 1
