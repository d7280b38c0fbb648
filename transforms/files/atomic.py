"""Whole-file writes: a reader sees the complete file or none."""

import errno
import json
import os
import uuid
from collections.abc import Callable
from typing import Any, BinaryIO

from transforms.files.paths import filesystem_of, fsync_directory, is_local, make_parent, move_file

# What only a write can meet: a disk that is full, a quota or a file size that is used up.
_OF_WRITES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_atomically(path: str, write: Callable[[BinaryIO], None], *, durable: bool = True) -> None:
    """Call `write` with an open binary file; what it wrote appears at `path` only when it returns.

    Local: a temporary file in the same directory (a rename across file systems is a copy, hence not atomic), synced,
    renamed, and the directory synced. Elsewhere: a temporary object moved to its name; object stores show an object
    only when it is complete. Without `durable` nothing is synced: for what only one run needs, and what another one uses
    only after a look at its checksum. After a power failure less of it may be there. Raises OSError with the path, also
    where the system names none, as on a full disk.
    """
    fs, inner = filesystem_of(path)
    make_parent(fs, inner)
    temporary = f"{inner}.{uuid.uuid4().hex}.tmp"
    try:
        if is_local(path):
            with open(temporary, "wb") as file:
                write(file)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(temporary, inner)
            if durable:
                fsync_directory(os.path.dirname(inner))
        else:
            with fs.open(temporary, "wb") as file:
                write(file)
            move_file(fs, temporary, inner)
    except BaseException as error:
        if fs.exists(temporary):
            fs.rm_file(temporary)
        if isinstance(error, OSError) and (named := with_path(error, inner)) is not error:
            raise named from error
        raise


def with_path(error: OSError, path: str) -> OSError:
    """The error, with the path where a write has met a full disk: Python leaves it out there."""
    if error.errno not in _OF_WRITES or error.filename is not None:
        return error
    return OSError(error.errno, os.strerror(error.errno), path)


def write_bytes(path: str, data: bytes, *, durable: bool = True) -> None:
    """Write `data` to `path`, whole or not at all."""
    write_atomically(path, lambda file: _discard(file.write(data)), durable=durable)


def write_json(path: str, value: Any) -> None:
    """Write JSON with sorted keys, so that equal values are equal bytes."""
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())


def read_json(path: str) -> Any:
    """Read a JSON file."""
    fs, inner = filesystem_of(path)
    with fs.open(inner, "rb") as file:
        return json.load(file)


def _discard(_: object) -> None:
    return None
