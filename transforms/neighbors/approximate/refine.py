"""One round of meeting the neighbours' neighbours, and the end of the approximation: exact cosines."""

from dataclasses import dataclass

import faiss
import numpy as np

from transforms.files import Progress, join
from transforms.index.sample import all_ids
from transforms.neighbors.approximate.buckets import Order
from transforms.neighbors.approximate.gather import snapped_at
from transforms.neighbors.approximate.pieces import Piece, Pieces
from transforms.neighbors.approximate.products import NOBODY, alone, columns_of, keys_of, largest
from transforms.neighbors.cosine import exact_candidate_cosines
from transforms.neighbors.exact import nearest_others
from transforms.neighbors.options import NeighborsOptions
from transforms.neighbors.stream import snapped_chunks
from transforms.vectors import VectorBlock, load_array, save_array

# Of a text's list so many lead on to their links.
_OUTER = 32
# Candidates beyond k whose cosines are computed exactly: float32 products may have changed places at the end of the list.
_SPARE = 2
# Texts whose candidates' vectors are gathered together, and texts that are compared with their candidates at a time.
_GATHERED, _COMPARED = 4096, 512


@dataclass(frozen=True)
class RefineTask:
    """The places `low … high`; lists, links and vectors of all places; and the blocks of all texts."""

    low: int
    high: int
    order: Order
    lists: tuple[Piece, ...]
    links: tuple[Piece, ...]
    vectors: tuple[Piece, ...]
    blocks: tuple[VectorBlock, ...]
    k: int
    directory: str
    progress: str | None = None


@dataclass(frozen=True)
class RefineRecord:
    """Finished lists by place: `neighbors` int32 (rows, k) positions and `cosines` float32 (rows, k).

    `candidates` counts the comparisons of a text with another one; `filled` the texts that had fewer than k candidates, which
    were compared with all texts.
    """

    neighbors: Piece
    cosines: Piece
    candidates: int
    filled: int


@dataclass(frozen=True)
class _Found:
    neighbors: np.ndarray
    cosines: np.ndarray
    candidates: int


@dataclass(frozen=True)
class _Inputs:
    """The arrays of a task, opened once: by place, but for the number of neighbours `k`."""

    lists: Pieces
    links: Pieces
    vectors: Pieces
    position_of: np.ndarray
    k: int


def refine_lists(task: RefineTask, options: NeighborsOptions, threads: int | None = None) -> RefineRecord:
    """Compare the texts with the links of their neighbours and their own, and keep the k best by exact cosine."""
    progress = Progress(task.progress)
    inputs = _Inputs(Pieces(task.lists), Pieces(task.links), Pieces(task.vectors), load_array(task.order.position_of), task.k)
    neighbors, cosines, candidates = [np.empty((0, task.k), np.int32)], [np.empty((0, task.k), np.float32)], 0

    def refined(low: int) -> list[_Found]:
        return _refined(inputs, np.arange(low, min(low + _GATHERED, task.high)), options.rows_per_chunk)

    with alone(threads) as each:
        for parts in each(refined, range(task.low, task.high, _GATHERED)):
            for found in parts:
                neighbors.append(found.neighbors)
                cosines.append(found.cosines)
                candidates += found.candidates
                progress.add(len(found.neighbors))
    progress.flush()
    nearest, best = np.concatenate(neighbors), np.concatenate(cosines)
    short = np.flatnonzero((nearest < 0).any(axis=1))
    if len(short):
        _fill(task, options, np.asarray(inputs.position_of[task.low + short]), short, nearest, best)
    paths = [join(task.directory, f"{name}-{task.low:010d}.npy") for name in ("refined", "cosines")]
    save_array(paths[0], nearest)
    save_array(paths[1], best)
    pieces = [Piece(task.low, task.high, path) for path in paths]
    return RefineRecord(pieces[0], pieces[1], candidates, len(short))


