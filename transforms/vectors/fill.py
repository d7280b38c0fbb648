"""Give every distinct text of one part a stored vector, embedding only those that have none."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.embedding import EmbeddingOptions, Encoder, EncoderSpec, Fidelity, check_vectors, load_encoder
from transforms.files import FileRef, Progress, file_ref, join, read_table
from transforms.vectors.batches import cut_batches
from transforms.vectors.blocks import VectorBlock, unit_vectors, write_block
from transforms.vectors.lookup import StoredShard, find_vectors
from transforms.vectors.store import write_shard

# When more shards than this hold a part's vectors, they are written together as one: every run leaves a few, and the next one
# opens all that a part needs.
SHARDS_PER_PART = 16


@dataclass(frozen=True)
class EmbedTask:
    """One part of the distinct passages: its file, its first position, and the shards whose keys may be among its own."""

    part: int
    start: int
    passages: FileRef
    shards: tuple[StoredShard, ...]
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
    Texts in `failed` are in neither. `damaged` are paths of shards that were not believed. `fidelity` is the encoder's, None
    where nothing was embedded. Truncated are texts of the part, embedded now or earlier, and the documents that have them.
    """

    part: int
    block: VectorBlock
    unit_block: VectorBlock
    block_files: tuple[FileRef, ...]
    shards: tuple[FileRef, ...]
    damaged: tuple[str, ...]
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
    """How many texts of one part have no stored vector, how many characters they have, and which shards are damaged."""

    part: int
    texts: int
    characters: int
    damaged: tuple[str, ...]


def count_missing(task: EmbedTask) -> MissingRecord:
    """Look one part up in the store without embedding anything."""
    table = read_table(task.passages.path, columns=["content_key", "text"])
    stored = find_vectors(task.shards, table["content_key"].to_pylist())
    missing = table["text"].filter(pa.array(~stored.found))
    return MissingRecord(task.part, len(missing), pc.sum(pc.utf8_length(missing)).as_py() or 0, tuple(stored.damaged))


def fill_part(task: EmbedTask, spec: EncoderSpec, options: EmbeddingOptions, threads: int | None) -> EmbedRecord:
    """Look up, embed what is missing, store each batch of it as a shard at once, and write the part's vector blocks.

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

    stored = find_vectors(task.shards, keys)
    vectors = np.empty((len(keys), encoder().dim), np.float32) if stored.vectors is None else stored.vectors
    truncated, known = stored.truncated, stored.found.copy()
    progress.add(int(known.sum()))
    missing = np.flatnonzero(~known)
    shards = list(stored.shards)
    failed: list[FailedText] = []
    tokens = padded = 0
    characters = pc.utf8_length(table["text"]).to_numpy()[missing]
    for batch in cut_batches(characters, options.characters_per_batch, encoder().max_tokens) if len(missing) else []:
        rows = missing[batch]
        texts = table["text"].take(rows).to_pylist()
        doc_ids = table["doc_id"].take(rows).to_pylist()
        encoded = encoder().encode_documents(texts, options.tokens_per_batch, progress.add)
        tokens, padded = tokens + encoded.tokens, padded + encoded.padded_tokens
        failed += [FailedText(keys[rows[i]].hex(), doc_ids[i], _one_line(error)) for i, error in sorted(encoded.failed.items())]
        good = np.array([i for i in range(len(texts)) if i not in encoded.failed], dtype=np.int64)
        check_vectors(encoded.vectors[good], [doc_ids[i] for i in good], spec.normalize)
        new = rows[good]
        vectors[new], truncated[new], known[new] = encoded.vectors[good], encoded.truncated[good], True
        if len(new):
            shards.append(write_shard(task.store, [keys[i] for i in new], vectors[new], truncated[new], spec.normalize))
    if len(shards) > SHARDS_PER_PART:
        kept = [key for key, is_known in zip(keys, known, strict=True) if is_known]
        shards = [write_shard(task.store, kept, vectors[known], truncated[known], spec.normalize)]
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
        damaged=tuple(stored.damaged),
        failed=tuple(failed),
        fidelity=encoder().fidelity if len(missing) else None,
        texts_embedded=len(missing) - len(failed),
        texts_reused=len(keys) - len(missing),
        texts_truncated=int(truncated[known].sum()),
        documents_truncated=int(table["n_documents"].to_numpy()[known & truncated].sum()),
        tokens=tokens,
        padded_tokens=padded,
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__
