"""A long array of work as several `.npy` files, one for each task that wrote a part of it."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from transforms.files import is_local
from transforms.vectors import load_array

# Files elsewhere than on a local disk are read whole: so many are kept in memory. Local ones are only mapped.
_KEPT = 16


@dataclass(frozen=True, order=True)
class Piece:
    """Rows `low … high` of a long array: the file `path`."""

    low: int
    high: int
    path: str

    def rows(self) -> np.ndarray:
        """The rows; memory-mapped read-only when the file is local."""
        return load_array(self.path)


class Pieces:
    """All pieces of an array, at least one, from which rows are taken again and again, by several threads."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces = sorted(pieces)
        self._lows = np.array([piece.low for piece in self._pieces])
        self._open: OrderedDict[Piece, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()
        self._kept = len(self._pieces) if is_local(self._pieces[0].path) else _KEPT

    def take(self, wanted: np.ndarray) -> np.ndarray:
        """The rows at the positions `wanted`, int (n,) in any order, each of which is in one of the pieces: (n, …)."""
        if len(wanted) and np.any(wanted[1:] < wanted[:-1]):
            order = np.argsort(wanted)
            found = self.take(wanted[order])
            taken = np.empty_like(found)
            taken[order] = found
            return taken
        like = self._rows(self._pieces[0])
        taken = np.empty((len(wanted), *like.shape[1:]), like.dtype)
        cuts = [*np.searchsorted(wanted, self._lows).tolist(), len(wanted)]
        for piece, low, high in zip(self._pieces, cuts[:-1], cuts[1:], strict=True):
            if high > low:
                # The rows exist; "clip" only spares NumPy a copy that it makes to be able to raise.
                rows = self._rows(piece)
                np.take(rows, wanted[low:high] - piece.low, axis=0, out=taken[low:high], mode="clip")
        return taken

    def _rows(self, piece: Piece) -> np.ndarray:
        with self._lock:
            if piece not in self._open:
                self._open[piece] = piece.rows()
                if len(self._open) > self._kept:
                    self._open.popitem(last=False)
            self._open.move_to_end(piece)
            return self._open[piece]


def spans(rows: int, size: int, multiple: int = 1) -> Iterator[tuple[int, int]]:
    """`low, high` of consecutive ranges of at least `size` rows, each but the last a whole number of times `multiple`."""
    size = -(-size // multiple) * multiple
    for low in range(0, rows, size):
        yield low, min(low + size, rows)
