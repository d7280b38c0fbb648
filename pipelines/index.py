"""The index stages: train once, encode shards in parallel, merge into one file, then measure recall and choose nprobe."""

from dataclasses import dataclass

from pipelines.corpus import CorpusResult
from pipelines.embed import EmbedResult
from pipelines.reuse import Parent
from pipelines.stage import Run
from transforms.files import FileRef, join
from transforms.index import (
    RANKS,
    EncodeTask,
    ExactTask,
    MergeRecord,
    MergeTask,
    QuerySet,
    RecallRecord,
    RecallTask,
    ShardRecord,
    TrainRecord,
    TrainTask,
    plan_shards,
    read_recall,
)
from transforms.index.beam import EncodeShards, MeasureRecall, MergeIndex, TrainIndex

# Settings that change how the index is made or judged, not its bytes.
_NOT_IN_THE_INDEX = {"rows_per_shard", "recall_gate"}


@dataclass(frozen=True)
class IndexWork:
    """The template with the recall queries, and the merged index, which is published once its nprobe is known."""

    training: TrainRecord
    merged: MergeRecord


@dataclass(frozen=True)
class IndexResult:
    """The published ids and, for a type that learns, the trained template.

    Then either the `work` that recall is measured on, or, when the published generation's index is reused, its `finished`
    files by name.
    """

    ids: FileRef
    trained: FileRef | None
    work: IndexWork | None
    finished: dict[str, FileRef] | None
    counts: dict[str, int]

    @property
    def published(self) -> list[FileRef]:
        """The staged files that belong into the generation."""
        return [self.ids, *([self.trained] if self.trained is not None else [])]

    @property
    def reused(self) -> bool:
        """Whether the index is the published generation's."""
        return self.finished is not None


@dataclass(frozen=True)
class RecallResult:
    """The published index and its measured recall; `reused` when it was measured for the published generation."""

    measured: RecallRecord
    counts: dict[str, float]
    reused: bool = False

    @property
    def published(self) -> list[FileRef]:
        """The staged files that belong into the generation."""
        curve = self.measured.curve
        return [self.measured.index, self.measured.table, *([curve] if curve is not None else [])]


def reuse_index(run: Run, parent: Parent | None) -> IndexResult | None:
    """The parent's index, when it had the same texts, vectors and settings; else None."""
    settings = run.config.index.model_dump(mode="json", exclude=_NOT_IN_THE_INDEX)
    if parent is None or not parent.texts_are_the_same or not parent.has_settings("index", settings):
        return None
    files, counts = parent.files("index"), parent.counts("index")
    if not files or not counts:
        return None
    return IndexResult(files["ids.parquet"], files.get("trained.faiss"), None, files, counts)


def build_index(run: Run, corpus: CorpusResult, embedded: EmbedResult) -> IndexResult:
    """Three jobs: training (one worker), shards, merging (one worker)."""
    options, runner, scratch = run.config.index, run.runner, run.scratch("index")
    blocks = tuple(embedded.blocks)
    (training,) = run.job("train", TrainIndex(options, runner.threads(1)), [TrainTask(blocks, scratch)], TrainRecord)
    shard_tasks = [
        EncodeTask(part, shard, training.template, training.fingerprint, scratch, run.progress("index"))
        for part, shard in enumerate(plan_shards(blocks, options))
    ]
    encode = EncodeShards(runner.threads(len(shard_tasks)))
    shards: list[ShardRecord] = run.job("shards", encode, shard_tasks, ShardRecord)
    shards.sort(key=lambda record: record.part)
    documents = tuple(part.documents for part in corpus.parts)
    task = MergeTask(training, tuple(shards), documents, scratch, join(run.staged, "index"))
    (merged,) = run.job("merge", MergeIndex(), [task], MergeRecord)
    counts = {"texts_indexed": merged.texts, "training_texts": training.training_texts, "shards": len(shards)}
    return IndexResult(merged.ids, merged.trained, IndexWork(training, merged), None, counts)


def measure_recall(run: Run, embedded: EmbedResult, index: IndexResult, unit: bool) -> RecallResult:
    """One job: exact answers by blocks, then the index's own answers beside them (one worker); none for a reused index.

    `unit`: all vectors have length 1.
    """
    if index.finished is not None:
        files = index.finished
        return _recall(read_recall(files["index.faiss"], files["recall.parquet"], files.get("nprobe.parquet")), reused=True)
    assert index.work is not None
    options, runner, training = run.config.index, run.runner, index.work.training
    queries, blocks = (QuerySet("corpus", training.queries),), tuple(embedded.blocks)
    # Each task scores candidates of its own exactly, so there are no more than are worked on at once.
    rows = max(-(-sum(block.rows for block in blocks) // runner.parallel_tasks), 1)
    parts = plan_shards(blocks, options.model_copy(update={"rows_per_shard": rows}))
    tasks = [ExactTask(part, queries, some, run.scratch("recall")) for part, some in enumerate(parts)]
    task = RecallTask(index.work.merged.index, queries, blocks, join(run.staged, "index"), unit)
    measure = MeasureRecall(task, options, runner.threads(len(tasks)), runner.threads(1))
    (measured,) = run.job("recall", measure, tasks, RecallRecord)
    return _recall(measured)


def _recall(measured: RecallRecord, reused: bool = False) -> RecallResult:
    counts: dict[str, float] = {"nprobe": measured.nprobe}
    for found in measured.sets:
        # The corpus's own have the names that they had before there were others.
        prefix = "" if found.name == "corpus" else f"{found.name}_"
        counts[f"{prefix}queries"] = found.queries
        for k, recall, low, high in zip(RANKS, found.recall, found.low, found.high, strict=True):
            counts |= {
                f"{prefix}recall_at_{k}": recall,
                f"{prefix}recall_at_{k}_low": low,
                f"{prefix}recall_at_{k}_high": high,
            }
    return RecallResult(measured, counts, reused)
