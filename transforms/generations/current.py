"""CURRENT: the one pointer that readers follow, moved by compare-and-set."""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator

from transforms.files import filesystem_of, is_local, join, reached, write_bytes
from transforms.generations.manifest import GenerationError

_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")


class PublishConflictError(Exception):
    """CURRENT is not the parent that this run started from: another run has published meanwhile."""


def read_current(root: str) -> str | None:
    """The id of the published generation, or None when nothing has been published under `root`.

    Raises GenerationError when CURRENT does not hold a generation id.
    """
    fs, inner = filesystem_of(join(root, "CURRENT"))
    try:
        text = fs.cat_file(inner).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    if not _ID.fullmatch(text):
        raise GenerationError(f"{join(root, 'CURRENT')} holds {text[:80]!r}, which is not a generation id")
    return text


def move_current(root: str, parent: str | None, generation: str) -> None:
    """Point CURRENT at `generation` if it still points at `parent`; readers see the old or the new id, never less.

    Raises PublishConflictError when it points elsewhere. Only local roots are supported: another file system needs a
    conditional write of its own.
    """
    if not is_local(root):
        raise GenerationError(f"publishing to {root} is not supported: the root must be a folder of a local file system")
    with _exclusive(join(root, "CURRENT.lock")):
        found = read_current(root)
        if found != parent:
            raise PublishConflictError(
                f"CURRENT names {found}, this run started from {parent}: another run published; run again"
            )
        reached("before_pointer")
        write_bytes(join(root, "CURRENT"), f"{generation}\n".encode())


@contextlib.contextmanager
def _exclusive(path: str) -> Iterator[None]:
    """Hold an advisory lock that the kernel drops when the process dies; the file itself stays and means nothing."""
    handle = os.open(filesystem_of(path)[1], os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
