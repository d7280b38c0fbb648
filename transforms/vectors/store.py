"""The vector store: immutable Parquet shards of content key → vector, shared by all generations of a root.

`ROOT/vectors/FINGERPRINT/part-DIGEST.parquet`, rows sorted by content key, named by its own digest. The store is the
embedding cache: whether a text must be embedded is decided by looking for its vector here, never by a ledger beside it.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.files import FileRef, describe, join, list_files, open_parquet, read_table, write_named_by_digest

KEY_BYTES = 32


def vector_schema(dim: int, unit: bool = True) -> pa.Schema:
    """Schema of a shard: content_key FixedSizeBinary(32), vector FixedSizeList<float32>(dim), truncated bool, none null."""
    length = "unit length," if unit else "with the length that the model gave it, for inner products,"
    schema = pa.schema(
        [
            pa.field("content_key", pa.binary(KEY_BYTES), nullable=False),
            pa.field("vector", pa.list_(pa.field("item", pa.float32(), nullable=False), dim), nullable=False),
            pa.field("truncated", pa.bool_(), nullable=False),
        ]
    )
    return describe(
        schema,
        {
            "content_key": "sha256 of the text that was embedded, with its normaliser's version",
            "vector": f"the text's vector, {length} from the encoder whose fingerprint is the folder's name",
            "truncated": "the text is longer than the encoder's limit: the vector is that of its beginning",
        },
    )


def store_directory(root: str, fingerprint: str) -> str:
    """Where the shards of one encoder fingerprint are."""
    return join(root, "vectors", fingerprint)


def stored_shards(root: str, fingerprint: str) -> list[str]:
    """Paths of all shards of one encoder fingerprint, sorted."""
    return list_files(store_directory(root, fingerprint), ".parquet")


@dataclass(frozen=True)
class StoredVectors:
    """What the store knows of n keys: `vectors` float32 (n, dim), undefined where `found` bool (n,) is false, `truncated` bool
    (n,), and the `shards` that answered.
    """

    vectors: np.ndarray
    truncated: np.ndarray
    found: np.ndarray
    shards: list[str]


def write_shard(
    directory: str, keys: Sequence[bytes], vectors: np.ndarray, truncated: np.ndarray, unit: bool = True
) -> FileRef:
    """Write one shard: `keys` strictly ascending (n × 32 bytes), `vectors` float32 (n, dim), `truncated` bool (n,).

    `unit`: all vectors have length 1.
    """
    if any(a >= b for a, b in itertools.pairwise(keys)):
        raise ValueError("the content keys of a shard must be strictly ascending")
    values = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    schema = vector_schema(vectors.shape[1], unit)
    column = pa.FixedSizeListArray.from_arrays(values, type=schema.field("vector").type)
    table = pa.Table.from_arrays([pa.array(keys, pa.binary(KEY_BYTES)), column, pa.array(truncated)], schema=schema)
    return write_named_by_digest(directory, table)


def find_vectors(shards: Sequence[str], keys: Sequence[bytes], dim: int) -> StoredVectors:
    """Look `keys` (n, ascending) up in the shards. The first shard in path order answers a key that several hold."""
    stored = StoredVectors(np.empty((len(keys), dim), np.float32), np.zeros(len(keys), bool), np.zeros(len(keys), bool), [])
    if not keys:
        return stored
    wanted = np.frombuffer(b"".join(keys), dtype=f"S{KEY_BYTES}")
    for path in shards:
        if stored.found.all():
            break
        table = read_table(path, key="content_key", low=keys[0], high=_after(keys[-1]))
        if table.num_rows == 0:
            continue
        have = np.frombuffer(b"".join(table["content_key"].to_pylist()), dtype=f"S{KEY_BYTES}")
        # numpy strips trailing NULs of S-arrays on both sides alike, so order and equality of equal-width keys hold.
        at = np.minimum(np.searchsorted(have, wanted), len(have) - 1)
        hit = (have[at] == wanted) & ~stored.found
        if hit.any():
            column = table["vector"].combine_chunks()
            if column.type.list_size != dim:
                raise ValueError(f"{path} holds vectors of {column.type.list_size} dimensions, expected {dim}")
            rows = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)
            stored.vectors[hit] = rows[at[hit]]
            stored.truncated[hit] = table["truncated"].to_numpy()[at[hit]]
            stored.found[hit] = True
            stored.shards.append(path)
    return stored


def shard_rows(path: str) -> int:
    """Rows of a shard, from its footer."""
    with open_parquet(path) as parquet:
        return parquet.metadata.num_rows


def _after(key: bytes) -> bytes | None:
    """The next key in byte order, for a half-open range that includes `key`; None after the last one."""
    following = int.from_bytes(key, "big") + 1
    return None if following >> (8 * len(key)) else following.to_bytes(len(key), "big")
