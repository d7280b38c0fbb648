"""Vectors at rest: the content-addressed store that generations share, and a run's vectors in canonical order.

In: content keys and float32 vectors. Out: immutable shards named by their digest, and `VectorBlock` descriptors.
Promises: a vector is stored once per (encoder fingerprint, content key); reading back what was written is exact.
"""

from transforms.vectors.blocks import VectorBlock, load_all, load_array, save_array, unit_vectors, write_block
from transforms.vectors.fill import EmbedRecord, EmbedTask, FailedText, MissingRecord, count_missing, fill_part
from transforms.vectors.measure import LengthRecord, measure_lengths
from transforms.vectors.store import (
    StoredVectors,
    find_vectors,
    shard_rows,
    store_directory,
    stored_shards,
    vector_schema,
    write_shard,
)

__all__ = [
    "EmbedRecord",
    "EmbedTask",
    "FailedText",
    "LengthRecord",
    "MissingRecord",
    "StoredVectors",
    "VectorBlock",
    "count_missing",
    "fill_part",
    "find_vectors",
    "load_all",
    "load_array",
    "measure_lengths",
    "save_array",
    "shard_rows",
    "store_directory",
    "stored_shards",
    "unit_vectors",
    "vector_schema",
    "write_block",
    "write_shard",
]
