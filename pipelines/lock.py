"""One run at a time on a root: two would write and remove each other's work files."""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from transforms.files import filesystem_of, join


class RootInUseError(Exception):
    """Another run is active on the root."""


@contextlib.contextmanager
def only_run(root: str) -> Iterator[None]:
    """Hold the root of a local file system; the kernel lets go of it when the process ends, however it ends.

    Raises RootInUseError at once when another process holds it, OSError when the root cannot be written.
    """
    _, path = filesystem_of(join(root, "work", "lock"))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 64).decode("ascii", "replace").strip()
            raise RootInUseError(f"process {holder or 'unknown'} is running on root {root!r}: wait for it to end") from None
        os.truncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        os.close(handle)
