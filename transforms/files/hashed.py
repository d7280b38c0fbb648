"""Files whose checksum is computed while they are written, so that nobody has to read them again for it."""

import hashlib
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, BinaryIO, cast

from transforms.files.atomic import write_atomically
from transforms.files.refs import FileRef

# Below so many bytes, handing them to another thread costs more than hashing them.
_LARGE = 1 << 16


class _Hashed:
    """A sequential binary file that hashes what goes through it, large pieces in another thread while they are written."""

    def __init__(self, file: BinaryIO, thread: Executor) -> None:
        self._file, self._thread, self.digest, self.size = file, thread, hashlib.sha256(), 0

    def write(self, data: Any) -> int:
        """Write bytes or any contiguous buffer; returns the number of bytes."""
        view = memoryview(data)
        if not view.nbytes:  # has no shape to be cast
            return 0
        view = view.cast("B")
        if len(view) < _LARGE:
            self.digest.update(view)
            self._file.write(view)
        else:
            hashing = self._thread.submit(self.digest.update, view)
            try:
                self._file.write(view)
            finally:
                hashing.result()
        self.size += len(view)
        return len(view)


def write_hashed(path: str, write: Callable[[BinaryIO], None], rows: int | None = None, *, durable: bool = True) -> FileRef:
    """`write_atomically`, for a `write` that only appends; returns the reference of what was written.

    Raises OSError with the path, as on a full disk.
    """
    with ThreadPoolExecutor(1) as thread:
        hashed: list[_Hashed] = []

        def append(file: BinaryIO) -> None:
            hashed.append(_Hashed(file, thread))
            write(cast(BinaryIO, hashed[-1]))

        write_atomically(path, append, durable=durable)
        (done,) = hashed
        return FileRef(path, done.size, rows, done.digest.hexdigest())
