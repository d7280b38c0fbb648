"""Shards of small vectors, told by numbers, and keys where comparisons of bytes go wrong."""

import hashlib

import numpy as np

from transforms.vectors import write_shard

DIM = 3

# Keys where comparisons of bytes go wrong: NULs at the end, the largest one, sign bits, neighbours in the last byte.
AWKWARD = [
    b"\0" * 32,
    b"\0" * 31 + b"\1",
    b"a" * 31 + b"\0",
    b"a" + b"\0" * 31,
    b"a\0" + b"b" * 30,
    b"\x7f" * 32,
    b"\x80" + b"\0" * 31,
    b"\xff" * 31 + b"\0",
    b"\xff" * 31 + b"\xfe",
    b"\xff" * 32,
]


def write(folder: str, shard: dict[bytes, int]) -> str:
    keys = sorted(shard)
    vectors = np.array([vector_of(shard[key]) for key in keys], np.float32)
    return write_shard(folder, keys, vectors, np.array([truncated_of(shard[key]) for key in keys])).path


def truncated_of(seed: int) -> bool:
    return seed % 3 == 0


def vector_of(seed: int) -> np.ndarray:
    """Any three floats, NaN payloads and denormals among them: the store keeps bits."""
    return np.frombuffer(hashlib.sha256(str(seed).encode()).digest()[: 4 * DIM], np.float32)
