"""Keys: what identifies a text and a document, and which part of a table each belongs to.

content key  sha256(b"exact-1" + b"\\0" + UTF-8 of the text), 32 bytes; equal texts share one vector
id           first 8 bytes of the content key as a big-endian integer, shifted right once: 63 bits, so that it fits
             FAISS's int64; sorting by id is sorting by content key
doc hash     first 8 bytes of sha256(UTF-8 of the document id): orders documents and spreads them over parts
sample hash  the next 8 bytes: chooses the sample, which a hash shared with the parts would put into the first ones
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

# The name of the rule that makes a text comparable: "exact" changes nothing. A rule that changed texts would need another
# name here, because the vectors stored under the old keys would no longer be those of the same texts.
NORMALISER = b"exact-1"

# A million files to open for all parts of a table together, and 100 million short texts in parts of 100,000.
MOST_PARTS = 1024

DOC_HASH_TYPE = pa.binary(8)
CONTENT_KEY_TYPE = pa.binary(32)


def content_key(text: str) -> bytes:
    """The content key of one text: 32 bytes."""
    return hashlib.sha256(NORMALISER + b"\0" + text.encode()).digest()


def doc_hash(doc_id: str) -> bytes:
    """The hash of one document id: 8 bytes."""
    return hashlib.sha256(doc_id.encode()).digest()[:8]


def sample_hash(doc_id: str) -> bytes:
    """The hash by which a document is in a sample or not: 8 bytes, independent of `doc_hash`."""
    return hashlib.sha256(doc_id.encode()).digest()[8:16]


def content_keys(texts: Iterable[str]) -> pa.Array:
    """Content keys of many texts, binary(32)."""
    return pa.array([content_key(text) for text in texts], CONTENT_KEY_TYPE)


def doc_hashes(doc_ids: Iterable[str]) -> pa.Array:
    """Doc hashes of many document ids, binary(8)."""
    return pa.array([doc_hash(doc_id) for doc_id in doc_ids], DOC_HASH_TYPE)


def sample_hashes(doc_ids: Iterable[str]) -> pa.Array:
    """Sample hashes of many document ids, binary(8)."""
    return pa.array([sample_hash(doc_id) for doc_id in doc_ids], DOC_HASH_TYPE)


def fixed_bytes(array: pa.Array) -> np.ndarray:
    """The bytes of a fixed-size binary array without nulls: uint8 (rows, width)."""
    width = array.type.byte_width
    values = np.frombuffer(array.buffers()[1], np.uint8, count=len(array) * width, offset=array.offset * width)
    return values.reshape(len(array), width)


def leading_uint64(array: pa.Array) -> np.ndarray:
    """The first 8 bytes of each value as a big-endian integer: uint64 (rows,), in the order of the bytes."""
    return np.ascontiguousarray(fixed_bytes(array)[:, :8]).view(">u8").reshape(-1).astype(np.uint64)


def ids_of(keys: pa.Array) -> np.ndarray:
    """The 63-bit ids of content keys: int64 (rows,)."""
    return (leading_uint64(keys) >> np.uint64(1)).astype(np.int64)


def part_count(rows: int, rows_per_part: int) -> int:
    """The number of parts for `rows` rows: the smallest power of two with at most `rows_per_part` rows per part on average.

    A power of two, so that parts depend on nothing but the size of the corpus and a corpus that grows splits each part
    in two instead of moving every border. At most `MOST_PARTS`, which are larger then: every part of one table is read from all
    parts of another, so that the files to open are the square of the parts.
    """
    parts = 1
    while parts * rows_per_part < rows and parts < MOST_PARTS:
        parts *= 2
    return parts


def part_bounds(part: int, parts: int, width: int = 8) -> tuple[bytes | None, bytes | None]:
    """The range `low <= key < high` of part `part` of `parts` (a power of two) equal ranges of keys of `width` bytes.

    None is an open side. Raises ValueError when the part does not exist or `parts` is not a power of two.
    """
    if parts < 1 or parts & (parts - 1) or not 0 <= part < parts:
        raise ValueError(f"part {part} of {parts}: the number of parts is a power of two and parts count from 0")
    size = (1 << 64) // parts

    def bound(value: int) -> bytes:
        return value.to_bytes(8, "big") + bytes(width - 8)

    return (bound(part * size) if part else None), (bound((part + 1) * size) if part + 1 < parts else None)


def part_of(hashed: bytes, parts: int) -> int:
    """The part of `parts` equal ranges (a power of two) that holds a key starting with these 8 bytes."""
    return int.from_bytes(hashed[:8], "big") * parts >> 64
