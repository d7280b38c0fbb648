"""From vectors to list, code and distance: for each vector the same, whichever others are encoded with it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np

from transforms.index.ids import is_in
from transforms.index.layout import set_entries
from transforms.vectors import VectorBlock

# All matrices that are multiplied have this many rows, the last ones being zero where there are fewer vectors. Below 128,000
# numbers FAISS multiplies without BLAS, and OpenBLAS takes the last rows of a matrix, too few for a block of its kernel, in
# another order: of 1,000 rows at 384 dimensions some 20 had other bits than in a matrix of 1,024, of 300 nearly all. With one
# shape neither a vector's place nor the number of threads changed a bit. So an increment has the codes of a full build. FAISS
# multiplies as many rows at a time, too.
BATCH = 4096


@dataclass(frozen=True)
class Coded:
    """Vectors as an index stores them.

    `lists` int64 (rows,), `codes` uint8 (rows, code size), `distances` float32 (rows,) to the centroids of the lists
    (Euclidean, after the transforms in front), `clipped`: how many of the `components` of what is encoded are outside of the
    range that an 8-bit quantizer has learnt.
    """

    lists: np.ndarray
    codes: np.ndarray
    distances: np.ndarray
    clipped: int
    components: int


def batches(blocks: Sequence[VectorBlock], only: np.ndarray | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ids int64 (rows,) and vectors float32 (rows, dim) of all blocks, in position order, in batches of BATCH rows.

    `only`: ids int64, ascending; others are left out, and their vectors are not read.
    """
    ids: list[np.ndarray] = []
    vectors: list[np.ndarray] = []
    for block in sorted(blocks):
        block_ids, stored = block.ids(), block.vectors()
        rows = np.arange(block.rows) if only is None else np.flatnonzero(is_in(block_ids, only))
        while len(rows):
            room = BATCH - sum(map(len, ids))
            taken, rows = rows[:room], rows[room:]
            ids.append(block_ids[taken])
            vectors.append(stored[taken])
            if len(taken) == room:
                yield np.concatenate(ids), np.concatenate(vectors)
                ids, vectors = [], []
    if ids:
        yield np.concatenate(ids), np.concatenate(vectors)


def encode_batch(index: Any, vectors: np.ndarray) -> Coded:
    """Encode up to BATCH vectors float32 (rows, dim) for an inverted file, with or without transforms in front.

    Raises ValueError for more, and for vectors that belong to no list (they are not finite).
    """
    rows = len(vectors)
    if rows > BATCH:
        raise ValueError(f"at most {BATCH} vectors are encoded at a time, got {rows}")
    filled = np.zeros((BATCH, vectors.shape[1]), np.float32)
    filled[:rows] = vectors
    chained = isinstance(index, faiss.IndexPreTransform)
    if chained:
        for i in range(index.chain.size()):
            filled = faiss.downcast_VectorTransform(index.chain.at(i)).apply(filled)
        index = faiss.downcast_index(index.index)
    quantizer = faiss.downcast_index(index.quantizer)
    _, found = quantizer.search(filled, 1)
    lists = np.ascontiguousarray(found[:, 0])
    if np.any(lists[:rows] < 0):
        raise ValueError(f"{int(np.sum(lists[:rows] < 0))} vectors belong to no inverted list: they are not finite")
    lists[rows:] = 0
    codes = np.empty((BATCH, index.code_size), np.uint8)
    index.encode_vectors(BATCH, faiss.swig_ptr(filled), faiss.swig_ptr(lists), faiss.swig_ptr(codes), False)
    filled, lists, codes = filled[:rows], lists[:rows], codes[:rows]
    rest = filled - _centroids(quantizer)[lists]
    distances = np.sqrt(np.einsum("ij,ij->i", rest, rest, dtype=np.float64)).astype(np.float32)
    return Coded(lists, codes, distances, _clipped(index, rest if index.by_residual else filled), rest.size)


def _centroids(quantizer: Any) -> np.ndarray:
    """The centroids float32 (lists, dim), as they lie in memory."""
    stored: Any = faiss.downcast_index(quantizer.storage) if hasattr(quantizer, "storage") else quantizer
    return np.asarray(faiss.rev_swig_ptr(stored.get_xb(), stored.ntotal * stored.d).reshape(stored.ntotal, stored.d))


def _clipped(index: Any, encoded: np.ndarray) -> int:
    if not isinstance(index, faiss.IndexIVFScalarQuantizer) or index.sq.qtype != faiss.ScalarQuantizer.QT_8bit:
        return 0
    low, width = faiss.vector_to_array(index.sq.trained).reshape(2, -1)
    return int(np.count_nonzero((encoded < low) | (encoded > low + width)))


def store(index: Any, ids: np.ndarray, lists: np.ndarray, codes: np.ndarray) -> None:
    """Put encoded vectors into the lists of an empty index, in each list by ascending id."""
    inverted: Any = faiss.extract_index_ivf(index).invlists
    order = np.lexsort((ids, lists))
    ids, lists, codes = ids[order], lists[order], codes[order]
    numbers, starts = np.unique(lists, return_index=True)
    for number, start, end in zip(numbers.tolist(), starts, [*starts[1:], len(lists)], strict=True):
        inverted.add_entries(number, int(end - start), faiss.swig_ptr(ids[start:end]), faiss.swig_ptr(codes[start:end]))
    set_entries(index, len(ids))
