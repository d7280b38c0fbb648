"""The embedding job: every distinct text gets a stored vector; only texts that have none are embedded."""

from dataclasses import dataclass

from pipelines.passages import PassagesResult
from pipelines.stage import Run
from transforms.embedding import EncoderSpec
from transforms.files import FileRef
from transforms.vectors import EmbedRecord, EmbedTask, VectorBlock, store_directory, stored_shards
from transforms.vectors.beam import EmbedPassages


@dataclass(frozen=True)
class EmbedResult:
    """The run's vectors: blocks in position order, the files behind them, and the store's shards that hold them."""

    blocks: list[VectorBlock]
    block_files: list[FileRef]
    shards: list[FileRef]
    counts: dict[str, int]


def embed_passages(run: Run, passages: PassagesResult, spec: EncoderSpec) -> EmbedResult:
    """Run the job over all parts of the distinct passages."""
    tasks = embed_tasks(run, passages, spec)
    options = run.config.embedding
    transform = EmbedPassages(spec, options, options.threads or run.runner.threads(len(tasks)))
    records: list[EmbedRecord] = run.job("embed", transform, tasks, EmbedRecord)
    records.sort(key=lambda record: record.part)
    return EmbedResult(
        blocks=[record.block for record in records],
        block_files=[file for record in records for file in record.block_files],
        shards=sorted({shard for record in records for shard in record.shards}),
        counts={
            "texts_embedded": sum(record.texts_embedded for record in records),
            "texts_reused": sum(record.texts_reused for record in records),
            "texts_truncated": sum(record.texts_truncated for record in records),
            "tokens": sum(record.tokens for record in records),
            "padded_tokens": sum(record.padded_tokens for record in records),
        },
    )


def embed_tasks(run: Run, passages: PassagesResult, spec: EncoderSpec) -> list[EmbedTask]:
    """One task for each part that holds a passage."""
    shards = tuple(stored_shards(run.root, spec.fingerprint))
    store = store_directory(run.root, spec.fingerprint)
    return [
        EmbedTask(part, start, file, shards, store, run.scratch("blocks"), run.progress("embed"))
        for part, (start, file) in enumerate(passages.parts)
    ]
