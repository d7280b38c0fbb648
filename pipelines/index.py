"""The index stages: train once, encode shards in parallel, merge into one file, then measure recall and choose nprobe."""

from dataclasses import dataclass

from pipelines.corpus import CorpusResult
from pipelines.embed import EmbedResult
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
)
from transforms.index.beam import EncodeShards, ExactTop, MeasureRecall, MergeIndex, TrainIndex


@dataclass(frozen=True)
class IndexResult:
    """The template with the recall queries, and the merged index, which is published once its nprobe is known."""

    training: TrainRecord
    merged: MergeRecord
    counts: dict[str, int]

    @property
    def published(self) -> list[FileRef]:
        """The staged files that belong into the generation."""
        return [self.merged.ids, *([self.merged.trained] if self.merged.trained is not None else [])]


@dataclass(frozen=True)
class RecallResult:
    """The published index and its measured recall."""

    measured: RecallRecord
    counts: dict[str, float]

    @property
    def published(self) -> list[FileRef]:
        """The staged files that belong into the generation."""
        return [self.measured.index, self.measured.table]


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
    return IndexResult(training, merged, counts)


def measure_recall(run: Run, embedded: EmbedResult, index: IndexResult, unit: bool) -> RecallResult:
    """Two jobs: exact answers by blocks, then the index's own answers beside them (one worker).

    `unit`: all vectors have length 1.
    """
    options, runner = run.config.index, run.runner
    queries, blocks = index.training.queries, tuple(embedded.blocks)
    tasks = [ExactTask(part, queries, some, run.scratch("recall")) for part, some in enumerate(plan_shards(blocks, options))]
    exact: list[ExactRecord] = run.job("exact", ExactTop(runner.threads(len(tasks))), tasks, ExactRecord)
    exact.sort(key=lambda record: record.part)
    task = RecallTask(index.merged.index, queries, tuple(exact), blocks, join(run.staged, "index"), unit)
    (measured,) = run.job("recall", MeasureRecall(options, runner.threads(1)), [task], RecallRecord)
    counts = {
        "queries": measured.queries,
        "nprobe": measured.nprobe,
        "recall_at_1": measured.recall_at_1,
        "recall_at_10": measured.recall_at_10,
        "recall_at_100": measured.recall_at_100,
    }
    return RecallResult(measured, counts)
