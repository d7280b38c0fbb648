"""Themes: communities of the neighbour graph, coarse to fine; every text has one in each layer.

The Leiden algorithm (Traag, Waltman and van Eck 2019, arXiv 1810.08473) by graspologic-native, maximising modularity with a
resolution (Reichardt and Bornholdt 2006): higher resolutions give more and smaller communities. One thread and one seed: the
partition is a function of graph, resolution and seed, and positions are content-key order, hence a function of the corpus.
"""

import hashlib

import numpy as np
import scipy.sparse as sp

from transforms.topics.clusters.equal import share_labels
from transforms.topics.clusters.numbering import numbered_by_size

# Rounds of the whole algorithm, each from the partition before. One leaves the coarse layer far from its optimum (V-measure of
# agnews at 0.5 over five seeds, with plain cosines squared: .529 in the mean, .566 after three); ten add .003 for three times
# the time.
_ROUNDS = 3
# By what an edge within a theme of the parent generation is heavier when themes are found anew. With a fifth of the texts of
# search_snippets replaced 98.2 % of the others keep their theme at resolution 1 (91.0 % without, 93.3 % at 1.2, 99.8 % at 2,
# 95.5 % where Leiden starts from the themes before); V-measure is the same within .01.
_LEAN = 1.5
# Rows whose weights are divided at a time: arrays as long as all edges are what a large corpus has no memory for.
_ROWS = 16_384


def community_graph(neighbors: np.ndarray, cosines: np.ndarray) -> sp.csr_matrix:
    """The undirected weighted graph whose communities are themes: symmetric float64 (n, n), sorted, without a diagonal.

    `neighbors` integer (n, K) positions of other texts, `cosines` float32 (n, K). The weight of an edge is s_ij / (d_i d_j):
    s is max(cosine, 0), twice that where each of the two texts is in the other's list, d a text's sum of s. Without the
    division hubs, which are in the lists of hundreds, hold together what does not belong together (V-measure at resolution 1,
    mean of five seeds: search_snippets .644 without, .658 with it; agnews .455 and .529). Weights are scaled to mean 1.

    Memory beside the arguments, with 32 neighbours: at most 1.2 KB a text, of which the graph keeps 770 B.
    """
    n, k = neighbors.shape
    bounds = np.arange(0, n * k + 1, k) if k else np.zeros(n + 1, np.int64)
    # float32 is exact for the sum of the equal cosines of an edge's two directions.
    directed = sp.csr_matrix((np.maximum(cosines, 0).ravel(), neighbors.ravel(), bounds), shape=(n, n))
    graph = (directed + directed.T).tocsr()
    del directed
    graph.eliminate_zeros()
    graph.sort_indices()
    graph.data = graph.data.astype(np.float64)
    degree = np.asarray(graph.sum(axis=1)).ravel()
    for low in range(0, n, _ROWS):
        span = graph.indptr[low : low + _ROWS + 1]
        some = slice(span[0], span[-1])
        # One division by the product: two would round an edge's two directions apart.
        graph.data[some] /= np.repeat(degree[low : low + _ROWS], np.diff(span)) * degree[graph.indices[some]]
    if graph.nnz:
        graph.data /= graph.data.mean()
    return graph


def lean_on(graph: sp.csr_matrix, before: np.ndarray) -> None:
    """Make edges between texts of one theme of the parent generation heavier, in place: `before` int (n,), negative for none.

    Themes that are found anew then are those of before unless others are clearly better: evolutionary clustering (Chakrabarti,
    Kumar and Tomkins 2006, doi 10.1145/1150402.1150467) with the past as a part of the weights.
    """
    n = graph.shape[0]
    for low in range(0, n, _ROWS):
        span = graph.indptr[low : low + _ROWS + 1]
        some = slice(span[0], span[-1])
        own, other = np.repeat(before[low : low + _ROWS], np.diff(span)), before[graph.indices[some]]
        graph.data[some] *= np.where((own >= 0) & (own == other), _LEAN, 1)


def find_themes(
    graph: sp.csr_matrix,
    resolution: float,
    seed: int,
    weights: np.ndarray | None = None,
    equal: np.ndarray | None = None,
) -> np.ndarray:
    """The theme of every text, int32 (n,), numbered from 0 by descending size, ties by smallest position.

    `graph` as `community_graph` makes it. `weights` int (n,) makes size the sum of weights, such as the documents of each
    text. A text without an edge is a theme of its own. Texts of one group of `equal` int (n,), `equal_texts`, share the theme
    that most of them have: they all name the same few of themselves as neighbours, a star in which high resolutions see no
    community.

    Memory beside the graph, with 32 neighbours: some 3 KB a text (200,000 texts, graspologic-native 1.3), Leiden's own copies.
    """
    n = graph.shape[0]
    community = np.arange(n)
    if graph.nnz:
        import graspologic_native

        _, found = graspologic_native.leiden_csr(
            graph.indptr.astype(np.int64, copy=False),
            graph.indices.astype(np.int32, copy=False),
            graph.data,
            n,
            resolution=resolution,
            iterations=_ROUNDS,
            use_modularity=True,
            seed=layer_seed(resolution, seed),
        )
        # A dictionary of all nodes, whose order is not promised.
        nodes = np.fromiter(found.keys(), np.int64, n)
        community[nodes] = np.fromiter(found.values(), np.int64, n)
    if equal is not None:
        community = share_labels(equal, community)
    return numbered_by_size(community, np.ones(n, np.int64) if weights is None else weights)


def layer_seed(resolution: float, seed: int) -> int:
    """A seed for one layer from the configured one: digests of both, so that no layer depends on which others there are."""
    digest = hashlib.sha256(f"corpusbeam themes {seed} {float(resolution)!r}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
