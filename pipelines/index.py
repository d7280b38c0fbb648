"""The index stages: train once, encode shards in parallel, merge into one file, then measure recall and choose nprobe."""

from dataclasses import dataclass

from pipelines.corpus import CorpusResult
from pipelines.embed import EmbedResult
from pipelines.reuse import Parent
from pipelines.stage import Run
from transforms.files import FileRef, join
from transforms.index import (
    EncodeTask,
    ExactRecord,
    ExactTask,
    MergeRecord,
    MergeTask,
    RecallRecord,
    RecallTask,
    ShardRecord,
    TrainRecord,
    TrainTask,
    plan_shards,
    read_recall,
)
from transforms.index.beam import EncodeShards, ExactTop, MeasureRecall, MergeIndex, TrainIndex

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
    `index.faiss` and `recall.parquet`.
    """

    ids: FileRef
    trained: FileRef | None
    work: IndexWork | None
    finished: tuple[FileRef, FileRef] | None
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
        return [self.measured.index, self.measured.table]


def reuse_index(run: Run, parent: Parent | None) -> IndexResult | None:
    """The parent's index, when it had the same texts, vectors and settings; else None."""
    settings = run.config.index.model_dump(mode="json", exclude=_NOT_IN_THE_INDEX)
    if parent is None or not parent.texts_are_the_same or not parent.has_settings("index", settings):
        return None
    files, counts = parent.files("index"), parent.counts("index")
    if not files or not counts:
        return None
    finished = files["index.faiss"], files["recall.parquet"]
    return IndexResult(files["ids.parquet"], files.get("trained.faiss"), None, finished, counts)


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
    """Two jobs: exact answers by blocks, then the index's own answers beside them (one worker); none for a reused index.

    `unit`: all vectors have length 1.
    """
    options, runner = run.config.index, run.runner
    if index.finished is not None:
        return _recall(read_recall(*index.finished, options), reused=True)
    assert index.work is not None
    queries, blocks = index.work.training.queries, tuple(embedded.blocks)
    tasks = [ExactTask(part, queries, some, run.scratch("recall")) for part, some in enumerate(plan_shards(blocks, options))]
    exact: list[ExactRecord] = run.job("exact", ExactTop(runner.threads(len(tasks))), tasks, ExactRecord)
    exact.sort(key=lambda record: record.part)
    task = RecallTask(index.work.merged.index, queries, tuple(exact), blocks, join(run.staged, "index"), unit)
    (measured,) = run.job("recall", MeasureRecall(options, runner.threads(1)), [task], RecallRecord)
    return _recall(measured)


def _recall(measured: RecallRecord, reused: bool = False) -> RecallResult:
    counts = {
        "queries": measured.queries,
        "nprobe": measured.nprobe,
        "recall_at_1": measured.recall_at_1,
        "recall_at_10": measured.recall_at_10,
        "recall_at_100": measured.recall_at_100,
    }
    return RecallResult(measured, counts, reused)
