"""The embedding job: every distinct text gets a stored vector; only texts that have none are embedded."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.passages import PassagesResult
from pipelines.stage import Run
from transforms.embedding import EncoderSpec, Fidelity
from transforms.files import FileRef, join
from transforms.vectors import (
    EmbedRecord,
    EmbedTask,
    FailedText,
    ShardIndex,
    VectorBlock,
    describe_shards,
    store_directory,
    stored_shards,
)
from transforms.vectors.beam import EmbedPassages

_COUNTS = ("texts_embedded", "texts_reused", "texts_truncated", "documents_truncated", "tokens", "padded_tokens")


@dataclass(frozen=True)
class EmbedResult:
    """The run's vectors: blocks in position order, the files behind them, and the store's shards that hold them.

    `blocks` are what the index holds and recall is measured on, `unit_blocks` what is compared by cosine: neighbours,
    duplicates and topics. They are the same where the encoder's metric is cosine. With `failed` texts the positions have gaps:
    these texts must leave the corpus before any other stage. `fidelity` is the worst of all workers', None where none embedded.
    `damaged` are paths of shards that were not used: their texts were embedded again.
    """

    blocks: list[VectorBlock]
    unit_blocks: list[VectorBlock]
    block_files: list[FileRef]
    shards: list[FileRef]
    failed: list[FailedText]
    fidelity: Fidelity | None
    damaged: list[str]
    counts: dict[str, int]


def embed_passages(
    run: Run, passages: PassagesResult, spec: EncoderSpec, stage: str = "embed", more: Sequence[str] = ()
) -> EmbedResult:
    """Run the job over all parts of the distinct passages, as the stage of that name.

    `more` are paths of shards of another root, in which texts are looked up too.
    """
    tasks = embed_tasks(run, passages, spec, stage, more)
    options = run.config.embedding
    transform = EmbedPassages(run.runner.encoder(spec), options, options.threads or run.runner.threads(len(tasks)))
    records: list[EmbedRecord] = run.job(stage, transform, tasks, EmbedRecord, ("texts_embedded", "texts_reused"))
    records.sort(key=lambda record: record.part)
    return EmbedResult(
        blocks=[record.block for record in records],
        unit_blocks=[record.unit_block for record in records],
        block_files=[file for record in records for file in record.block_files],
        shards=sorted({shard for record in records for shard in record.shards}),
        failed=[text for record in records for text in record.failed],
        fidelity=min(
            (record.fidelity for record in records if record.fidelity is not None),
            key=lambda found: (found.min_cosine, found.mean_cosine),
            default=None,
        ),
        damaged=sorted({path for record in records for path in record.damaged}),
        counts={name: sum(getattr(record, name) for record in records) for name in _COUNTS},
    )


def embed_tasks(
    run: Run, passages: PassagesResult, spec: EncoderSpec, stage: str = "embed", more: Sequence[str] = ()
) -> list[EmbedTask]:
    """One task for each part that holds a passage."""
    # Which keys are where is read once for all parts.
    shards = ShardIndex(describe_shards([*stored_shards(run.root, spec.fingerprint), *more]))
    ranges = describe_shards([file.path for file in passages.files])
    store = store_directory(run.root, spec.fingerprint)
    return [
        EmbedTask(part, start, file, shards.between(keys.low, keys.high), store, run.scratch("blocks"), run.progress(stage))
        for part, ((start, file), keys) in enumerate(zip(passages.parts, ranges, strict=True))
    ]


def damage_warnings(root: str, damaged: Sequence[str]) -> list[str]:
    """One warning for each shard that is not what was written."""
    return [
        f"the stored vectors in {path.removeprefix(join(root, ''))} were changed after they were written: they are not used, "
        "texts that need them are embedded again, and `corpusbeam verify` says which published generation has that file"
        for path in damaged
    ]
