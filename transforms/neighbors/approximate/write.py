"""Finished lists, found in the order of places, as parts of the published graph."""

from dataclasses import dataclass

import numpy as np

from transforms.files import join, write_table
from transforms.index.sample import all_ids
from transforms.neighbors.approximate.buckets import Order
from transforms.neighbors.approximate.pieces import Pieces
from transforms.neighbors.approximate.refine import RefineRecord
from transforms.neighbors.graph import NeighborsRecord
from transforms.neighbors.options import NeighborsOptions
from transforms.neighbors.tables import neighbors_table
from transforms.vectors import VectorBlock, load_array


@dataclass(frozen=True)
class WriteTask:
    """One tile: the blocks whose texts' lists are written, all blocks, and the lists of all places."""

    part: int
    queries: tuple[VectorBlock, ...]
    blocks: tuple[VectorBlock, ...]
    order: Order
    refined: tuple[RefineRecord, ...]
    k: int
    directory: str


def write_part(task: WriteTask, options: NeighborsOptions, threads: int | None = None) -> NeighborsRecord:
    """Write `part-NNNNN.parquet` as the exact graph does. None of its texts was compared with all others."""
    ids = all_ids(task.blocks)
    low = min(block.start for block in task.queries)
    rows = sum(block.rows for block in task.queries)
    places = np.asarray(load_array(task.order.place_of)[low : low + rows])
    neighbors = Pieces(record.neighbors for record in task.refined).take(places)
    cosines = Pieces(record.cosines for record in task.refined).take(places)
    table = neighbors_table(ids[low : low + rows], ids[neighbors], cosines)
    file = write_table(join(task.directory, f"part-{task.part:05d}.parquet"), table)
    return NeighborsRecord(task.part, file, task.queries, rows, task.k, 0, 0, 0, 0)
