from collections import defaultdict

import hdbscan
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from tests.topics.helpers import blobs, graph_of
from transforms.topics import TopicsOptions, assign_noise, cluster


def points(sizes, noise=0, seed=0, dim=5):
    rng = np.random.default_rng(seed)
    groups = [rng.normal(loc=30 * rng.normal(size=dim), size=(size, dim)) for size in sizes]
    return np.vstack([*groups, rng.uniform(-60, 60, size=(noise, dim))]).astype(np.float32)


@pytest.mark.parametrize("method", ["eom", "leaf"])
@pytest.mark.parametrize("seed", range(3))
def test_partition_and_strength_are_those_of_hdbscan(method, seed):
    coordinates = points([120, 60, 200, 40], noise=60, seed=seed)
    options = TopicsOptions(min_cluster_size=20, min_samples=5, cluster_selection_method=method)
    found = cluster(coordinates, options)
    oracle = hdbscan.HDBSCAN(20, 5, cluster_selection_method=method, approx_min_span_tree=False).fit(coordinates)
    assert adjusted_rand_score(found.topic_id, oracle.labels_) == 1.0
    np.testing.assert_array_equal(found.topic_id < 0, oracle.labels_ < 0)
    np.testing.assert_allclose(found.strength, oracle.probabilities_, atol=1e-6)
    # The package's other algorithm (a dense matrix and Prim) breaks ties of mutual reachability in its own way.
    dense = hdbscan.HDBSCAN(20, 5, algorithm="generic", cluster_selection_method=method).fit(coordinates.astype(float))
    assert adjusted_rand_score(found.topic_id, dense.labels_) > 0.97
    assert (found.topic_id.dtype, found.strength.dtype) == (np.int32, np.float32)


def test_topics_are_numbered_by_size_then_position():
    coordinates = points([50, 80, 50])
    options = TopicsOptions(min_cluster_size=20)
    found = cluster(coordinates, options)
    sizes = np.bincount(found.topic_id[found.topic_id >= 0])
    assert found.topics == len(sizes) == 3
    assert found.topic_id[60] == 0  # the second group is the largest
    same = cluster(coordinates, options, np.r_[np.full(50, 1), np.full(80, 1), np.full(50, 9)])
    assert same.topic_id[150] == 0  # the third one by documents
    weights = np.zeros(180, int)
    tied = cluster(coordinates, options, weights)
    assert [tied.topic_id[np.flatnonzero(found.topic_id == found.topic_id[at])[0]] for at in (25, 75, 150)] == [0, 1, 2]


@pytest.mark.parametrize("n", [0, 1, 2, 4, 5, 6, 7, 30])
def test_few_documents_never_fail(n):
    for min_samples in (1, 5, 40):
        options = TopicsOptions(min_samples=min_samples)
        found = cluster(np.random.default_rng(n).normal(size=(n, 5)).astype(np.float32), options)
        assert found.topic_id.shape == found.strength.shape == (n,)
        assert n >= max(5, min_samples + 1) or (found.topic_id == -1).all()


def test_every_document_noise():
    found = cluster(points([], noise=60), TopicsOptions(min_cluster_size=50))
    assert found.topics == 0
    assert (found.topic_id == -1).all()
    assert not found.strength.any()


def test_one_giant_cluster():
    coordinates = np.random.default_rng(0).normal(size=(1000, 5)).astype(np.float32)
    found = cluster(coordinates, TopicsOptions(min_cluster_size=300))
    assert found.topics <= 2
    assert ((found.strength >= 0) & (found.strength <= 1)).all()


@pytest.mark.parametrize("others", [0, 3, 100, 1000])
def test_equal_coordinates_share_a_label(others):
    coordinates = np.vstack([np.ones((500, 5)), points([others // 2, others - others // 2])]).astype(np.float32)
    found = cluster(coordinates, TopicsOptions(min_cluster_size=20))
    assert len(set(found.topic_id[:500].tolist())) == 1
    assert np.isfinite(found.strength).all()
    assert not found.strength[found.topic_id < 0].any()
    if others >= 100:
        assert found.topic_id[0] >= 0  # 500 times the same thing is a topic


def vote_by_hand(topic_id, neighbors, cosines):
    assigned = [int(topic) for topic in topic_id]
    score = [float(topic >= 0) for topic in topic_id]
    while True:
        round_of = {}
        for row, topic in enumerate(assigned):
            votes = defaultdict(float)
            for other, cosine in zip(neighbors[row], cosines[row], strict=True):
                if topic < 0 <= other and assigned[other] >= 0 and cosine > 0:
                    votes[assigned[other]] += float(cosine)
            if votes:
                round_of[row] = min(votes, key=lambda name: (-votes[name], name))
                score[row] = max(votes.values()) / sum(float(cosine) for cosine in cosines[row] if cosine > 0)
        if not round_of:
            return assigned, score
        for row, topic in round_of.items():
            assigned[row] = topic


@given(st.data())
def test_vote_is_the_brute_force_one(data):
    n = data.draw(st.integers(1, 12))
    k = data.draw(st.integers(0, n - 1))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    topic_id = rng.integers(-1, 3, n)
    neighbors = np.array([rng.permutation(np.delete(np.arange(n), row))[:k] for row in range(n)]).reshape(n, k)
    # Eighths add up exactly: ties are real ties.
    cosines = (rng.integers(-2, 9, (n, k)) / 8).astype(np.float32)
    # A neighbour outside has no vote, but its cosine counts.
    neighbors = np.where(rng.random((n, k)) < 0.2, -1, neighbors)
    assigned, score = assign_noise(topic_id, neighbors, cosines)
    expected, shares = vote_by_hand(topic_id, neighbors, cosines)
    assert assigned.tolist() == expected
    np.testing.assert_allclose(score, shares, rtol=1e-6)
    assert assigned.dtype == np.int32


def test_vote_leaves_topics_alone_and_reaches_far_noise():
    vectors, truth = blobs([60, 60])
    neighbors, cosines = graph_of(vectors, 10)
    topic_id = np.where(np.random.default_rng(0).random(120) < 0.1, truth, -1)
    topic_id[:2] = [0, 1] if truth[0] == 0 else [1, 0]
    assigned, score = assign_noise(topic_id, neighbors, cosines)
    np.testing.assert_array_equal(assigned[topic_id >= 0], topic_id[topic_id >= 0])
    assert (assigned >= 0).all()
    assert (score[topic_id >= 0] == 1).all()
    assert (score > 0).all()
    for found, empty in zip(assign_noise(np.full(120, -1), neighbors, cosines), (-1, 0), strict=True):
        assert (found == empty).all()
