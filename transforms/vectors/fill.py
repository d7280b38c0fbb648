"""Give every distinct text of some parts a stored vector, embedding only those that have none."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.embedding import EmbeddingOptions, Encoded, EncoderSpec, Fidelity, TextEncoder, check_vectors, load_encoder
from transforms.files import FileRef, Progress, file_ref, join, read_table
from transforms.vectors.batches import cut_batches, text_costs
from transforms.vectors.blocks import VectorBlock, unit_vectors, write_block
from transforms.vectors.lookup import StoredShard, find_vectors
from transforms.vectors.store import write_shard

# When more shards than this hold a part's vectors, they are written together as one: every run leaves a few, and the next one
# opens all that a part needs.
SHARDS_PER_PART = 16

# Memory for the vectors and missing texts of parts that wait for others to be embedded with.
_WAITING_BYTES = 256 << 20


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
    Tokens of texts that were embedded together with those of other parts are counted once, in the record of one of them.
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
    """Look one part up, embed what is missing, store it batch by batch, and write the part's vector blocks."""
    (record,) = fill_parts([task], spec, options, threads)
    return record


def fill_parts(
    tasks: Iterable[EmbedTask], spec: EncoderSpec, options: EmbeddingOptions, threads: int | None
) -> Iterator[EmbedRecord]:
    """The same for several parts. Their records come as they are finished."""
    filler = PartFiller(spec, options, threads)
    for task in tasks:
        yield from filler.add(task)
    yield from filler.finish()


class PartFiller:
    """Fills one part after another, and embeds what is missing in several of them together: a night has a few texts in each.

    The files of the store do not depend on that: what is stored as one shard is a batch of one part. Not more than one batch
    of texts is embedded and not yet stored. The model is loaded only when a text has no stored vector.
    """

    def __init__(self, spec: EncoderSpec, options: EmbeddingOptions, threads: int | None) -> None:
        self._spec, self._options, self._threads = spec, options, threads
        self._open: list[_Part] = []
        self._waiting: list[tuple[_Part, np.ndarray]] = []
        self._characters = 0

    def add(self, task: EmbedTask) -> Iterator[EmbedRecord]:
        """Look one part up; gives the records of the parts that are finished by now.

        Raises VectorError naming the document of a bad vector.
        """
        part = _Part(task, self._spec, self._encoder)
        self._open.append(part)
        limit = self._options.characters_per_batch
        for rows, characters in part.batches(limit, self._max_tokens()) if len(part.missing) else []:
            if self._characters + characters > limit:
                self._embed()
            self._waiting.append((part, rows))
            self._characters += characters
        if sum(each.nbytes for each in self._open) > _WAITING_BYTES:
            self._embed()
        yield from self._finished()

    def finish(self) -> Iterator[EmbedRecord]:
        """Embed what still waits; gives the records of the last parts."""
        self._embed()
        yield from self._finished()

    def _finished(self) -> Iterator[EmbedRecord]:
        waiting = {part.task.part for part, _ in self._waiting}
        finished = [part for part in self._open if part.task.part not in waiting]
        self._open = [part for part in self._open if part.task.part in waiting]
        for part in finished:
            yield part.record()

    def _embed(self) -> None:
        if not self._waiting:
            return
        waiting, self._waiting, self._characters = self._waiting, [], 0
        first, _ = waiting[0]
        texts = [text for part, rows in waiting for text in part.texts(rows)]
        encoded = self._encoder().encode_documents(texts, self._options.tokens_per_batch, first.progress.add)
        first.tokens += encoded.tokens
        first.padded_tokens += encoded.padded_tokens
        start = 0
        for part, rows in waiting:
            part.fidelity = self._encoder().fidelity
            part.store(rows, encoded, start)
            start += len(rows)

    def _max_tokens(self) -> int:
        # By the model's files where they say it: the model may still be loading while parts are looked up.
        limit = self._spec.token_limit
        return self._encoder().max_tokens if limit is None else limit

    def _encoder(self) -> TextEncoder:
        return load_encoder(self._spec, self._options.device, self._threads)


