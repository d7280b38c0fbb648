import subprocess
import sys

import numpy as np
import pytest
import umap
from scipy.optimize import brentq
from sklearn.decomposition import PCA

from tests.topics.helpers import blobs, graph_of, unit
from transforms.topics import TopicsOptions, lay_out
from transforms.topics.layout.reduce import fuzzy_graph, spectral_start

OPTIONS = TopicsOptions(n_epochs=50)


def test_fuzzy_graph_is_the_one_of_the_paper():
    vectors, _ = blobs([60, 60, 60])
    neighbors, cosines = graph_of(vectors)
    # arXiv 1802.03426, algorithms 2 and 3: memberships exp(-(d - rho) / sigma) that sum to log2(k), then the fuzzy union.
    local = np.zeros((180, 180))
    for row in range(180):
        near = neighbors[row, :14]
        distances = np.linalg.norm(vectors[near].astype(np.float64) - vectors[row], axis=1)
        beyond = distances - distances.min()
        sigma = brentq(lambda sigma, beyond=beyond: np.exp(-beyond / sigma).sum() - np.log2(15), 1e-4, 1e2)
        local[row, near] = np.exp(-beyond / sigma)
    expected = local + local.T - local * local.T
    np.testing.assert_allclose(fuzzy_graph(neighbors, cosines, 15).toarray(), expected, atol=2e-4)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_clustered_layout_is_that_of_umaps_estimator():
    vectors, _ = blobs([80, 80, 80])
    neighbors, cosines = graph_of(vectors)
    knn = np.hstack([np.arange(len(vectors))[:, None], neighbors[:, :14]]).astype(np.int32)
    distances = np.hstack([np.zeros((len(vectors), 1)), np.sqrt(np.maximum(2 - 2 * cosines[:, :14], 0))]).astype(np.float32)
    reference = umap.UMAP(
        n_neighbors=15,
        n_components=5,
        min_dist=0.0,
        n_epochs=OPTIONS.n_epochs,
        precomputed_knn=(knn, distances),
        init=spectral_start(fuzzy_graph(neighbors, cosines, 15), 5, OPTIONS.seed),
        random_state=OPTIONS.seed,
    )
    # The estimator draws nothing from its seed before the optimisation, so that equal arguments give equal bytes.
    expected = reference.fit_transform(vectors)
    np.testing.assert_array_equal(lay_out(neighbors, cosines, OPTIONS).coordinates, expected)


def test_layout_is_a_function_of_graph_and_seed():
    graph = graph_of(blobs([60, 60])[0])
    first, again = lay_out(*graph, OPTIONS), lay_out(*graph, OPTIONS)
    assert first.coordinates.tobytes() == again.coordinates.tobytes()
    assert first.xy.tobytes() == again.xy.tobytes()
    other = lay_out(*graph, TopicsOptions(n_epochs=50, seed=1))
    assert not np.array_equal(first.coordinates, other.coordinates)


def test_layouts_keep_blobs_together():
    vectors, truth = blobs([70, 70, 70])
    layouts = lay_out(*graph_of(vectors), OPTIONS)
    assert layouts.coordinates.shape == (210, 5)
    assert layouts.xy.shape == (210, 2)
    for layout in (layouts.coordinates, layouts.xy):
        assert layout.dtype == np.float32
        distances = np.linalg.norm(layout[:, None] - layout[None], axis=2)
        np.fill_diagonal(distances, np.inf)
        assert np.mean(truth[distances.argmin(axis=1)] == truth) > 0.95


def test_graph_in_many_pieces():
    pieces = [np.roll(np.eye(120)[:40], piece * 40, axis=1) for piece in range(3)]
    rng = np.random.default_rng(0)
    vectors = unit(np.vstack([np.abs(piece + 0.3 * (piece.sum(0) > 0)) for piece in pieces]) + 1e-4 * rng.random((120, 120)))
    neighbors, cosines = graph_of(vectors, 20)
    assert all(set(row // 40) == {position // 40} for position, row in enumerate(neighbors))
    layouts = lay_out(neighbors, cosines, OPTIONS)
    assert np.isfinite(layouts.coordinates).all()
    assert np.isfinite(layouts.xy).all()


@pytest.mark.parametrize("n", [2, 3, 10, 33])
def test_complete_graph_gives_principal_components(n):
    vectors = unit(np.random.default_rng(n).normal(size=(n, 8)))
    coordinates = lay_out(*graph_of(vectors, 32), OPTIONS).coordinates
    width = min(n, 5)
    expected = PCA(min(n, 8), svd_solver="full").fit_transform(vectors)[:, :width]
    np.testing.assert_allclose(np.abs(coordinates[:, :width]), np.abs(expected), atol=2e-3)
    assert not coordinates[:, width:].any()


def test_no_document_and_one():
    empty = lay_out(np.empty((0, 0), np.int32), np.empty((0, 0), np.float32), OPTIONS)
    assert empty.coordinates.shape == (0, 5)
    assert empty.xy.shape == (0, 2)
    one = lay_out(np.empty((1, 0), np.int32), np.empty((1, 0), np.float32), OPTIONS)
    assert one.coordinates.tolist() == [[0.0] * 5]
    assert one.xy.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("n", [2, 20, 34, 100])
def test_all_documents_equal(n):
    layouts = lay_out(*graph_of(unit(np.ones((n, 8)))), OPTIONS)
    assert np.isfinite(layouts.coordinates).all()
    assert np.isfinite(layouts.xy).all()


def test_graph_just_larger_than_its_neighbourhoods():
    vectors = unit(np.random.default_rng(0).normal(size=(6, 4)))
    layouts = lay_out(*graph_of(vectors, 3), TopicsOptions(n_neighbors=3, n_components=10, n_epochs=20))
    assert layouts.coordinates.shape == (6, 10)
    assert np.isfinite(layouts.coordinates).all()


def test_graph_with_too_few_neighbours_is_refused():
    neighbors, cosines = graph_of(blobs([40])[0], 8)
    with pytest.raises(ValueError, match=r"n_neighbors = 15 needs 14 neighbours per document, the graph has 8"):
        lay_out(neighbors, cosines, OPTIONS)
    with pytest.raises(ValueError, match="neighbors and cosines"):
        lay_out(neighbors, cosines[:, :3], OPTIONS)


def test_users_see_no_output_of_the_libraries():
    code = (
        # As the command line does: Beam warns when it is imported beside the extra s3.
        "import logging; logging.basicConfig(level=logging.ERROR)\n"
        "from tests.topics.helpers import *; from transforms.topics import *\n"
        "for n in (1, 5, 40, 200):\n"
        "    graph = graph_of(blobs([n])[0]); options = TopicsOptions(n_epochs=20)\n"
        "    cluster(lay_out(*graph, options).coordinates, options)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
