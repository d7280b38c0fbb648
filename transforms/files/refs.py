"""Descriptors of files and digests of values: what travels between workers instead of data."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from transforms.files.paths import filesystem_of

_CHUNK = 1 << 20
# Files that one task reads again: about a 64th of all bytes, but no fewer bytes than a task is worth.
_TASKS, _LEAST = 64, 64 << 20


@dataclass(frozen=True, order=True)
class FileRef:
    """One finished file: where it is, its size in bytes, its rows (None when it is not a table) and its sha256."""

    path: str
    size: int
    rows: int | None
    sha256: str

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[-1]


def sha256_of(path: str) -> tuple[str, int]:
    """Hex sha256 and size in bytes of a file, read in pieces of 1 MiB."""
    fs, inner = filesystem_of(path)
    digest, size = hashlib.sha256(), 0
    with fs.open(inner, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def file_ref(path: str, rows: int | None = None) -> FileRef:
    """Describe a file that exists, reading it once for its checksum."""
    sha256, size = sha256_of(path)
    return FileRef(path, size, rows, sha256)


def is_whole(file: FileRef) -> bool:
    """Whether a file is there with the size and sha256 that it was recorded with."""
    try:
        return sha256_of(file.path) == (file.sha256, file.size)
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class CheckTask:
    """Files to read again."""

    files: tuple[FileRef, ...]


@dataclass(frozen=True)
class CheckRecord:
    """Of some files those that are missing, or have other bytes than they were recorded with."""

    differing: tuple[FileRef, ...]


def check_tasks(files: Iterable[FileRef]) -> list[CheckTask]:
    """Cut files into tasks of about as many bytes each."""
    files = list(files)
    wanted = max(sum(file.size for file in files) // _TASKS, _LEAST)
    tasks, some, size = [], list[FileRef](), 0
    for file in files:
        if some and size + file.size > wanted:
            tasks.append(CheckTask(tuple(some)))
            some, size = [], 0
        some.append(file)
        size += file.size
    return [*tasks, CheckTask(tuple(some))] if some else tasks


def check_files(task: CheckTask) -> CheckRecord:
    """Read some files again, a piece at a time."""
    return CheckRecord(tuple(file for file in task.files if not is_whole(file)))


def keep_only(folder: str, files: Iterable[FileRef]) -> None:
    """Remove every file below `folder` but these."""
    fs, inner = filesystem_of(folder)
    kept = {filesystem_of(file.path)[1] for file in files}
    fs.invalidate_cache(inner)
    for path in fs.find(inner):
        if path not in kept:
            fs.rm_file(path)


def digest_of(value: Any) -> str:
    """Hex sha256 of canonical JSON (sorted keys, no spaces): equal declared data, equal digest."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
