"""The vectors in the order of places: texts that meet lie next to each other, and every task reads few files."""

from dataclasses import dataclass

import numpy as np

from transforms.files import join
from transforms.neighbors.approximate.buckets import Order
from transforms.neighbors.approximate.gather import snapped_at
from transforms.neighbors.approximate.pieces import Piece, spans
from transforms.neighbors.options import NeighborsOptions
from transforms.vectors import VectorBlock, load_array, save_array

# Vectors of one file: 13 MB at 384 dimensions.
_ROWS = 8192


@dataclass(frozen=True)
class ArrangeTask:
    """The places `low … high`, the blocks of all texts, and the folder for their vectors."""

    low: int
    high: int
    order: Order
    blocks: tuple[VectorBlock, ...]
    directory: str


@dataclass(frozen=True)
class ArrangeRecord:
    """Snapped vectors by place, float32 (rows, dim)."""

    vectors: tuple[Piece, ...]


def arrange_vectors(task: ArrangeTask, options: NeighborsOptions, threads: int | None = None) -> ArrangeRecord:
    """Write the vectors of some places, after reading every block of the corpus once."""
    positions = np.asarray(load_array(task.order.position_of)[task.low : task.high])
    by_position = np.argsort(positions)
    rank = np.empty_like(by_position)
    rank[by_position] = np.arange(len(rank))
    vectors = snapped_at(task.blocks, positions[by_position])
    pieces = []
    for low, high in spans(len(positions), _ROWS):
        path = join(task.directory, f"vectors-{task.low + low:010d}.npy")
        save_array(path, vectors[rank[low:high]])
        pieces.append(Piece(task.low + low, task.low + high, path))
    return ArrangeRecord(tuple(pieces))
