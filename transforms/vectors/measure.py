"""What a block's vectors are like as numbers: finite, and of which length."""

from dataclasses import dataclass

import numpy as np

from transforms.vectors.blocks import VectorBlock

# Vectors as float64 in memory at a time: 25 MB at 384 dimensions.
_ROWS = 8192


@dataclass(frozen=True)
class LengthRecord:
    """`rows` vectors of one block, `not_finite` of them with a NaN or infinity; of the others the largest |length - 1|."""

    start: int
    rows: int
    not_finite: int
    largest_deviation: float


def measure_lengths(block: VectorBlock) -> LengthRecord:
    """Read one block and measure every vector, in float64."""
    vectors = block.vectors()
    not_finite, largest = 0, 0.0
    for low in range(0, len(vectors), _ROWS):
        lengths = np.linalg.norm(vectors[low : low + _ROWS].astype(np.float64), axis=1)
        finite = np.isfinite(lengths)
        not_finite += int(np.count_nonzero(~finite))
        largest = max(largest, float(np.abs(lengths[finite] - 1).max(initial=0.0)))
    return LengthRecord(block.start, len(vectors), not_finite, largest)
