"""Layouts of a neighbour graph: a few dimensions to cluster in and two to look at, by UMAP, without the vectors.

UMAP (McInnes, Healy and Melville 2018, arXiv 1802.03426) needs of the data only who is near whom and how far. Both are in
the neighbour graph, so the fuzzy graph is built once from it and optimised twice. The start is spectral and computed
from the same graph, hence no stage needs all vectors at once.

Distance is the chord, sqrt(2 - 2 cos): a metric, unlike 1 - cos, and the distance that the plan fixes for densities. (UMAP
calibrates every neighbourhood for itself, so topics are equally good with either: V-measure within .01, as between seeds.)
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import scipy.sparse as sp

from transforms.threads import one_blas_thread
from transforms.topics.options import TopicsOptions

# The start needs slow directions of the graph, not converged eigenvectors: 60 halved steps (1 s for 61,000 rows) led to
# topics of the same V-measure as the exact eigenvectors (agnews, search_snippets).
_POWER_STEPS = 60


# Steps of `settle`, in units of UMAP's first one, after a map from nothing.
FIRST = 0.05


@dataclass(frozen=True)
class Layouts:
    """`coordinates` float32 (n, n_components) to cluster in, `xy` float32 (n, 2) for the map; rows in position order."""

    coordinates: np.ndarray
    xy: np.ndarray


def lay_out(neighbors: np.ndarray, cosines: np.ndarray, options: TopicsOptions) -> Layouts:
    """Lay out n documents from their neighbour graph; a function of the arguments only.

    `neighbors` integer (n, K): positions of the K nearest others, nearest first, never the document itself; `cosines`
    float32 (n, K). A complete graph (K = n - 1: corpora of at most K + 1 texts) is laid out by principal components,
    exact and instant, because UMAP has nothing to add there.

    Raises ValueError when the shapes disagree or the graph has fewer neighbours than `n_neighbors` needs.
    """
    if neighbors.ndim != 2 or neighbors.shape != cosines.shape:
        raise ValueError(f"a graph needs neighbors and cosines (n, K), got {neighbors.shape} and {cosines.shape}")
    n, k = neighbors.shape
    if n == 0:
        return Layouts(np.empty((0, options.n_components), np.float32), np.empty((0, 2), np.float32))
    if k >= n - 1:
        coordinates = _principal_coordinates(neighbors, cosines, max(options.n_components, 2))
        return Layouts(np.ascontiguousarray(coordinates[:, : options.n_components]), coordinates[:, :2].copy())
    if k < options.n_neighbors - 1:
        raise ValueError(
            f"topics.n_neighbors = {options.n_neighbors} needs {options.n_neighbors - 1} neighbours per document, the graph"
            f" has {k}: raise the number of neighbours or lower topics.n_neighbors"
        )
    # One BLAS thread: sums in another order change the last bits of the start, and the optimisation amplifies them.
    with one_blas_thread():
        graph = fuzzy_graph(neighbors, cosines, options.n_neighbors)
        coordinates = _clustered(graph, options)
        # From the clustered layout, not from scratch: what is one topic there then lies together on the map.
        xy = optimise(graph, _even(_principal_axes(coordinates)), options.map_min_dist, options)
        return Layouts(coordinates, settle(graph, xy, FIRST, options))


def reduced(neighbors: np.ndarray, cosines: np.ndarray, options: TopicsOptions) -> np.ndarray:
    """A layout to cluster in of a part of a graph, such as one theme: float32 (n, n_components).

    As in `lay_out`, but neighbours outside of the part are -1 and take no part; a text with fewer than `n_neighbors` - 1
    others inside has a smaller neighbourhood.
    """
    with one_blas_thread():
        return _clustered(fuzzy_graph(*_inside_first(neighbors, cosines), options.n_neighbors), options)


def _clustered(graph: sp.csr_matrix, options: TopicsOptions) -> np.ndarray:
    start = spectral_start(graph, options.n_components, options.seed)
    return optimise(graph, start, options.min_dist, options)


def _inside_first(neighbors: np.ndarray, cosines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every row's neighbours with those that are -1 at the end, the others in their order."""
    order = np.argsort(neighbors < 0, axis=1, kind="stable")
    return np.take_along_axis(neighbors, order, 1), np.take_along_axis(cosines, order, 1)


