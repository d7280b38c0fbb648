"""The vector store: immutable Parquet shards of content key → vector, shared by all generations of a root.

`ROOT/vectors/FINGERPRINT/part-DIGEST.parquet`, rows sorted by content key, named by its own digest. The store is the
embedding cache: whether a text must be embedded is decided by looking for its vector here, never by a ledger beside it.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from transforms.files import FileRef, describe, join, list_files, open_parquet, read_table, write_named_by_digest

KEY_BYTES = 32


def vector_schema(dim: int, unit: bool = True) -> pa.Schema:
    """Schema of a shard: content_key FixedSizeBinary(32), vector FixedSizeList<float32>(dim), neither null."""
    length = "unit length," if unit else "with the length that the model gave it, for inner products,"
    schema = pa.schema(
        [
            pa.field("content_key", pa.binary(KEY_BYTES), nullable=False),
            pa.field("vector", pa.list_(pa.field("item", pa.float32(), nullable=False), dim), nullable=False),
        ]
    )
    return describe(
        schema,
        {
            "content_key": "sha256 of the text that was embedded, with its normaliser's version",
            "vector": f"the text's vector, {length} from the encoder whose fingerprint is the folder's name",
        },
    )


def store_directory(root: str, fingerprint: str) -> str:
    """Where the shards of one encoder fingerprint are."""
    return join(root, "vectors", fingerprint)


def stored_shards(root: str, fingerprint: str) -> list[str]:
    """Paths of all shards of one encoder fingerprint, sorted."""
    return list_files(store_directory(root, fingerprint), ".parquet")


def write_shard(directory: str, keys: Sequence[bytes], vectors: np.ndarray, unit: bool = True) -> FileRef:
    """Write one shard: `keys` strictly ascending (n × 32 bytes), `vectors` float32 (n, dim), `unit`: all of length 1."""
    if any(a >= b for a, b in itertools.pairwise(keys)):
        raise ValueError("the content keys of a shard must be strictly ascending")
    values = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    schema = vector_schema(vectors.shape[1], unit)
    column = pa.FixedSizeListArray.from_arrays(values, type=schema.field("vector").type)
    table = pa.Table.from_arrays([pa.array(keys, pa.binary(KEY_BYTES)), column], schema=schema)
    return write_named_by_digest(directory, table)


def find_vectors(shards: Sequence[str], keys: Sequence[bytes], dim: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Look `keys` (n, ascending) up in the shards.

    Returns vectors float32 (n, dim), a bool mask (n,) of the keys that were found, and the shards that answered. The first
    shard in path order answers a key that several hold. Rows that were not found are undefined.
    """
    vectors = np.empty((len(keys), dim), np.float32)
    found = np.zeros(len(keys), bool)
    used: list[str] = []
    if not keys:
        return vectors, found, used
    wanted = np.frombuffer(b"".join(keys), dtype=f"S{KEY_BYTES}")
    for path in shards:
        if found.all():
            break
        table = read_table(path, key="content_key", low=keys[0], high=_after(keys[-1]))
        if table.num_rows == 0:
            continue
        have = np.frombuffer(b"".join(table["content_key"].to_pylist()), dtype=f"S{KEY_BYTES}")
        # numpy strips trailing NULs of S-arrays on both sides alike, so order and equality of equal-width keys hold.
        at = np.minimum(np.searchsorted(have, wanted), len(have) - 1)
        hit = (have[at] == wanted) & ~found
        if hit.any():
            column = table["vector"].combine_chunks()
            if column.type.list_size != dim:
                raise ValueError(f"{path} holds vectors of {column.type.list_size} dimensions, expected {dim}")
            rows = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)
            vectors[hit] = rows[at[hit]]
            found |= hit
            used.append(path)
    return vectors, found, used


def shard_rows(path: str) -> int:
    """Rows of a shard, from its footer."""
    with open_parquet(path) as parquet:
        return parquet.metadata.num_rows


def _after(key: bytes) -> bytes | None:
    """The next key in byte order, for a half-open range that includes `key`; None after the last one."""
    following = int.from_bytes(key, "big") + 1
    return None if following >> (8 * len(key)) else following.to_bytes(len(key), "big")
