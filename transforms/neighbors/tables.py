"""The neighbour graph as a table: its columns, and how its lists become arrays and back."""

import numpy as np
import pyarrow as pa

from transforms.files import describe, read_table


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


def neighbors_table(ids: np.ndarray, neighbor_ids: np.ndarray, cosines: np.ndarray) -> pa.Table:
    """A part of `ids` int64 (rows,) with their lists, int64 and float32 (rows, k)."""
    rows, k = neighbor_ids.shape
    offsets = pa.array(np.arange(rows + 1) * k, pa.int32())
    columns = [pa.array(ids)] + [pa.ListArray.from_arrays(offsets, pa.array(v.ravel())) for v in (neighbor_ids, cosines)]
    return pa.Table.from_arrays(columns, schema=neighbors_schema())


def read_neighbors(path: str, low: int | None = None, high: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A part, or its rows with `low <= id < high`, as arrays.

    Ids int64 (rows,), neighbour ids int64 (rows, k) and cosines float32 (rows, k).
    """
    key = None if low is None and high is None else "id"
    table = read_table(path, ["id", "neighbor_ids", "cosines"], key=key, low=low, high=high).combine_chunks()
    ids = table["id"].to_numpy()
    neighbor_ids = table["neighbor_ids"].combine_chunks().flatten().to_numpy()
    shape = (len(ids), len(neighbor_ids) // max(1, len(ids)))
    return ids, neighbor_ids.reshape(shape), table["cosines"].combine_chunks().flatten().to_numpy().reshape(shape)