def fuzzy_graph(neighbors: np.ndarray, cosines: np.ndarray, n_neighbors: int) -> sp.csr_matrix:
    """UMAP's fuzzy union of local neighbourhoods: symmetric float32 (n, n) with memberships in (0, 1].

    A neighbour -1 is none; such are at the end of a row.
    """
    n, k = len(neighbors), min(neighbors.shape[1], n_neighbors - 1)
    indices = np.full((n, n_neighbors), -1, np.int32)
    # Nobody is farther away than 2: what is missing from a neighbourhood adds next to nothing to its size.
    distances = np.full((n, n_neighbors), 2, np.float32)
    indices[:, 0], distances[:, 0] = np.arange(n), 0  # UMAP counts the point itself as its first neighbour
    indices[:, 1 : k + 1] = neighbors[:, :k]
    chords = np.sqrt(np.maximum(2 - 2 * cosines[:, :k], 0))
    distances[:, 1 : k + 1] = np.where(neighbors[:, :k] >= 0, chords, 2)
    graph, *_ = _umap().fuzzy_simplicial_set(
        np.empty((n, 1), np.float32),  # only its number of rows is read
        n_neighbors,
        np.random.RandomState(0),  # unused: the neighbours are given
        "precomputed",
        knn_indices=indices,
        knn_dists=distances,
    )
    return graph.tocsr()


def spectral_start(graph: sp.csr_matrix, dimensions: int, seed: int) -> np.ndarray:
    """Start positions, float32 (n, dimensions) in [-10, 10], along the slowest directions of a random walk on the graph.

    Subspace iteration on (I + D^-1/2 W D^-1/2) / 2 from seeded noise, then ranks instead of values: components and
    outliers, which are 100 times as far out as the median in real graphs, cannot squeeze the rest together, and a
    graph in many pieces needs no special case.
    """
    n = graph.shape[0]
    degree = np.asarray(graph.sum(axis=1), np.float32).ravel()
    scale = sp.diags(1 / np.sqrt(np.maximum(degree, np.float32(1e-12))))
    step = (scale @ graph @ scale).astype(np.float32).tocsr()
    basis = np.random.RandomState(seed).normal(size=(n, min(dimensions + 1, n))).astype(np.float32)
    basis[:, 0] = np.sqrt(degree)  # the known first eigenvector: the others are kept orthogonal to it
    for turn in range(_POWER_STEPS):
        if turn % 5 == 0:
            basis, _ = np.linalg.qr(basis)
        basis = (basis + step @ basis) / 2
    basis, _ = np.linalg.qr(basis)
    start = np.zeros((n, dimensions), np.float32)
    start[:, : basis.shape[1] - 1] = scale @ basis[:, 1:]
    return _even(start)


def optimise(graph: sp.csr_matrix, start: np.ndarray, min_dist: float, options: TopicsOptions) -> np.ndarray:
    """UMAP's whole optimisation, float32 as `start` (n, d), which it first scales to [0, 10]."""
    umap = _umap()
    a, b = umap.find_ab_params(1.0, min_dist)
    layout, _ = umap.simplicial_set_embedding(
        None,
        graph,
        start.shape[1],
        initial_alpha=1.0,
        a=a,
        b=b,
        gamma=1.0,
        negative_sample_rate=5,
        n_epochs=options.n_epochs,
        init=start,
        random_state=np.random.RandomState(options.seed),
        metric="euclidean",
        metric_kwds={},
        densmap=False,
        densmap_kwds={},
        output_dens=False,
        parallel=False,  # the parallel optimiser races on purpose: no two runs are alike
    )
    return np.ascontiguousarray(layout, np.float32)


