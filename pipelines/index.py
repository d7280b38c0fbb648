"""The index stages: train once, encode shards in parallel, merge into one file, then measure recall and choose nprobe.

What the published generation has of the same inputs is taken over; and while its training fits, the codes of all texts that
are the same.
"""

from dataclasses import dataclass, replace

from pipelines.corpus import CorpusResult
from pipelines.embed import EmbedResult
from pipelines.increment import (
    Earlier,
    drift_counts,
    encoded_of,
    find_earlier,
    index_type,
    trained_anew,
    training_of,
)
from pipelines.queries import QueriesResult
from pipelines.reuse import Parent
from pipelines.stage import Run
from transforms.files import FileRef, join
from transforms.index import (
    RANKS,
    EncodeTask,
    ExactTask,
    Kept,
    MergeRecord,
    MergeTask,
    QuerySet,
    RecallRecord,
    RecallTask,
    ShardRecord,
    Training,
    TrainRecord,
    TrainTask,
    drift_reasons,
    growth_reasons,
    measured_for,
    most_lists,
    plan_shards,
    queries_digest,
    read_recall,
    write_training,
)
from transforms.index.beam import EncodeShards, MeasureRecall, MergeIndex, TrainIndex

# Settings that change how the index is made or judged, not its bytes.
_NOT_IN_THE_INDEX = {"rows_per_shard", "recall_gate", "recall_queries_file"}


@dataclass(frozen=True)
class IndexWork:
    """The template with the recall queries, and the merged index, which is published once its nprobe is known."""

    training: TrainRecord
    merged: MergeRecord


@dataclass(frozen=True)
class IndexResult:
    """The published ids and, for a type that learns, the trained template with what the next run must know of its training.

    Then either the `work` that recall is measured on, or, when the published generation's index is reused, its `finished`
    files. `increment`: the training is an earlier one; `most_lists`: what nprobe may then be.
    """

    ids: FileRef
    trained: FileRef | None
    training: FileRef | None
    work: IndexWork | None
    finished: tuple[FileRef, ...] | None
    counts: dict[str, int | float]
    increment: bool = False
    most_lists: int | None = None

    @property
    def published(self) -> list[FileRef]:
        """The staged files that belong into the generation."""
        return [file for file in (self.ids, self.trained, self.training) if file is not None]

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


def is_reusable(run: Run, parent: Parent | None, queries: str | None) -> bool:
    """Whether the parent's index has the same inputs, and its recall was measured on the same user's queries."""
    settings = run.config.index.model_dump(mode="json", exclude=_NOT_IN_THE_INDEX)
    if parent is None or not parent.texts_are_the_same or not parent.has_settings("index", settings):
        return False
    recall = parent.checked_file("index/recall.parquet")
    return recall is not None and queries_digest(recall) == queries


def reuse_index(run: Run, parent: Parent | None, queries: str | None = None) -> IndexResult | None:
    """The parent's index, when it had the same texts, vectors, settings and user's `queries` (their digest); else None."""
    if parent is None or not is_reusable(run, parent, queries):
        return None
    files, counts = parent.files("index"), parent.counts("index")
    if not files or not counts:
        return None
    # What this run did.
    counts |= {"texts_encoded": 0}
    return IndexResult(
        files["ids.parquet"], files.get("trained.faiss"), files.get("training.json"), None, tuple(files.values()), counts
    )


def build_index(
    run: Run, corpus: CorpusResult, embedded: EmbedResult, parent: Parent | None, queries: str | None = None
) -> IndexResult:
    """Three jobs: training (one worker), shards, merging (one worker). The parent's training is used again while it fits.

    `queries` is the digest of the user's.
    """
    factory = index_type(run, parent, sum(block.rows for block in embedded.blocks))
    earlier = find_earlier(run, parent, factory)
    return (earlier and _grown(run, corpus, embedded, earlier, queries)) or _trained(run, corpus, embedded, factory)


def index_again(run: Run, corpus: CorpusResult, embedded: EmbedResult, parent: Parent | None) -> IndexResult:
    """The index of a training of its own, whatever the parent has.

    Its scratch files are not those of the first attempt: a run that dies here goes on from there.
    """
    factory = index_type(run, parent, sum(block.rows for block in embedded.blocks))
    return _trained(run, corpus, embedded, factory, "index_again")


def is_outgrown(index: IndexResult, recall: RecallResult, gate: float) -> bool:
    """Whether an index with an earlier training finds too little, or only in so many lists that it must be trained anew."""
    if not index.increment:
        return False
    lowest = min(found.at_10 for found in recall.measured.sets)
    if lowest < gate:
        trained_anew([f"with the published training recall at 10 is {lowest:.4f}"])
        return True
    if index.most_lists is not None and recall.measured.nprobe > index.most_lists:
        trained_anew(
            [f"with the published training searches visit {recall.measured.nprobe} lists, at most {index.most_lists} pay"]
        )
        return True
    return False


def target_warnings(recall: RecallResult, target: float) -> list[str]:
    """What a user has to know when the index finds less than the target, in whatever number of lists."""
    lowest = min(recall.measured.sets, key=lambda found: found.at_10)
    if not recall.measured.nprobe or lowest.at_10 >= target:
        return []
    queries = "texts of the corpus" if lowest.name == "corpus" else "the queries of index.recall_queries_file"
    return [
        f"no number of visited lists reaches index.recall_target {target:g}: the codes are too coarse. Recall at 10 for "
        f"{queries} is {lowest.at_10:.4f} with the {recall.measured.nprobe} that are stored, and more lists find at most 0.001 "
        "more. Choose an index.type with finer codes, or lower index.recall_target to what is enough"
    ]