def _refined(inputs: _Inputs, places: np.ndarray, most: int) -> list[_Found]:
    """The lists of some places; in pieces where their candidates are more than `most` vectors."""
    counts, candidates = _candidates(inputs, places)
    texts = len(inputs.position_of)
    named = np.zeros(texts, bool)
    named[candidates] = named[places] = True
    present = np.flatnonzero(named)
    if len(present) > most and len(places) > 1:
        half = len(places) // 2
        return [*_refined(inputs, places[:half], most), *_refined(inputs, places[half:], most)]
    row_of = np.empty(texts, np.int32)
    row_of[present] = np.arange(len(present), dtype=np.int32)
    vectors, positions = inputs.vectors.take(present), np.asarray(inputs.position_of[present])
    ends = np.cumsum(counts)
    found = []
    for low in range(0, len(places), _COMPARED):
        some = slice(low, low + _COMPARED)
        own = candidates[ends[low] - counts[low] : ends[some][-1]]
        columns = _padded(counts[some], row_of[own])
        found.append(_compared(vectors, positions, row_of[places[some]], columns, inputs.k))
    return found


def _candidates(inputs: _Inputs, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many candidates each place has, int (rows,), and their places, ascending, one row's after the other's: int32."""
    own, links = inputs.lists.take(places), inputs.links.take(places)
    outer = own[:, :_OUTER]
    there = np.unique(outer[outer >= 0])
    met = [own, links]
    if len(there):
        # An empty place in a list would lead to somebody's links.
        further = inputs.links.take(there)[np.searchsorted(there, np.maximum(outer, there[0]))]
        further[outer < 0] = -1
        met.append(further.reshape(len(places), -1))
    candidates = np.hstack(met)
    candidates.sort(axis=1)
    new = (candidates >= 0) & (candidates != places[:, None])
    new[:, 1:] &= candidates[:, 1:] != candidates[:, :-1]
    return np.count_nonzero(new, axis=1), candidates[new]


def _padded(counts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Rows of different lengths as a matrix of the longest, int64, filled up with -1."""
    padded = np.full((len(counts), int(counts.max(initial=0))), -1, np.int64)
    padded[np.arange(padded.shape[1]) < counts[:, None]] = values
    return padded


def _compared(vectors: np.ndarray, positions: np.ndarray, own: np.ndarray, columns: np.ndarray, k: int) -> _Found:
    """The `k` best candidates of each text by exact cosine, ties by smaller position.

    `vectors` (m, dim) with their `positions` (m,); `own` (rows,) and `columns` int64 (rows, candidates) are rows of them, -1
    for nobody.
    """
    queries = np.ascontiguousarray(vectors[own])
    keys = keys_of(_products(queries, vectors, columns), columns.shape[1])
    keys[columns < 0] = NOBODY
    keys = largest(keys, min(k + _SPARE, columns.shape[1]))
    chosen = np.take_along_axis(columns, columns_of(keys).astype(np.int64), 1)
    cosines = exact_candidate_cosines(queries, vectors, chosen)
    neighbors = positions[chosen]
    nobody = keys == NOBODY
    cosines[nobody], neighbors[nobody] = -np.inf, -1
    order = np.lexsort((neighbors, -cosines))[:, :k]
    found = np.full((len(own), k), -1, np.int32), np.full((len(own), k), -np.inf, np.float32)
    for array, values in zip(found, (neighbors, cosines), strict=True):
        array[:, : order.shape[1]] = np.take_along_axis(values, order, 1)
    return _Found(*found, int(np.count_nonzero(columns >= 0)))


def _products(queries: np.ndarray, vectors: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Dot products of each query with its own columns, float32; 0 where the column is -1."""
    scores = np.empty(columns.shape, np.float32)
    arrays = (faiss.swig_ptr(array) for array in (scores, queries, vectors, columns))
    # Without a copy of the columns' vectors, unlike everything that NumPy or torch offers.
    faiss.fvec_inner_products_by_idx(*arrays, queries.shape[1], *columns.shape)  # type: ignore[attr-defined]
    scores[columns < 0] = 0
    return scores


def _fill(
    task: RefineTask,
    options: NeighborsOptions,
    positions: np.ndarray,
    rows: np.ndarray,
    nearest: np.ndarray,
    best: np.ndarray,
) -> None:
    """Replace the lists at some rows, of the texts at `positions`, by what a comparison with all texts finds."""
    ids = all_ids(task.blocks)
    by_position = np.argsort(positions)
    rows, positions = rows[by_position], positions[by_position]
    queries = snapped_at(task.blocks, positions)
    chunks = snapped_chunks(task.blocks, options.rows_per_chunk)
    found = nearest_others(ids[positions], queries, chunks, task.k, options.margin)
    nearest[rows] = np.searchsorted(ids, found.ids)
    best[rows] = found.cosines
