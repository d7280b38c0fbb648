"""Vectors at rest: the content-addressed store that generations share, and a run's vectors in canonical order.

In: content keys and float32 vectors. Out: immutable shards named by their digest, and `VectorBlock` descriptors.
Promises: a vector is computed once per (encoder fingerprint, content key) and stored soon after; reading back what was
written is exact, and a shard that was changed since is not believed.
"""

from transforms.vectors.batches import cut_batches, text_costs
from transforms.vectors.blocks import VectorBlock, gather_rows, load_all, load_array, save_array, unit_vectors, write_block
from transforms.vectors.fill import (
    SHARDS_PER_PART,
    EmbedRecord,
    EmbedTask,
    FailedText,
    MissingRecord,
    PartFiller,
    count_missing,
    fill_part,
    fill_parts,
)
from transforms.vectors.lookup import ShardIndex, StoredShard, StoredVectors, describe_shard, describe_shards, find_vectors
from transforms.vectors.measure import LengthRecord, measure_lengths
from transforms.vectors.queries import QueriesRecord, QueriesTask, embed_queries
from transforms.vectors.store import is_named_by, store_directory, stored_shards, vector_schema, write_shard
from transforms.vectors.texts import TextVectors, vectors_of

__all__ = [
    "SHARDS_PER_PART",
    "EmbedRecord",
    "EmbedTask",
    "FailedText",
    "LengthRecord",
    "MissingRecord",
    "PartFiller",
    "QueriesRecord",
    "QueriesTask",
    "ShardIndex",
    "StoredShard",
    "StoredVectors",
    "TextVectors",
    "VectorBlock",
    "count_missing",
    "cut_batches",
    "describe_shard",
    "describe_shards",
    "embed_queries",
    "fill_part",
    "fill_parts",
    "find_vectors",
    "gather_rows",
    "is_named_by",
    "load_all",
    "load_array",
    "measure_lengths",
    "save_array",
    "store_directory",
    "stored_shards",
    "text_costs",
    "unit_vectors",
    "vector_schema",
    "vectors_of",
    "write_block",
    "write_shard",
]
