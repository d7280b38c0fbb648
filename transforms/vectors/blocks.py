"""Vector blocks: a run's vectors in canonical order, ready to be memory-mapped by every later stage.

The vector store is addressed by content key and shared by generations; its shards hold what some run embedded. A block
holds the vectors of one part of this run's distinct passages, in content-key order, as a plain `.npy` matrix: index,
neighbours, recall and topics read it many times and must not decode Parquet each time. Where the metric is dot product, there
are two: vectors as the model gave them, for the index, and unit vectors, for all that is defined by cosine.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transforms.files import filesystem_of, is_local, write_atomically


@dataclass(frozen=True, order=True)
class VectorBlock:
    """Rows `start … start + rows` of the run's vectors: `path` is float32 (rows, dim), `ids_path` int64 (rows,), both .npy."""

    start: int
    rows: int
    dim: int
    path: str
    ids_path: str

    def vectors(self) -> np.ndarray:
        """The block's vectors, float32 (rows, dim); memory-mapped read-only when the file is local."""
        return load_array(self.path)

    def ids(self) -> np.ndarray:
        """The block's 63-bit ids, int64 (rows,), strictly ascending."""
        return load_array(self.ids_path)


def load_array(path: str) -> np.ndarray:
    """Load a `.npy` file, memory-mapped read-only when it is local. Object arrays (pickles) are refused by numpy."""
    if is_local(path):
        _, inner = filesystem_of(path)
        return np.load(inner, mmap_mode="r", allow_pickle=False)
    fs, inner = filesystem_of(path)
    return np.load(io.BytesIO(fs.cat_file(inner)), allow_pickle=False)


def save_array(path: str, array: np.ndarray) -> None:
    """Write an array as `.npy` for this run, whole or not at all; no copy of a contiguous one is made.

    Not synced: who uses an earlier run's compares checksums.
    """
    write_atomically(path, lambda file: np.save(file, np.ascontiguousarray(array), allow_pickle=False), durable=False)


def write_block(path: str, ids_path: str, start: int, ids: np.ndarray, vectors: np.ndarray) -> VectorBlock:
    """Write one block. `ids` int64 (rows,) strictly ascending, `vectors` (rows, dim).

    Raises ValueError when the shapes disagree or the ids are not strictly ascending.
    """
    if vectors.ndim != 2 or ids.shape != (vectors.shape[0],):
        raise ValueError(f"a block needs ids (n,) and vectors (n, dim), got {ids.shape} and {vectors.shape}")
    if np.any(ids[1:] <= ids[:-1]):
        raise ValueError("the ids of a block must be strictly ascending: sort the rows by content key first")
    save_array(path, vectors.astype(np.float32, copy=False))
    save_array(ids_path, ids.astype(np.int64, copy=False))
    return VectorBlock(start, vectors.shape[0], vectors.shape[1], path, ids_path)


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, dim), none of them zero, at length 1, float32: divided in float64 and rounded once, row by row."""
    exact = vectors.astype(np.float64)
    return (exact / np.linalg.norm(exact, axis=1, keepdims=True)).astype(np.float32)


def load_all(blocks: list[VectorBlock]) -> tuple[np.ndarray, np.ndarray]:
    """All ids and all vectors in order, for one-worker steps: int64 (n,) and float32 (n, dim)."""
    if not blocks:
        return np.empty(0, np.int64), np.empty((0, 0), np.float32)
    ordered = sorted(blocks)
    return np.concatenate([block.ids() for block in ordered]), np.concatenate([block.vectors() for block in ordered])


def gather_rows(blocks: Sequence[VectorBlock], positions: np.ndarray) -> np.ndarray:
    """The vectors at `positions` int (m,), in any order, float32 (m, dim), from blocks that together hold them."""
    dim = blocks[0].dim if blocks else 0
    found = np.empty((len(positions), dim), np.float32)
    for block in blocks:
        rows = np.flatnonzero((positions >= block.start) & (positions < block.start + block.rows))
        if len(rows):
            found[rows] = block.vectors()[positions[rows] - block.start]
    return found
