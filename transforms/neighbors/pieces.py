"""A long array of work as several `.npy` files, one for each task that wrote a part of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from transforms.vectors import load_array


@dataclass(frozen=True, order=True)
class Piece:
    """Rows `low … high` of a long array: the file `path`."""

    low: int
    high: int
    path: str

    def rows(self) -> np.ndarray:
        """The rows; memory-mapped read-only when the file is local."""
        return load_array(self.path)


def take(pieces: Iterable[Piece], wanted: np.ndarray) -> np.ndarray:
    """The rows at the positions `wanted`, int (n,) in any order, each of which is in one of the pieces: (n, …)."""
    taken: np.ndarray | None = None
    for piece in sorted(pieces):
        here = np.flatnonzero((wanted >= piece.low) & (wanted < piece.high))
        if len(here) or taken is None:
            rows = piece.rows()
            if taken is None:
                taken = np.empty((len(wanted), *rows.shape[1:]), rows.dtype)
            taken[here] = rows[wanted[here] - piece.low]
    assert taken is not None
    return taken


def spans(rows: int, size: int, multiple: int = 1) -> Iterator[tuple[int, int]]:
    """`low, high` of consecutive ranges of at least `size` rows, each but the last a whole number of times `multiple`."""
    size = -(-size // multiple) * multiple
    for low in range(0, rows, size):
        yield low, min(low + size, rows)
