"""The neighbour graph of the whole corpus as arrays of positions."""

from collections.abc import Iterable
from functools import cached_property

import numpy as np
import pyarrow as pa

from transforms.files import FileRef, read_table
from transforms.neighbors import read_neighbors
from transforms.topics.tables import LABELS_SCHEMA


def graph_arrays(parts: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Neighbour positions int32 (n, K) and cosines float32 (n, K) of all texts.

    `parts` are ids int64 (rows,), neighbour ids int64 (rows, K) and cosines float32 (rows, K) as the neighbours room reads
    them, taken one at a time; together they have the rows of `ids` int64 (n,), strictly ascending, in order.

    Raises ValueError when the graph is not one of these texts.
    """
    positions, cosines, start = [], [], 0
    for own, named, part_cosines in parts:
        if not len(own):
            continue
        if not np.array_equal(own, ids[start : start + len(own)]):
            raise ValueError(
                f"rows {start} … {start + len(own) - 1} of the neighbour graph are not the corpus's texts in order"
            )
        start += len(own)
        at = np.searchsorted(ids, named)
        known = ids[np.minimum(at, len(ids) - 1)] == named
        if not known.all():
            raise ValueError(f"the neighbour graph names the id {named[~known][0]}, which is no text of this corpus")
        positions.append(at.astype(np.int32))
        cosines.append(part_cosines.astype(np.float32, copy=False))
    if start != len(ids):
        raise ValueError(f"the neighbour graph has {start} rows for {len(ids)} distinct texts")
    widths = sorted({part.shape[1] for part in positions})
    if len(widths) > 1:
        raise ValueError(f"all texts of the neighbour graph must have equally many neighbours, got {widths}")
    if not positions:
        return np.empty((0, 0), np.int32), np.empty((0, 0), np.float32)
    return np.concatenate(positions), np.concatenate(cosines)


class CorpusGraph:
    """The neighbour graph of the whole corpus, read when asked for: one worker's memory holds it."""

    def __init__(self, passages: tuple[FileRef, ...], neighbors: tuple[FileRef, ...]) -> None:
        self._passages, self._neighbors = passages, neighbors

    @cached_property
    def texts(self) -> pa.Table:
        """`id`, `content_key` and `n_documents` of every text."""
        columns = ["id", "content_key", "n_documents"]
        empty = pa.schema([LABELS_SCHEMA.field(name) for name in columns]).empty_table()
        return pa.concat_tables([empty, *(read_table(ref.path, columns).cast(empty.schema) for ref in self._passages)])

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Neighbour positions int32 (n, K) and cosines float32 (n, K)."""
        return graph_arrays((read_neighbors(ref.path) for ref in self._neighbors), self.texts["id"].to_numpy())
