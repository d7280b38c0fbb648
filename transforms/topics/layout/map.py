"""The map: two dimensions to look at, which stay the same from one generation to the next where the texts do.

A layout from nothing has no direction of its own: after a change of one text in a hundred it lies turned, mirrored and bent on
the one before. So the map begins where the parent generation's was: a text that was there has its place, a new one the weighted
mean of its neighbours' places, and a short optimisation with small steps lets all of them settle.

Measured on agnews, 3,000 texts, ten nights (`benchmarks/topics.py map`): with 1 % of the texts replaced each night the others
move by 2 % of the map's spread (median; root mean square distance from the middle) and turn by 0.2 degrees at most; from
nothing they move by 40 to 134 %. As many graph neighbours stay together as from nothing, in half of the time.
"""

import numpy as np
import scipy.sparse as sp
from scipy.linalg import orthogonal_procrustes
from scipy.sparse.csgraph import connected_components

from transforms.threads import one_blas_thread
from transforms.topics.layout.reduce import FIRST, fuzzy_graph, lay_out, optimise, settle, spectral_start
from transforms.topics.options import TopicsOptions

# Steps of the optimisation from night to night, in units of UMAP's first one. A layout from nothing ends before it is at rest:
# without its own last steps, `FIRST`, the first night would move everything by a tenth of the spread.
_NIGHTLY = 0.02
# A map of more texts has so many steps as one of these, but no fewer epochs than the second number: one worker does them all,
# and an epoch of 200,000 takes 0.27 s, of a million 2.05 s. (61,187 Debian descriptions: of 15 graph neighbours .326 are among
# the 15 nearest after 100 epochs, .309 after 40, in 45 % of the time.)
_FULL, _FEWEST = 200_000, 50
# A map from nothing takes half of its epochs to find places and half to settle there: of 15 graph neighbours of those
# descriptions .334 are among the 15 nearest, and .541 of random triplets are in the order of their cosines; with all epochs for
# the places .334 and .546, in 30 s instead of 20. UMAP prunes edges by the number of epochs from 11 on.
_LEAST = 11
# So many epochs are usual.
_USUAL = 200
# Of a corpus of which fewer texts were there before, the map is made from nothing.
_KNOWN_SHARE = 0.5
# Each piece of the graph that nobody of is known begins at this angle from the one before: the golden angle, so that none
# begins where another does.
_ANGLE = np.pi * (3 - np.sqrt(5))


def lay_out_map(
    neighbors: np.ndarray, cosines: np.ndarray, options: TopicsOptions, before: np.ndarray | None = None
) -> np.ndarray:
    """The 2-d map, float32 (n, 2), for a graph as in `lay_out`: from `before`, or from a spectral start.

    `before` float32 (n, 2) are the parent generation's places, NaN for a text that it did not have. They count where at least
    half of the texts have one. A complete graph, which is laid out by principal components, is turned to lie on them.
    """
    n, k = neighbors.shape
    options = options.model_copy(update={"n_epochs": map_epochs(n, options.n_epochs)})
    if k < max(options.n_neighbors - 1, 1) or k >= n - 1:
        xy = lay_out(neighbors, cosines, options).xy
        return xy if before is None else turned(xy, before)
    with one_blas_thread():
        graph = fuzzy_graph(neighbors, cosines, options.n_neighbors)
        if before is not None and can_continue(before, k):
            return settle(graph, place_new(graph, before, options.seed), _NIGHTLY, options)
        half = options.model_copy(update={"n_epochs": max(options.n_epochs // 2, _LEAST)})
        start = optimise(graph, spectral_start(graph, 2, options.seed), options.map_min_dist, half)
        return settle(graph, start, FIRST, options)


def map_epochs(n: int, epochs: int) -> int:
    """How many of `epochs` the map of n texts takes: all up to 200,000 texts, then fewer, so that it takes no longer."""
    return epochs if n <= _FULL else min(epochs, max(_FEWEST, epochs * _FULL // n))


def map_cost(n: int) -> int:
    """How many texts take as long with all epochs as the map of n texts with its own (of 200)."""
    return n * map_epochs(n, _USUAL) // _USUAL


def can_continue(before: np.ndarray, k: int) -> bool:
    """Whether a map can begin at these places: enough texts have one, and more than a complete graph with lists of `k` has.

    Those of a smaller corpus are principal components, on another scale.
    """
    known = int(np.count_nonzero(np.isfinite(before).all(axis=1)))
    return known >= _KNOWN_SHARE * len(before) and known > k + 1


def place_new(graph: sp.csr_matrix, before: np.ndarray, seed: int) -> np.ndarray:
    """A place for every text, float32 (n, 2): its own in `before`, or the mean of those of its neighbours, by edge weights.

    New texts that have no neighbour with a place wait for the next round. Pieces of the graph in which nobody has one begin
    around the map, each at a place of its own, its texts a little apart by seeded noise.
    """
    xy = before.astype(np.float64)
    placed = np.asarray(np.isfinite(xy).all(axis=1))
    xy[~placed] = 0
    while not placed.all():
        waiting = np.flatnonzero(~placed)
        edges = graph[waiting] @ sp.diags(placed.astype(np.float64))
        weight = np.asarray(edges.sum(axis=1)).ravel()
        reached = weight > 0
        if not reached.any():
            break
        xy[waiting[reached]] = (edges[reached] @ xy) / weight[reached, None]
        placed[waiting[reached]] = True
    lost = np.flatnonzero(~placed)
    if len(lost):
        middle = np.median(xy[placed], axis=0)
        radius = np.sqrt(((xy[placed] - middle) ** 2).sum(axis=1)).max(initial=1.0)
        _, piece = connected_components(graph[lost][:, lost], directed=False)
        angles = piece * _ANGLE
        noise = np.random.RandomState(seed).normal(scale=0.02 * radius, size=(len(lost), 2))
        xy[lost] = middle + 1.1 * radius * np.column_stack([np.cos(angles), np.sin(angles)]) + noise
    return xy.astype(np.float32)


def turned(xy: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The places turned, mirrored and moved, not scaled, so that they lie on those before as well as they can."""
    known = np.isfinite(before).all(axis=1)
    if not known.any():
        return xy
    ours, theirs = xy[known].astype(np.float64), before[known].astype(np.float64)
    turn, _ = orthogonal_procrustes(ours - ours.mean(axis=0), theirs - theirs.mean(axis=0))
    return ((xy - ours.mean(axis=0)) @ turn + theirs.mean(axis=0)).astype(np.float32)
