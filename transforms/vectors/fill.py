"""Give every distinct text of one part a stored vector, embedding only those that have none."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.embedding import EmbeddingOptions, Encoder, EncoderSpec, Fidelity, check_vectors, load_encoder
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
class FailedText:
    """A text that the model fails on, by its content key (hex), its first document, and the error."""

    content_key: str
    doc_id: str
    error: str


@dataclass(frozen=True)
class EmbedRecord:
    """What became of one part: its blocks, the shards that hold its vectors, and the cost.

    `block` has the vectors that are indexed, `unit_block` the same at length 1: the same files where the metric is cosine.
    Texts in `failed` are in neither. `fidelity` is the encoder's, None where nothing was embedded. Truncated are texts of the
    part, embedded now or earlier, and the documents that have them.
    """

    part: int
    block: VectorBlock
    unit_block: VectorBlock
    block_files: tuple[FileRef, ...]
    shards: tuple[FileRef, ...]
    failed: tuple[FailedText, ...]
    fidelity: Fidelity | None
    texts_embedded: int
    texts_reused: int
    texts_truncated: int
    documents_truncated: int
    tokens: int
    padded_tokens: int


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
    missing = table["text"] if dim is None else table["text"].filter(pa.array(~find_vectors(task.shards, keys, dim).found))
    return MissingRecord(task.part, len(missing), pc.sum(pc.utf8_length(missing)).as_py() or 0)


def fill_part(task: EmbedTask, spec: EncoderSpec, options: EmbeddingOptions, threads: int | None) -> EmbedRecord:
    """Look up, embed what is missing, store it as one shard, and write the part's vector blocks.

    The model is loaded only when a text has no stored vector. Raises VectorError naming the document of a bad vector.
    """
    table = read_table(task.passages.path, columns=["content_key", "id", "text", "doc_id", "n_documents"])
    keys = table["content_key"].to_pylist()
    progress = Progress(task.progress)
    encoders: list[Encoder] = []

    def encoder() -> Encoder:
        if not encoders:
            encoders.append(load_encoder(spec, options.device, threads))
        return encoders[0]

    stored = find_vectors(task.shards, keys, _stored_dim(task.shards) or encoder().dim)
    vectors, truncated, known = stored.vectors, stored.truncated, stored.found.copy()
    progress.add(int(known.sum()))
    missing = np.flatnonzero(~known)
    shards = [file_ref(path, shard_rows(path)) for path in stored.shards]
    failed: tuple[FailedText, ...] = ()
    fidelity = None
    tokens = padded = 0
    if len(missing):
        texts = table["text"].take(missing).to_pylist()
        doc_ids = table["doc_id"].take(missing).to_pylist()
        encoded = encoder().encode_documents(texts, options.tokens_per_batch, progress.add)
        fidelity, tokens, padded = encoder().fidelity, encoded.tokens, encoded.padded_tokens
        failed = tuple(
            FailedText(keys[missing[i]].hex(), doc_ids[i], _one_line(error)) for i, error in sorted(encoded.failed.items())
        )
        good = np.array([i for i in range(len(texts)) if i not in encoded.failed], dtype=np.int64)
        check_vectors(encoded.vectors[good], [doc_ids[i] for i in good], spec.normalize)
        new = missing[good]
        vectors[new], truncated[new], known[new] = encoded.vectors[good], encoded.truncated[good], True
        if len(new):
            shards.append(write_shard(task.store, [keys[i] for i in new], vectors[new], truncated[new], spec.normalize))
    ids = table["id"].to_numpy()[known]
    ids_path = join(task.blocks, f"ids-{task.part:05d}.npy")
    block = write_block(join(task.blocks, f"vectors-{task.part:05d}.npy"), ids_path, task.start, ids, vectors[known])
    unit_block = block
    if not spec.normalize:
        unit_path = join(task.blocks, f"unit-vectors-{task.part:05d}.npy")
        unit_block = write_block(unit_path, ids_path, task.start, ids, unit_vectors(vectors[known]))
    progress.flush()
    return EmbedRecord(
        part=task.part,
        block=block,
        unit_block=unit_block,
        block_files=tuple(file_ref(path, block.rows) for path in dict.fromkeys((block.path, ids_path, unit_block.path))),
        shards=tuple(shards),
        failed=failed,
        fidelity=fidelity,
        texts_embedded=len(missing) - len(failed),
        texts_reused=len(keys) - len(missing),
        texts_truncated=int(truncated[known].sum()),
        documents_truncated=int(table["n_documents"].to_numpy()[known & truncated].sum()),
        tokens=tokens,
        padded_tokens=padded,
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__


def _stored_dim(shards: tuple[str, ...]) -> int | None:
    """Dimension of the stored vectors, without loading the model; None when there are none."""
    if not shards:
        return None
    with open_parquet(shards[0]) as parquet:
        return int(parquet.schema_arrow.field("vector").type.list_size)