def _trained(run: Run, corpus: CorpusResult, embedded: EmbedResult, factory: str, stage: str = "index") -> IndexResult:
    task = TrainTask(tuple(embedded.blocks), run.scratch(stage), factory)
    (record,) = run.job("train", TrainIndex(run.config.index, run.runner.threads(1)), [task], TrainRecord)
    shards = _shards(run, embedded, record, stage)
    merged = _merged(run, corpus, record, shards, stage)
    return _result(run, record, shards, merged, training_of(record, merged, shards))


def _grown(run: Run, corpus: CorpusResult, embedded: EmbedResult, earlier: Earlier, queries: str | None) -> IndexResult | None:
    """The published index without the texts that are gone and with the new ones; None when its training fits no longer."""
    changes = earlier.changes
    training = measured_for(earlier.training, run.config.index.recall_target, queries)
    if reasons := list(growth_reasons(training, changes.texts_added)):
        trained_anew(reasons)
        return None
    task = TrainTask(tuple(embedded.blocks), run.scratch("index"), earlier=(training, earlier.template))
    (record,) = run.job("train", TrainIndex(run.config.index, run.runner.threads(1)), [task], TrainRecord)
    shards = _shards(run, embedded, record, "index", earlier)
    merged = _merged(run, corpus, record, shards, "index", Kept(earlier.index, changes.gone, training.fingerprint))
    training = replace(training, added=training.added + encoded_of(shards), spread=merged.spread)
    if reasons := list(drift_reasons(training, training.added, training.spread)):
        trained_anew(reasons)
        return None
    return replace(_result(run, record, shards, merged, training), increment=True, most_lists=most_lists(training))


def _shards(
    run: Run, embedded: EmbedResult, record: TrainRecord, stage: str, earlier: Earlier | None = None
) -> list[ShardRecord]:
    """Encode all texts, or those that are new since the earlier index."""
    only, texts = (None, None) if earlier is None else (earlier.changes.added, earlier.changes.texts_added)
    planned = [] if texts == 0 else plan_shards(embedded.blocks, run.config.index, texts)
    scratch, progress = run.scratch(stage), run.progress(stage)
    tasks = [
        EncodeTask(part, blocks, record.template, record.fingerprint, scratch, progress, only)
        for part, blocks in enumerate(planned)
    ]
    encode = EncodeShards(run.runner.threads(max(len(tasks), 1)))
    shards: list[ShardRecord] = run.job("shards", encode, tasks, ShardRecord) if tasks else []
    return sorted(shards, key=lambda shard: shard.part)


def _merged(
    run: Run, corpus: CorpusResult, record: TrainRecord, shards: list[ShardRecord], stage: str, kept: Kept | None = None
) -> MergeRecord:
    documents, published = tuple(part.documents for part in corpus.parts), join(run.staged, "index")
    task = MergeTask(record, tuple(shards), documents, run.scratch(stage), published, kept)
    merged: MergeRecord
    (merged,) = run.job("merge", MergeIndex(), [task], MergeRecord)
    return merged


def _result(run: Run, record: TrainRecord, shards: list[ShardRecord], merged: MergeRecord, training: Training) -> IndexResult:
    counts: dict[str, int | float] = {
        "texts_indexed": merged.texts,
        "texts_encoded": sum(shard.texts for shard in shards),
        "training_texts": record.training_texts,
        "shards": len(shards),
    }
    noted = None
    if record.trained:
        noted = write_training(join(run.staged, "index", "training.json"), training)
        counts |= drift_counts(training)
    return IndexResult(merged.ids, merged.trained, noted, IndexWork(record, merged), None, counts)


def measure_recall(
    run: Run, embedded: EmbedResult, index: IndexResult, unit: bool, asked: QueriesResult | None = None
) -> RecallResult:
    """One job: exact answers by blocks, then the index's own answers beside them (one worker); none for a reused index.

    `unit`: all vectors have length 1. `asked` are the user's own queries.
    """
    if index.finished is not None:
        files = {file.name: file for file in index.finished}
        return _recall(read_recall(files["index.faiss"], files["recall.parquet"], files.get("nprobe.parquet")), reused=True)
    assert index.work is not None
    options, runner, training = run.config.index, run.runner, index.work.training
    queries: tuple[QuerySet, ...]
    queries, blocks = (QuerySet("corpus", training.queries),), tuple(embedded.blocks)
    if asked is not None:
        queries = (*queries, asked.queries)
    # Each task scores candidates of its own exactly, so there are no more than are worked on at once.
    rows = max(-(-sum(block.rows for block in blocks) // runner.parallel_tasks), 1)
    parts = plan_shards(blocks, options.model_copy(update={"rows_per_shard": rows}))
    tasks = [ExactTask(part, queries, some, run.scratch("recall")) for part, some in enumerate(parts)]
    task = RecallTask(
        index.work.merged.index, queries, blocks, join(run.staged, "index"), unit, None if asked is None else asked.digest
    )
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
