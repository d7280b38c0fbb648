"""FAISS files on local disks and elsewhere: to read one, FAISS itself needs a real file."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

import faiss
import numpy as np

from transforms.files import FileRef, filesystem_of, is_local, write_hashed


def index_bytes(index: faiss.Index) -> bytes:
    """What `faiss.write_index` would write."""
    return faiss.serialize_index(index).tobytes()


def index_from_bytes(data: bytes) -> faiss.Index:
    """The index whose `index_bytes` these are."""
    return faiss.deserialize_index(np.frombuffer(data, np.uint8))


def fingerprint_of(data: bytes) -> str:
    """Hex sha256 of a template's bytes: shards may be merged only when theirs is the same.

    FAISS itself compares sizes and, at best, centroids: shards with other codebooks merge without an error and answer
    wrongly.
    """
    return hashlib.sha256(data).hexdigest()


def write_index(index: faiss.Index, path: str, *, durable: bool = True) -> FileRef:
    """Write an index, whole or not at all, without a second copy in memory. Raises OSError with the path, as on a full disk."""

    def write(file: BinaryIO) -> None:
        # Not by FAISS itself: what its own file cannot take, it prints, and raises without an error number.
        writer = faiss.PyCallbackIOWriter(file.write)  # type: ignore[attr-defined]  # made by SWIG
        faiss.write_index(index, writer)
        # Hands on what it has buffered.
        del writer

    return write_hashed(path, write, durable=durable)


@contextlib.contextmanager
def mapped_index(path: str) -> Iterator[faiss.Index]:
    """An index to search in, its lists (or the vectors of a flat one) left in its file, of which memory holds what is visited.

    A file elsewhere is copied to the local disk first. Raises as `read_index` does.
    """
    with _local(path) as inner:
        yield _read(path, inner, faiss.IO_FLAG_MMAP_IFC)


def read_index(path: str) -> faiss.Index:
    """Read an index into memory. Raises FileNotFoundError when it is absent, ValueError when FAISS cannot read it."""
    with _local(path) as inner:
        return _read(path, inner, 0)


@contextlib.contextmanager
def _local(path: str) -> Iterator[str]:
    fs, inner = filesystem_of(path)
    if not fs.exists(inner):
        raise FileNotFoundError(f"no index at {path}")
    with tempfile.TemporaryDirectory() as folder:
        if not is_local(path):
            local = os.path.join(folder, "index.faiss")
            fs.get_file(inner, local)
            inner = local
        yield inner


def _read(path: str, inner: str, flags: int) -> faiss.Index:
    try:
        return faiss.read_index(inner, flags)
    except RuntimeError as error:
        raise ValueError(f"{path} cannot be read as a FAISS index; run `corpusbeam verify`") from error
