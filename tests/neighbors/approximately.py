"""Approximate graphs of small sets of vectors, every step in this process."""

import numpy as np

from tests.neighbors.helpers import make_blocks, make_ids
from transforms.neighbors import ApproximateGraph, NeighborsOptions, approximate_graph, read_neighbors

SMALL = {"texts_per_bucket": 20, "buckets_per_text": 4, "recall_rows": 100, "rows_per_tile": 200, "rows_per_chunk": 512}


def approximate(folder, vectors, options=None, ids=None, rows=150, threads=1, workers=1) -> ApproximateGraph:
    """The graph of these vectors in blocks of so many rows; `workers` changes the order in which tasks are done."""
    options = options or NeighborsOptions(k=8, **SMALL)
    blocks = make_blocks(f"{folder}/blocks", vectors, make_ids(len(vectors)) if ids is None else ids, rows)

    def run(step, tasks):
        order = [task for worker in range(workers) for task in list(tasks)[worker::workers]]
        return [step(task, options, threads) for task in reversed(order)]

    return approximate_graph(blocks, options, f"{folder}/work", f"{folder}/out", run)


def lists_of(graph) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids (rows,), neighbour ids and cosines (rows, k) of all parts."""
    parts = [read_neighbors(part.file.path) for part in graph.parts]
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def exact_matrix(vectors: np.ndarray) -> np.ndarray:
    """All cosines by the definition, -inf on the diagonal: float64 holds the products exactly."""
    whole = np.rint(vectors.astype(np.float64) * 2**26)
    exact = np.clip(((whole @ whole.T) / 2**52).astype(np.float32), -1, 1)
    np.fill_diagonal(exact, -np.inf)
    return exact


def true_shares(vectors, cosines) -> np.ndarray:
    """For each text the share of its list that reaches the true k-th cosine."""
    k = cosines.shape[1]
    return (cosines >= -np.sort(-exact_matrix(vectors), axis=1)[:, k - 1 : k]).mean(axis=1)


def check_lists(vectors, ids, graph, k) -> float:
    """Everything that holds of any graph; gives its true recall."""
    own, neighbor_ids, cosines = lists_of(graph)
    assert np.array_equal(own, ids)
    assert neighbor_ids.shape == cosines.shape == (len(ids), min(k, len(ids) - 1))
    assert np.isin(neighbor_ids, ids).all()
    assert not (neighbor_ids == ids[:, None]).any()
    assert all(len(set(row)) == len(row) for row in neighbor_ids.tolist())
    order = np.lexsort((neighbor_ids, -cosines))
    assert np.array_equal(order, np.broadcast_to(np.arange(cosines.shape[1]), order.shape))
    listed = np.take_along_axis(exact_matrix(vectors), np.searchsorted(ids, neighbor_ids), 1)
    assert np.array_equal(listed, cosines)
    return float(true_shares(vectors, cosines).mean())
