"""Give every distinct text of one part a stored vector, embedding only those that have none."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.embedding import EmbeddingOptions, Encoder, EncoderSpec, check_vectors, load_encoder
from transforms.files import FileRef, Progress, file_ref, join, open_parquet, read_table
from transforms.vectors.blocks import VectorBlock, unit_vectors, write_block
from transforms.vectors.store import find_vectors, shard_rows, write_shard


@dataclass(frozen=True)
class EmbedTask:
    """One part of the distinct passages: its file, its first position, and the shards that may answer for it."""

    part: int
    start: int
    passages: FileRef
    shards: tuple[str, ...]
    store: str
    blocks: str
    progress: str | None


@dataclass(frozen=True)
class EmbedRecord:
    """What became of one part: its blocks, the shards that hold its vectors, and the cost.

    `block` has the vectors that are indexed, `unit_block` the same at length 1: the same files where the metric is cosine.
    """

    part: int
    block: VectorBlock
    unit_block: VectorBlock
    block_files: tuple[FileRef, ...]
    shards: tuple[FileRef, ...]
    texts_embedded: int
    texts_reused: int
    tokens: int
    padded_tokens: int
    texts_truncated: int


@dataclass(frozen=True)
class MissingRecord:
    """How many texts of one part have no stored vector, and how many characters they have."""

    part: int
    texts: int
    characters: int


def count_missing(task: EmbedTask) -> MissingRecord:
    """Look one part up in the store without embedding anything."""
    table = read_table(task.passages.path, columns=["content_key", "text"])
    keys = table["content_key"].to_pylist()
    dim = _stored_dim(task.shards)
    if dim is None:
        missing = table["text"]
    else:
        _, found, _ = find_vectors(task.shards, keys, dim)
        missing = table["text"].filter(pa.array(~found))
    return MissingRecord(task.part, len(missing), pc.sum(pc.utf8_length(missing)).as_py() or 0)


def fill_part(task: EmbedTask, spec: EncoderSpec, options: EmbeddingOptions, threads: int | None) -> EmbedRecord:
    """Look up, embed what is missing, store it as one shard, and write the part's vector blocks.

    The model is loaded only when a text has no stored vector. Raises VectorError naming the document of a bad vector.
    """
    table = read_table(task.passages.path, columns=["content_key", "id", "text", "doc_id"])
    keys = table["content_key"].to_pylist()
    ids = table["id"].to_numpy()
    progress = Progress(task.progress)
    encoders: list[Encoder] = []

    def encoder() -> Encoder:
        if not encoders:
            encoders.append(load_encoder(spec, options.device, threads))
        return encoders[0]

    dim = _stored_dim(task.shards) or encoder().dim
    vectors, found, used = find_vectors(task.shards, keys, dim)
    progress.add(int(found.sum()))
    missing = np.flatnonzero(~found)
    shards = [file_ref(path, shard_rows(path)) for path in used]
    tokens = padded = truncated = 0
    if len(missing):
        texts = table["text"].take(missing).to_pylist()
        encoded = encoder().encode_documents(texts, options.tokens_per_batch, progress.add)
        vectors[missing] = encoded.vectors
        tokens, padded, truncated = encoded.tokens, encoded.padded_tokens, encoded.truncated
        check_vectors(encoded.vectors, table["doc_id"].take(missing).to_pylist(), spec.normalize)
        shards.append(write_shard(task.store, [keys[i] for i in missing], encoded.vectors, spec.normalize))
    ids_path = join(task.blocks, f"ids-{task.part:05d}.npy")
    block = write_block(join(task.blocks, f"vectors-{task.part:05d}.npy"), ids_path, task.start, ids, vectors)
    unit_block = block
    if not spec.normalize:
        unit_path = join(task.blocks, f"unit-vectors-{task.part:05d}.npy")
        unit_block = write_block(unit_path, ids_path, task.start, ids, unit_vectors(vectors))
    progress.flush()
    return EmbedRecord(
        task.part,
        block,
        unit_block,
        tuple(file_ref(path, block.rows) for path in dict.fromkeys((block.path, ids_path, unit_block.path))),
        tuple(shards),
        len(missing),
        len(keys) - len(missing),
        tokens,
        padded,
        truncated,
    )


def _stored_dim(shards: tuple[str, ...]) -> int | None:
    """Dimension of the stored vectors, without loading the model; None when there are none."""
    if not shards:
        return None
    with open_parquet(shards[0]) as parquet:
        return int(parquet.schema_arrow.field("vector").type.list_size)
