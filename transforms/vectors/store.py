"""The vector store: immutable Parquet shards of content key → vector, shared by all generations of a root.

`ROOT/vectors/FINGERPRINT/part-DIGEST.parquet`, rows sorted by content key, named by its own digest. The store is the
embedding cache: whether a text must be embedded is decided by looking for its vector here, never by a ledger beside it.
"""

import itertools
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from transforms.files import FileRef, describe, join, list_files, write_named_by_digest

KEY_BYTES = 32
# What write_named_by_digest makes of a digest: its first 128 bits.
_NAME = re.compile(r"part-([0-9a-f]{32})\.parquet")


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
    """Paths of all shards of one encoder fingerprint, sorted. Unfinished and foreign files beside them are left out."""
    paths = list_files(store_directory(root, fingerprint), ".parquet")
    return [path for path in paths if _NAME.fullmatch(path.rsplit("/", 1)[-1])]


def is_named_by(path: str, sha256: str) -> bool:
    """Whether a shard's name is that of a file with this digest: a name of another digest means that the file was changed."""
    found = _NAME.fullmatch(path.rsplit("/", 1)[-1])
    return found is not None and sha256.startswith(found[1])


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
