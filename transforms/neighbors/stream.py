"""Vectors of many blocks as a few large chunks, one in memory at a time."""

from collections.abc import Iterable, Iterator

import numpy as np

from transforms.neighbors.cosine import snap
from transforms.threads import in_threads
from transforms.vectors import VectorBlock


def snapped_chunks(blocks: Iterable[VectorBlock], rows: int, threads: int = 1) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ids int64 (m,) and snapped vectors float32 (m, dim) of consecutive blocks, m the first sum of block sizes ≥
    `rows`.
    """
    for group in grouped(blocks, rows):
        start = group[0].start
        vectors = np.empty((group[-1].start + group[-1].rows - start, group[0].dim), np.float32)

        def read(block: VectorBlock, start: int = start, vectors: np.ndarray = vectors) -> None:
            snap(block.vectors(), out=vectors[block.start - start : block.start - start + block.rows])

        in_threads(read, group, threads)
        yield np.concatenate([block.ids() for block in group]), vectors


def grouped(blocks: Iterable[VectorBlock], rows: int) -> Iterator[list[VectorBlock]]:
    """Cut blocks, in position order, into runs of at least `rows` rows; the last run may be shorter."""
    group: list[VectorBlock] = []
    for block in sorted(blocks):
        group.append(block)
        if sum(member.rows for member in group) >= rows:
            yield group
            group = []
    if group:
        yield group
