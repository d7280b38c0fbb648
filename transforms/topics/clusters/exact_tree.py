"""HDBSCAN's hierarchy of the texts themselves: the exact spanning tree of mutual reachability, from the neighbour graph.

The distance is the chord d = sqrt(2 - 2 cos), c_i the distance of text i to its `min_samples`-th other, and mutual reachability
m(i, j) = max(c_i, c_j, d_ij) (Campello, Moulavi and Sander 2013). A list of K neighbours says of everybody who is not in it
that d_ij >= r_i, the distance to the K-th, hence m(i, j) >= r_i. So if an edge of weight w is the lightest known one that
leaves a set, and r_i >= w for all i of the set, no unknown edge is lighter and the edge is in a minimum spanning tree (cut
property). Every merge is certified so by its smaller side; texts that could hide something lighter are compared with all
others, up to the distance that matters, until nothing is open.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import minimum_spanning_tree

from transforms.neighbors import exact_cosines, snap

# Two float32 steps below cosine 1: texts that are nearer than this cannot be told apart, and HDBSCAN divides by distances.
_LEAST = 2.0**-22
# Cosines of the full comparison that are in memory at a time: both sides are long enough for a fast product.
_ROWS, _COLUMNS = 1024, 4096
# New edges that wait for the next tree of all: its sorting is then of more new edges than of a large corpus's old ones.
_EDGES = 1 << 22


def mutual_reachability_tree(neighbors: np.ndarray, cosines: np.ndarray, min_samples: int, vectors: np.ndarray) -> np.ndarray:
    """A minimum spanning tree of the complete mutual reachability graph of n texts, float64 (n - 1, 3): text, text, weight.

    Edges ascend by weight, ties by the smaller, then the larger text. `neighbors` int (n, K) are positions of each text's K
    nearest others, -1 for one outside of the n texts, and `cosines` float32 (n, K) their cosines, descending; `vectors`
    float32 (n, dim) of length 1. Others outside count for densities, not for edges.

    Raises ValueError when the graph has fewer neighbours than `min_samples` and is not the complete graph.
    """
    n, k = neighbors.shape
    if n < 2:
        return np.empty((0, 3))
    if k < min(min_samples, n - 1):
        raise ValueError(
            f"topics.min_samples = {min_samples} needs as many neighbours per text, the graph has {k}: raise neighbors.k or "
            f"lower topics.min_samples"
        )
    distances = _chord(cosines)
    core = distances[:, min(min_samples, k) - 1]
    known = distances[:, -1].copy()
    rows, places = np.nonzero(neighbors >= 0)
    others = neighbors[rows, places]
    edges = _forest(n, rows, others, np.maximum(np.maximum(core[rows], core[others]), distances[rows, places]))
    snapped = None
    while len(open_texts := np.flatnonzero((wanted := _needed(n, edges, known)) > known)):
        snapped = snap(vectors) if snapped is None else snapped
        new: list[tuple[np.ndarray, ...]] = []
        for some, other, distance in _nearer(snapped, open_texts, wanted):
            new.append((some, other, np.maximum(np.maximum(core[some], core[other]), distance)))
            if sum(len(edge) for edge, _, _ in new) >= _EDGES:
                edges, new = _with(n, edges, new), []
        edges = _with(n, edges, new)
        known[open_texts] = wanted[open_texts]
    return edges


def _nearer(snapped: np.ndarray, texts: np.ndarray, wanted: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pairs of one of `texts` and another that is nearer than the text wants to know, with their distance; some at a time."""
    for low in range(0, len(texts), _ROWS):
        some = texts[low : low + _ROWS]
        for start in range(0, len(snapped), _COLUMNS):
            distance = _chord(exact_cosines(snapped[some], snapped[start : start + _COLUMNS]))
            row, other = np.nonzero(distance < wanted[some, None])
            text, other, distance = some[row], other + start, distance[row, other]
            others = text != other
            yield text[others], other[others], distance[others]


def _with(n: int, edges: np.ndarray, new: Sequence[tuple[np.ndarray, ...]]) -> np.ndarray:
    """The forest of edges and new ones. Of the old ones those of the tree are enough: a tree of trees is a tree of all."""
    if not new:
        return edges
    a, b, weight = (np.concatenate(parts) for parts in zip(*new, strict=True))
    u, v = edges[:, 0].astype(np.int64), edges[:, 1].astype(np.int64)
    return _forest(n, np.r_[u, a], np.r_[v, b], np.r_[edges[:, 2], weight])


def _chord(cosines: np.ndarray) -> np.ndarray:
    distances: np.ndarray = np.sqrt(np.maximum(2 - 2 * cosines.astype(np.float64), _LEAST))
    return distances


def _forest(n: int, a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The minimum spanning forest of edges in the total order (weight, smaller text, larger text), float64 (edges, 3)."""
    u, v = np.minimum(a, b).astype(np.int64), np.maximum(a, b).astype(np.int64)
    order = np.lexsort((v, u, weight))
    _, first = np.unique((u * n + v)[order], return_index=True)  # the lightest of each pair
    order = order[np.sort(first)]
    u, v, weight = u[order], v[order], weight[order]
    # Ranks in place of weights: scipy takes a weight of zero for no edge, and ties would be settled by its sort.
    ranks = sp.csr_matrix((np.arange(1, len(u) + 1, dtype=np.float64), (u, v)), shape=(n, n))
    chosen = np.sort(minimum_spanning_tree(ranks).data.astype(np.int64)) - 1
    return np.column_stack([u[chosen], v[chosen], weight[chosen]]).astype(np.float64)


def _needed(n: int, edges: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Up to which distance each text's others must be known for all merges to be certain, float64 (n,); 0: nothing is open.

    Where the edges do not connect all texts, everything is needed of all but the largest piece.
    """
    root = list(range(n))
    members: list[list[int]] = [[text] for text in range(n)]
    least = known.tolist()
    needed = np.zeros(n)

    def find(text: int) -> int:
        while root[text] != text:
            root[text] = root[root[text]]
            text = root[text]
        return text

    for a, b, weight in edges.tolist():
        small, large = find(int(a)), find(int(b))
        if len(members[small]) > len(members[large]):
            small, large = large, small
        if least[small] < weight:
            # Merges are in ascending order: a later one needs more.
            side = np.array(members[small])
            needed[side[known[side] < weight]] = weight
        root[small] = large
        members[large] += members[small]
        members[small] = []
        least[large] = min(least[large], least[small])
    pieces = sorted((text for text in range(n) if root[text] == text), key=lambda text: -len(members[text]))
    for piece in pieces[1:]:
        needed[members[piece]] = np.inf
    return needed