def settle(graph: sp.csr_matrix, start: np.ndarray, alpha: float, options: TopicsOptions) -> np.ndarray:
    """The end of a map's optimisation, from `start` float32 (n, 2) as it is: half as many epochs, steps from `alpha` to 0.

    As `optimise`, which scales its start to [0, 10] and so cannot go on where another ended.
    """
    umap, epochs = _umap(), max(options.n_epochs // 2, 1)
    a, b = umap.find_ab_params(1.0, options.map_min_dist)
    edges = graph.tocoo()
    # As UMAP drops them: those of which nobody is sampled in so many epochs.
    kept = edges.data >= edges.data.max(initial=0) / epochs
    head, tail, weights = edges.row[kept], edges.col[kept], edges.data[kept]
    del edges
    if not len(weights):
        return start
    # As UMAP draws the state of its own generator.
    state = np.random.RandomState(options.seed).randint(np.iinfo(np.int32).min + 1, np.iinfo(np.int32).max - 1, 3)
    layout = np.array(start, np.float32, order="C")
    layout = _layouts().optimize_layout_euclidean(
        layout,
        layout,
        head,
        tail,
        epochs,
        len(layout),
        umap.make_epochs_per_sample(weights, epochs),
        a,
        b,
        state.astype(np.int64),
        initial_alpha=alpha,
        negative_sample_rate=5.0,
        parallel=False,  # as in `optimise`
        move_other=True,
    )
    return np.ascontiguousarray(layout, np.float32)


def _even(values: np.ndarray) -> np.ndarray:
    """Every column's ranks, spread evenly over [-10, 10]: float32, all values of a column distinct."""
    even = np.empty(values.shape, np.float32)
    for column in range(values.shape[1]):
        even[np.argsort(values[:, column], kind="stable"), column] = np.linspace(-10, 10, len(values))
    return even


def _principal_axes(coordinates: np.ndarray) -> np.ndarray:
    """The two principal components of a layout, float64 (n, 2)."""
    centred = coordinates.astype(np.float64) - coordinates.mean(axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return centred @ _signed(axes[:, :-3:-1])


def _principal_coordinates(neighbors: np.ndarray, cosines: np.ndarray, dimensions: int) -> np.ndarray:
    """Principal components of unit vectors from all their cosines (classical scaling), float32 (n, dimensions).

    Directions that the texts do not span are zero.
    """
    n = len(neighbors)
    gram = np.eye(n)
    np.put_along_axis(gram, neighbors.astype(np.int64), cosines.astype(np.float64), axis=1)
    centring = np.eye(n) - 1 / n
    values, axes = np.linalg.eigh(centring @ ((gram + gram.T) / 2) @ centring)
    values, axes = values[::-1], _signed(axes[:, ::-1])
    kept = min(n, dimensions)
    # float32 cosines carry errors near 1e-7 each; below this a direction is rounding noise
    lengths = np.sqrt(np.where(values > 1e-6 * n, values, 0))[:kept]
    coordinates = np.zeros((n, dimensions), np.float32)
    coordinates[:, :kept] = axes[:, :kept] * lengths
    return coordinates


def _signed(axes: np.ndarray) -> np.ndarray:
    """Eigenvectors with their largest entry positive: an eigenvector has no sign of its own."""
    largest = np.abs(axes).argmax(axis=0)
    return axes * np.where(axes[largest, np.arange(axes.shape[1])] < 0, -1, 1)


@cache
def _umap() -> Any:
    """`umap.umap_`, imported when first needed (2 s), with its three slow compilations kept on disk.

    UMAP lets numba compile these functions anew in every process (6 s); they are asked to use numba's file cache, as
    the rest of UMAP does. The cached code is the same code: equal results.
    """
    import umap.layouts
    import umap.umap_

    for function in (
        umap.umap_.smooth_knn_dist,
        umap.umap_.compute_membership_strengths,
        getattr(umap.layouts, "_nb_optimize_layout_euclidean_single_epoch", None),
    ):
        if function is not None:
            function.enable_caching()
    return umap.umap_


def _layouts() -> Any:
    """`umap.layouts`, with what is kept on disk."""
    _umap()
    import umap.layouts

    return umap.layouts
