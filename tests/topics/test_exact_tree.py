import hdbscan
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import minimum_spanning_tree
from sklearn.metrics import adjusted_rand_score

from tests.topics.helpers import blobs, unit
from transforms.neighbors import exact_cosines, snap
from transforms.topics import TopicsOptions, cluster_tree, mutual_reachability_tree
from transforms.topics.clusters import exact_tree


def chords(vectors):
    cosines = exact_cosines(snap(vectors), snap(vectors)).astype(np.float64)
    distances = np.sqrt(np.maximum(2 - 2 * cosines, 2.0**-22))
    np.fill_diagonal(distances, 0)
    return distances


def lists(vectors, k):
    """Positions and cosines of the k nearest others, by the cosines that the neighbours room defines."""
    cosines = exact_cosines(snap(vectors), snap(vectors))
    np.fill_diagonal(cosines, -2)
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return order.astype(np.int32), np.take_along_axis(cosines, order, 1)


def dense_weights(distances, min_samples):
    """Weights of a minimum spanning tree of the full matrix, ascending."""
    core = np.sort(distances, axis=1)[:, min(min_samples, len(distances) - 1)]
    reach = np.maximum(np.maximum(core[:, None], core), distances)
    np.fill_diagonal(reach, 0)
    return np.sort(minimum_spanning_tree(reach).data)


def hdbscan_of(distances, min_samples, method):
    """Labels and strengths by the package, and whether they are the same for every order of the texts."""
    oracle = hdbscan.HDBSCAN(12, min_samples, metric="precomputed", cluster_selection_method=method)
    labels, strength = oracle.fit(distances).labels_, oracle.probabilities_
    agree = []
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(distances))
        other = oracle.fit(np.ascontiguousarray(distances[np.ix_(order, order)])).labels_
        agree.append(adjusted_rand_score(labels[order], other) == 1 and ((labels[order] < 0) == (other < 0)).all())
    return labels, strength, all(agree)


@pytest.mark.parametrize("method", ["eom", "leaf"])
# With min_samples 1 mutual reachability is the distance, hence as free of ties. Above, a text's density is the weight of
# several edges, and which of them the package takes first can matter: in these sets it does not.
@pytest.mark.parametrize(("min_samples", "k", "seed"), [(1, 3, 0), (1, 20, 3), (5, 12, 5), (5, 32, 8)])
def test_labels_are_those_of_hdbscan_on_the_full_distance_matrix(min_samples, k, seed, method):
    vectors, _ = blobs([150, 60, 90, 200], dim=16, spread=0.7, seed=seed)
    distances = chords(vectors)
    labels, strength, unique = hdbscan_of(distances, min_samples, method)
    assert unique
    assert labels.max() >= 2
    options = TopicsOptions(min_cluster_size=12, min_samples=min_samples, cluster_selection_method=method)
    found = cluster_tree(mutual_reachability_tree(*lists(vectors, k), min_samples, vectors), options)
    assert adjusted_rand_score(found.topic_id, labels) == 1.0
    np.testing.assert_array_equal(found.topic_id < 0, labels < 0)
    np.testing.assert_allclose(found.strength, strength, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_tree_weighs_what_the_one_of_the_full_matrix_does(data):
    n = data.draw(st.integers(2, 60))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    # Few directions and small differences: clumps of more texts than a list has places, which hide lighter edges.
    centres = unit(rng.normal(size=(data.draw(st.integers(1, 4)), 6)))
    vectors = unit(centres[rng.integers(0, len(centres), n)] + 0.02 * rng.normal(size=(n, 6)))
    min_samples = data.draw(st.integers(1, 4))
    k = min(data.draw(st.integers(min_samples, 8)), n - 1)
    tree = mutual_reachability_tree(*lists(vectors, k), min_samples, vectors)
    assert tree.shape == (n - 1, 3)
    np.testing.assert_allclose(tree[:, 2], dense_weights(chords(vectors), min_samples), rtol=1e-6)
    assert (np.diff(tree[:, 2]) >= 0).all()


def test_lists_alone_would_give_a_heavier_tree():
    # 40 texts in each of two clumps and lists of five: no list reaches from one clump to the other.
    vectors = unit(np.repeat(np.eye(3)[:2], 40, axis=0) + 0.01 * np.random.default_rng(0).normal(size=(80, 3)))
    neighbors, cosines = lists(vectors, 5)
    assert all(set(row // 40) == {position // 40} for position, row in enumerate(neighbors))
    tree = mutual_reachability_tree(neighbors, cosines, 3, vectors)
    np.testing.assert_allclose(tree[:, 2], dense_weights(chords(vectors), 3), rtol=1e-6)


def test_tree_does_not_depend_on_how_the_comparison_is_cut(monkeypatch):
    # Clumps without a way from one to the other, and ties.
    vectors = unit(np.repeat(np.eye(4), 40, axis=0) + 0.05 * np.random.default_rng(0).integers(-1, 2, (160, 4)))
    neighbors, cosines = lists(vectors, 5)
    tree = mutual_reachability_tree(neighbors, cosines, 3, vectors)
    np.testing.assert_allclose(tree[:, 2], dense_weights(chords(vectors), 3), rtol=1e-6)
    for rows, columns, edges in ((7, 9, 1), (7, 1000, 50), (1000, 9, 10**6)):
        for name, value in (("_ROWS", rows), ("_COLUMNS", columns), ("_EDGES", edges)):
            monkeypatch.setattr(exact_tree, name, value)
        np.testing.assert_array_equal(mutual_reachability_tree(neighbors, cosines, 3, vectors), tree)


def test_a_theme_has_the_densities_of_the_corpus():
    vectors, _ = blobs([40, 40], spread=0.8)
    neighbors, cosines = lists(vectors, 10)
    inside = np.arange(0, 80, 2)
    place = np.full(80, -1)
    place[inside] = np.arange(40)
    tree = mutual_reachability_tree(place[neighbors[inside]], cosines[inside], 5, vectors[inside])
    distances = chords(vectors)
    core = np.sort(distances, axis=1)[inside, 5]
    reach = np.maximum(np.maximum(core[:, None], core), distances[np.ix_(inside, inside)])
    np.fill_diagonal(reach, 0)
    np.testing.assert_allclose(tree[:, 2], np.sort(minimum_spanning_tree(reach).data), rtol=1e-6)


def test_equal_texts_and_none():
    for n in (0, 1):
        assert mutual_reachability_tree(np.empty((n, 0), int), np.empty((n, 0), np.float32), 5, np.empty((n, 3))).shape == (
            0,
            3,
        )
    vectors = unit(np.vstack([np.ones((300, 8)), np.random.default_rng(0).normal(size=(60, 8))]))
    found = cluster_tree(mutual_reachability_tree(*lists(vectors, 32), 5, vectors), TopicsOptions(min_cluster_size=20))
    assert np.isfinite(found.strength).all()
    assert len(set(found.topic_id[:300].tolist())) == 1


def test_too_few_neighbours_are_refused():
    vectors, _ = blobs([30])
    with pytest.raises(ValueError, match="min_samples = 5 needs as many neighbours per text, the graph has 3"):
        mutual_reachability_tree(*lists(vectors, 3), 5, vectors)
