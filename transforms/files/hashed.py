"""Files whose checksum is computed while they are written, so that nobody has to read them again for it."""

import hashlib
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from transforms.files.atomic import write_atomically
from transforms.files.refs import FileRef


class _Hashed:
    """A sequential binary file that hashes what goes through it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.digest, self.size = file, hashlib.sha256(), 0

    def write(self, data: Any) -> int:
        """Write bytes or any contiguous buffer; returns the number of bytes."""
        view = memoryview(data)
        if not view.nbytes:  # has no shape to be cast
            return 0
        view = view.cast("B")
        self._file.write(view)
        self.digest.update(view)
        self.size += len(view)
        return len(view)


def write_hashed(path: str, write: Callable[[BinaryIO], None], rows: int | None = None) -> FileRef:
    """`write_atomically`, for a `write` that only appends; returns the reference of what was written.

    Raises OSError with the path, as on a full disk.
    """
    hashed: list[_Hashed] = []

    def append(file: BinaryIO) -> None:
        hashed.append(_Hashed(file))
        write(cast(BinaryIO, hashed[-1]))

    write_atomically(path, append)
    (done,) = hashed
    return FileRef(path, done.size, rows, done.digest.hexdigest())
