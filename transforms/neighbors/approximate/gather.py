"""The vectors of some texts, out of all blocks."""

from collections.abc import Sequence

import numpy as np

from transforms.neighbors.cosine import snap
from transforms.vectors import VectorBlock

# Vectors that are snapped at a time: 1.5 MB at 384 dimensions stay in a core's cache.
_ROWS = 1024


def snapped_at(blocks: Sequence[VectorBlock], positions: np.ndarray) -> np.ndarray:
    """Snapped vectors at ascending positions, float32 (rows, dim). Blocks that have none of them are not opened."""
    ordered = sorted(blocks)
    vectors = np.empty((len(positions), ordered[0].dim), np.float32)
    ends = np.searchsorted(positions, [block.start + block.rows for block in ordered])
    low = 0
    for block, high in zip(ordered, ends.tolist(), strict=True):
        if high > low:
            # Positions exist; "clip" only spares NumPy a copy that it makes to be able to raise.
            np.take(block.vectors(), positions[low:high] - block.start, axis=0, out=vectors[low:high], mode="clip")
        low = high
    for low in range(0, len(vectors), _ROWS):
        part = vectors[low : low + _ROWS]
        snap(part, out=part)
    return vectors