class _Part:
    """One part while it is filled: what the store has of it, and what was embedded since."""

    def __init__(self, task: EmbedTask, spec: EncoderSpec, encoder: Callable[[], TextEncoder]) -> None:
        self.task, self._spec = task, spec
        table = read_table(task.passages.path, columns=["content_key", "id", "text", "doc_id", "n_documents"])
        self.keys: list[bytes] = table["content_key"].to_pylist()
        stored = find_vectors(task.shards, self.keys)
        dim = encoder().dim if stored.vectors is None else stored.vectors.shape[1]
        self._vectors = np.empty((len(self.keys), dim), np.float32) if stored.vectors is None else stored.vectors
        self._truncated, self._known = stored.truncated, stored.found.copy()
        self._shards, self._damaged = list(stored.shards), tuple(stored.damaged)
        self._failed: list[FailedText] = []
        self.missing = np.flatnonzero(~stored.found)
        # The part may wait for others: of its texts it keeps what is needed.
        self._missing_texts = table["text"].combine_chunks().take(self.missing)
        self._table = table.drop_columns(["content_key", "text"])
        self.fidelity: Fidelity | None = None
        self.tokens = self.padded_tokens = 0
        self.progress = Progress(task.progress)
        self.progress.add(len(self.keys) - len(self.missing))

    def batches(self, characters_per_batch: int, max_tokens: int) -> Iterator[tuple[np.ndarray, int]]:
        """The rows without a vector in batches that are stored together, each with what it costs in characters."""
        costs = text_costs(pc.utf8_length(self._missing_texts).to_numpy(), max_tokens)
        for batch in cut_batches(costs, characters_per_batch):
            yield self.missing[batch], int(costs[batch].sum())

    @property
    def nbytes(self) -> int:
        """About the memory that the part takes."""
        return int(self._vectors.nbytes + self._missing_texts.nbytes)

    def texts(self, rows: np.ndarray) -> list[str]:
        """The texts of some rows without a vector, in ascending order."""
        return self._missing_texts.take(np.searchsorted(self.missing, rows)).to_pylist()

    def store(self, rows: np.ndarray, encoded: Encoded, start: int) -> None:
        """Take the vectors of one batch, which begins at row `start` of what was embedded, and store them as a shard."""
        doc_ids = self._table["doc_id"].take(rows).to_pylist()
        failed = {i: encoded.failed[start + i] for i in range(len(rows)) if start + i in encoded.failed}
        self._failed += [FailedText(self.keys[rows[i]].hex(), doc_ids[i], _one_line(error)) for i, error in failed.items()]
        good = np.array([i for i in range(len(rows)) if i not in failed], dtype=np.int64)
        vectors, truncated = encoded.vectors[start + good], encoded.truncated[start + good]
        check_vectors(vectors, [doc_ids[i] for i in good], self._spec.normalize)
        new = rows[good]
        self._vectors[new], self._truncated[new], self._known[new] = vectors, truncated, True
        if len(new):
            self._shards.append(self._write_shard(new))

    def _write_shard(self, rows: np.ndarray) -> FileRef:
        keys = [self.keys[row] for row in rows]
        return write_shard(self.task.store, keys, self._vectors[rows], self._truncated[rows], self._spec.normalize)

    def record(self) -> EmbedRecord:
        """Write the blocks of the part, all of whose texts have a vector or failed."""
        task, known = self.task, self._known
        if len(self._shards) > SHARDS_PER_PART:
            self._shards = [self._write_shard(np.flatnonzero(known))]
        ids, vectors = self._table["id"].to_numpy()[known], self._vectors[known]
        ids_path = join(task.blocks, f"ids-{task.part:05d}.npy")
        block = write_block(join(task.blocks, f"vectors-{task.part:05d}.npy"), ids_path, task.start, ids, vectors)
        unit_block = block
        if not self._spec.normalize:
            unit_path = join(task.blocks, f"unit-vectors-{task.part:05d}.npy")
            unit_block = write_block(unit_path, ids_path, task.start, ids, unit_vectors(vectors))
        self.progress.flush()
        truncated = known & self._truncated
        return EmbedRecord(
            part=task.part,
            block=block,
            unit_block=unit_block,
            block_files=tuple(file_ref(path, block.rows) for path in dict.fromkeys((block.path, ids_path, unit_block.path))),
            shards=tuple(self._shards),
            damaged=self._damaged,
            failed=tuple(self._failed),
            fidelity=self.fidelity,
            texts_embedded=len(self.missing) - len(self._failed),
            texts_reused=len(self.keys) - len(self.missing),
            texts_truncated=int(truncated.sum()),
            documents_truncated=int(self._table["n_documents"].to_numpy()[truncated].sum()),
            tokens=self.tokens,
            padded_tokens=self.padded_tokens,
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__
