"""Lines of a file that may be compressed, in bounded memory."""

import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import fsspec
import pyarrow as pa
from fsspec.spec import AbstractBufferedFile

from transforms.corpus.rows import MAX_TEXT_BYTES

# What reading a damaged, vanished or forbidden file raises, by way of fsspec and its decompressors.
READ_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError)

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@contextmanager
def open_bytes(path: str) -> Iterator[BinaryIO]:
    """Open a file for reading, decompressed by its ending (.gz .bz2 .xz .zst)."""
    if path.lower().endswith(".zst"):
        # Arrow's decoder reads files of several frames and notices a truncated one; fsspec's does neither.
        with fsspec.open(path, "rb") as file, pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd") as stream:
            yield io.BufferedReader(stream)
    else:
        with fsspec.open(path, "rb", compression="infer") as file:
            # A file of an object store has a readline that takes no limit.
            yield io.BufferedReader(file) if isinstance(file, AbstractBufferedFile) else file


def read_lines(path: str) -> Iterator[tuple[int, bytes, bool]]:
    r"""Line numbers from 1, the line's bytes without its end (\n or \r\n), and whether it was cut at MAX_TEXT_BYTES.

    A UTF-8 byte order mark at the start of the file is left out.
    """
    with open_bytes(path) as file:
        number = 0
        while line := file.readline(MAX_TEXT_BYTES + 1):
            number += 1
            cut = rest = len(line) > MAX_TEXT_BYTES and not line.endswith(b"\n")
            while rest:
                piece = file.readline(MAX_TEXT_BYTES)
                rest = bool(piece) and not piece.endswith(b"\n")
            if number == 1:
                line = line.removeprefix(_BYTE_ORDER_MARK)
            yield number, line.removesuffix(b"\n").removesuffix(b"\r"), cut


def read_whole(path: str) -> bytes | None:
    """A file's bytes without a UTF-8 byte order mark, or None when it is larger than MAX_TEXT_BYTES."""
    with open_bytes(path) as file:
        data = file.read(MAX_TEXT_BYTES + 1)
    return None if len(data) > MAX_TEXT_BYTES else data.removeprefix(_BYTE_ORDER_MARK)
