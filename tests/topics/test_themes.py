import tracemalloc

import networkx
import numpy as np
import pytest
import scipy.sparse as sp
from networkx.algorithms.community import louvain_communities
from sklearn.metrics import adjusted_rand_score

from tests.topics.helpers import blobs, graph_of
from transforms.topics import community_graph, equal_texts, find_themes, lean_on
from transforms.topics.clusters import themes
from transforms.topics.clusters.themes import layer_seed


def modularity(graph, themes, resolution):
    """Reichardt and Bornholdt: within-theme weight less what chance would put there, by definition."""
    dense = graph.toarray()
    degree = dense.sum(axis=1)
    same = themes[:, None] == themes
    return ((dense - resolution * np.outer(degree, degree) / dense.sum()) * same).sum() / dense.sum()


def test_graph_weighs_both_directions_and_divides_by_what_both_texts_have():
    neighbors = np.array([[1, 2], [0, 2], [3, 0], [2, 1]])
    cosines = np.array([[0.9, 0.5], [0.9, -0.3], [0.8, 0.5], [0.8, 0.2]], np.float32)
    directed = np.zeros((4, 4))
    np.put_along_axis(directed, neighbors, np.maximum(cosines.astype(float), 0), axis=1)
    similar = directed + directed.T
    degree = similar.sum(axis=1)
    expected = similar / np.outer(degree, degree)
    graph = community_graph(neighbors, cosines)
    assert graph.nnz == 8  # the cosine below zero is no edge
    np.testing.assert_allclose(graph.toarray(), expected / expected[expected > 0].mean())
    assert (graph != graph.T.tocsr()).nnz == 0


def test_graph_takes_little_more_than_itself():
    n, k = 50_000, 32
    rng = np.random.default_rng(0)
    lists = rng.integers(0, n, (n, k), np.int32), rng.random((n, k), np.float32)
    tracemalloc.start()
    try:
        graph = community_graph(*lists)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # An edge has a place and a weight; no more than one more array as long as all edges and their sorting.
    own = graph.data.nbytes + graph.indices.nbytes + graph.indptr.nbytes
    assert own < 780 * n
    assert peak < 1250 * n


def test_themes_are_the_blobs_and_numbered_by_size():
    vectors, truth = blobs([90, 60, 40])
    graph = community_graph(*graph_of(vectors, 15))
    themes = find_themes(graph, 0.5, 42)
    assert adjusted_rand_score(truth, themes) == 1.0
    assert np.bincount(themes).tolist() == [90, 60, 40]
    assert themes.dtype == np.int32
    heavy = np.where(truth == truth[themes == 2][0], 100, 1)
    assert np.bincount(find_themes(graph, 0.5, 42, heavy)).tolist() == [40, 90, 60]


@pytest.mark.parametrize("resolution", [0.5, 1.0, 2.0])
def test_themes_are_as_modular_as_what_another_library_finds(resolution):
    graph = community_graph(*graph_of(blobs([50, 40, 30], spread=1.2)[0], 10))
    found = louvain_communities(networkx.from_scipy_sparse_array(graph), resolution=resolution, seed=1)
    other = np.empty(120, int)
    for number, members in enumerate(found):
        other[list(members)] = number
    ours = modularity(graph, find_themes(graph, resolution, 42), resolution)
    assert ours >= modularity(graph, other, resolution) - 0.005
    assert ours > 0.3


def test_higher_resolutions_have_more_themes():
    graph = community_graph(*graph_of(blobs([60] * 6, spread=1.0)[0], 12))
    counts = [find_themes(graph, resolution, 42).max() + 1 for resolution in (0.1, 1.0, 5.0)]
    assert counts[0] < counts[1] < counts[2]


def test_themes_are_a_function_of_graph_resolution_and_seed():
    graph = community_graph(*graph_of(blobs([60, 60, 60], spread=1.5)[0], 10))
    first = find_themes(graph, 2.0, 42)
    np.testing.assert_array_equal(first, find_themes(graph.copy(), 2.0, 42))
    seeds = {layer_seed(resolution, seed) for resolution in (0.5, 1, 2.0) for seed in range(3)}
    assert len(seeds) == 9
    assert layer_seed(1, 5) == layer_seed(1.0, 5)
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_texts(n):
    themes = find_themes(community_graph(*graph_of(np.eye(3, dtype=np.float32)[:n] + np.float32(0.1), 32)), 1.0, 42)
    assert themes.shape == (n,)
    assert set(themes.tolist()) == set(range(int(themes.max(initial=-1)) + 1))


def test_texts_without_an_edge_are_themes_of_their_own():
    # Orthogonal texts: every cosine is zero. Among them one pair that is alike.
    vectors = np.eye(6, dtype=np.float32)
    vectors[1] = vectors[0]
    themes = find_themes(community_graph(*graph_of(vectors, 3)), 1.0, 42)
    assert themes.tolist() == [0, 0, 1, 2, 3, 4]


@pytest.mark.parametrize("equal", [40, 500])
def test_equal_texts_share_a_theme_or_few(equal):
    vectors, _ = blobs([300])
    vectors[:equal] = vectors[0]
    themes = find_themes(community_graph(*graph_of(vectors, 32)), 0.5, 42)
    sizes = np.bincount(themes[:equal])
    assert sizes.max() >= 32  # lists of 32 among equals: pieces of them are all that a graph can hold together


def test_equal_texts_are_one_theme_where_a_resolution_tears_their_star_apart():
    vectors, _ = blobs([300])
    vectors[:] = vectors[0]
    lists = graph_of(vectors, 32)
    graph = community_graph(*lists)
    assert find_themes(graph, 2.0, 42).max() > 0
    assert not find_themes(graph, 2.0, 42, equal=equal_texts(*lists)).any()


def test_edges_within_a_theme_of_before_are_heavier(monkeypatch):
    monkeypatch.setattr(themes, "_ROWS", 7)
    vectors, truth = blobs([30, 20])
    graph = community_graph(*graph_of(vectors, 9))
    before = np.where(np.arange(50) % 4 == 0, -2, truth)
    same = (before[:, None] == before) & (before >= 0)
    expected = graph.toarray() * np.where(same, 1.5, 1)
    lean_on(graph, before)
    np.testing.assert_array_equal(graph.toarray(), expected)
    # A ring can be cut in two in four ways: as it was.
    square = sp.csr_matrix(np.roll(np.eye(8), 1, axis=0) + np.roll(np.eye(8), -1, axis=0))
    for shift in range(4):
        past = np.arange(8) + shift
        leaning = square.copy()
        lean_on(leaning, past // 4 % 2)
        found = find_themes(leaning, 0.5, 42)
        assert adjusted_rand_score(found, past // 4 % 2) == 1
