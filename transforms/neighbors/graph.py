"""The neighbour graph as files: one part for each tile of texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from transforms.files import FileRef, Progress, describe, join, read_table, write_table
from transforms.neighbors.exact import nearest_start, search_chunk
from transforms.neighbors.options import NeighborsOptions
from transforms.neighbors.stream import grouped, snapped_chunks
from transforms.vectors import VectorBlock


@dataclass(frozen=True)
class NeighborsTask:
    """One tile: the blocks whose texts get lists, all blocks of the run, and the folder of the part file."""

    part: int
    queries: tuple[VectorBlock, ...]
    blocks: tuple[VectorBlock, ...]
    directory: str
    progress: str | None = None


@dataclass(frozen=True)
class NeighborsRecord:
    """A finished part: its file and the blocks of its texts.

    `searched_exactly` counts searches of one text in one chunk that the float32 screen could not settle.
    """

    part: int
    file: FileRef
    queries: tuple[VectorBlock, ...]
    rows: int
    k: int
    searched_exactly: int


def plan_tiles(blocks: Sequence[VectorBlock], options: NeighborsOptions) -> list[tuple[VectorBlock, ...]]:
    """The blocks of each tile, in position order."""
    return [tuple(group) for group in grouped(blocks, options.rows_per_tile)]


def build_part(task: NeighborsTask, options: NeighborsOptions, threads: int | None = None) -> NeighborsRecord:
    """Find the nearest others of one tile's texts among all texts and write them as `part-NNNNN.parquet`.

    `threads` limits the linear algebra of this process for the call; None leaves it as it is.
    """
    ids, queries = _concatenated(task.queries)
    total = sum(block.rows for block in task.blocks)
    nearest = nearest_start(len(ids), max(min(options.k, total - 1), 0))
    searched_exactly = 0
    progress = Progress(task.progress)
    with threadpool_limits(threads):
        # A single text has no others: its list is empty, and there is nothing to search for.
        for chunk_ids, vectors in snapped_chunks(task.blocks, options.rows_per_chunk) if total > 1 else ():
            nearest, unproven = search_chunk(nearest, ids, queries, chunk_ids, vectors, options.margin)
            searched_exactly += unproven
    path = join(task.directory, f"part-{task.part:05d}.parquet")
    file = write_table(path, _table(ids, nearest.ids, nearest.cosines))
    progress.add(len(ids))
    progress.flush()
    return NeighborsRecord(task.part, file, task.queries, len(ids), nearest.ids.shape[1], searched_exactly)


def neighbors_schema() -> pa.Schema:
    """Columns of a part of the neighbour graph, described."""
    schema = pa.schema(
        [
            pa.field("id", pa.int64(), nullable=False),
            pa.field("neighbor_ids", pa.list_(pa.int64()), nullable=False),
            pa.field("cosines", pa.list_(pa.float32()), nullable=False),
        ]
    )
    return describe(
        schema,
        {
            "id": "The text: the first 63 bits of its content key. Rows are sorted by it.",
            "neighbor_ids": "Its nearest other texts, by cosine descending, equal cosines by id ascending; never itself.",
            "cosines": "Cosine with each of neighbor_ids: the exact dot product of the vectors rounded to multiples "
            "of 2^-26, as float32.",
        },
    )


def read_neighbors(path: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A part as arrays: ids int64 (rows,), neighbour ids int64 (rows, k) and cosines float32 (rows, k)."""
    table = read_table(path, ["id", "neighbor_ids", "cosines"]).combine_chunks()
    ids = table["id"].to_numpy()
    shape = (len(ids), -1) if len(table["neighbor_ids"].combine_chunks().flatten()) else (len(ids), 0)
    neighbor_ids = table["neighbor_ids"].combine_chunks().flatten().to_numpy().reshape(shape)
    return ids, neighbor_ids, table["cosines"].combine_chunks().flatten().to_numpy().reshape(shape)


def _concatenated(blocks: Sequence[VectorBlock]) -> tuple[np.ndarray, np.ndarray]:
    (chunk,) = snapped_chunks(blocks, sum(block.rows for block in blocks))
    return chunk


def _table(ids: np.ndarray, neighbor_ids: np.ndarray, cosines: np.ndarray) -> pa.Table:
    rows, k = neighbor_ids.shape
    offsets = pa.array(np.arange(rows + 1) * k, pa.int32())
    columns = [pa.array(ids)] + [pa.ListArray.from_arrays(offsets, pa.array(v.ravel())) for v in (neighbor_ids, cosines)]
    return pa.Table.from_arrays(columns, schema=neighbors_schema())
