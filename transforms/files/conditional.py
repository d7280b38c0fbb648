"""Conditional writes: create a file only where none is, replace or delete it only while it is the version that was read.

The one primitive behind the pointer to the published generation and behind the lease. A version is opaque: the sha256 of
the bytes on a local file system, the ETag on S3. Both name content, so a file that was changed and changed back counts as
unchanged; writers who must not mistake that put something of their own into the bytes.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fsspec.asyn import sync

from transforms.files.atomic import with_path, write_bytes
from transforms.files.paths import filesystem_of, fsync_directory, is_local, make_parent, redact

# S3's answers that say: the object is not the one that the condition names. The second is for two requests at one moment.
_S3_CONFLICTS = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")

# What file systems that have no hard links answer (exFAT, many network and FUSE mounts), each in its own way.
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


class ConflictError(Exception):
    """The file is not the version that the write was made for; nothing was written."""


class UnconditionalError(Exception):
    """The file system cannot write on a condition, and the caller did not allow to do without."""


@dataclass(frozen=True)
class Versioned:
    """A small file as it was read: its bytes, and the version to name when it is replaced."""

    data: bytes
    version: str


def has_conditional_writes(path: str) -> bool:
    """Whether the file system of `path` can write on a condition: local ones, and S3 through s3fs."""
    return is_local(path) or _is_s3(filesystem_of(path)[0])


def read_versioned(path: str) -> Versioned | None:
    """The bytes and the version of a file, from one look at it; None when it is absent. Never from a cache."""
    fs, inner = filesystem_of(path)
    try:
        if not is_local(path) and _is_s3(fs):
            return Versioned(*sync(fs.loop, _get_s3, fs, inner))
        fs.invalidate_cache(inner)
        data = fs.cat_file(inner)
    except FileNotFoundError:
        return None
    return Versioned(data, _digest(data))


def write_if(path: str, data: bytes, version: str | None, *, unconditional: bool = False) -> str:
    """Write `data`, whole, if the file is still `version` (None: if there is none); returns the new version.

    Raises ConflictError when it is not, UnconditionalError when the file system has no conditional writes. `unconditional`
    then allows a look followed by a plain write, between which another writer's bytes are lost without a trace.
    On S3 a file that already holds `data` counts as written: a request whose answer was lost is sent again, and must not
    fail on its own success. Bytes that two writers could have in common are thus no proof of who wrote them.
    """
    fs, inner = filesystem_of(path)
    if is_local(path):
        make_parent(fs, inner)
        if version is None:
            _create(path, inner, data)
        else:
            with _exclusive(inner):
                _check(path, version)
                write_bytes(path, data)
        return _digest(data)
    if _is_s3(fs):
        condition = {"mode": "create"} if version is None else {"IfMatch": version}
        try:
            return str(fs.pipe_file(inner, data, **condition)["ETag"])
        except OSError as error:
            if not _is_s3_conflict(error):
                raise
        if (found := read_versioned(path)) is not None and found.data == data:
            return found.version
        raise _conflict(path)
    _allow(path, unconditional)
    _check(path, version)
    write_bytes(path, data)
    return _digest(data)


def delete_if(path: str, version: str, *, unconditional: bool = False) -> None:
    """Delete a file if it is still `version`.

    Raises ConflictError when it is not, or is gone, and UnconditionalError as `write_if` does.
    """
    fs, inner = filesystem_of(path)
    if is_local(path):
        with _exclusive(inner):
            _check(path, version)
            os.remove(inner)
            fsync_directory(os.path.dirname(inner))
    elif _is_s3(fs):
        # Looked at first, for stores that know conditions of puts only and would delete whatever is there.
        _check(path, version)
        bucket, key, _ = fs.split_path(inner)
        try:
            fs.call_s3("delete_object", Bucket=bucket, Key=key, IfMatch=version)
        except OSError as error:
            if _is_s3_conflict(error) or isinstance(error, FileNotFoundError):
                raise _conflict(path) from error
            raise
        finally:
            fs.invalidate_cache(inner)
    else:
        _allow(path, unconditional)
        _check(path, version)
        fs.rm_file(inner)


def _create(path: str, inner: str, data: bytes) -> None:
    """A hard link to a finished file: it appears whole, and only where nothing is. No lock is needed.

    Where there are no hard links every process finds that, and all of them look and rename under the lock instead.
    """
    temporary = f"{inner}.{uuid.uuid4().hex}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, inner)
        except FileExistsError:
            raise _conflict(path) from None
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            with _exclusive(inner):
                if os.path.lexists(inner):
                    raise _conflict(path) from None
                os.replace(temporary, inner)
    except OSError as error:
        if (named := with_path(error, inner)) is not error:
            raise named from error
        raise
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)
    fsync_directory(os.path.dirname(inner))


@contextlib.contextmanager
def _exclusive(inner: str) -> Iterator[None]:
    """Hold an advisory lock that the kernel drops when the process dies; the file itself stays and means nothing."""
    handle = os.open(f"{inner}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _check(path: str, version: str | None) -> None:
    found = read_versioned(path)
    if (None if found is None else found.version) != version:
        raise _conflict(path)


def _conflict(path: str) -> ConflictError:
    return ConflictError(f"{redact(path)} was written or removed by another process since it was read")


def _allow(path: str, unconditional: bool) -> None:
    if not unconditional:
        raise UnconditionalError(
            f"the file system of {redact(path)!r} has no conditional writes, so that two runs at once could both publish: "
            "use a local folder or S3, or set publish.unconditional_writes to true and make sure yourself that only one runs"
        )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _is_s3(fs: Any) -> bool:
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    return "s3" in protocols


async def _get_s3(fs: Any, inner: str) -> tuple[bytes, str]:
    """Body and ETag of one answer: asked for apart, they could be those of two versions."""
    bucket, key, _ = fs.split_path(inner)
    answer = await fs._call_s3("get_object", Bucket=bucket, Key=key)
    try:
        return await answer["Body"].read(), str(answer["ETag"])
    finally:
        answer["Body"].close()


def _is_s3_conflict(error: OSError) -> bool:
    if isinstance(error, FileExistsError):
        return True
    code = getattr(error.__cause__, "response", {}).get("Error", {}).get("Code")
    # A condition on an object that is gone; a bucket that is missing has another code.
    return code in _S3_CONFLICTS or code == "NoSuchKey" or (code is None and error.errno == errno.EINVAL)
