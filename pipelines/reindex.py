"""The driver of a reindex: plan, stages in order, gates, publish. All work on data happens in the stages' Beam jobs."""

import contextlib
import importlib.metadata
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pipelines.config import Config
from pipelines.corpus import CorpusResult, read_corpus, write_corpus
from pipelines.duplicates import DuplicatesResult, mine_duplicates
from pipelines.embed import EmbedResult, embed_passages
from pipelines.errors import GateRefusedError, warn
from pipelines.index import IndexResult, RecallResult, build_index, measure_recall
from pipelines.lock import only_run
from pipelines.neighbors import NeighborsResult, find_neighbors
from pipelines.passages import PassagesResult, make_passages
from pipelines.report import write_report
from pipelines.runner import Runner
from pipelines.splitter import passage_splitter
from pipelines.stage import Run
from pipelines.topics import TopicsResult, find_topics
from transforms.corpus import UnitRecord
from transforms.embedding import (
    EncoderSpec,
    encoder_spec,
    fidelity_warnings,
    is_packable,
    packing_warnings,
    truncation_warnings,
    warnings_of,
)
from transforms.embedding.beam import MeasurePrecision
from transforms.files import FileRef, digest_of, file_ref, is_local, join, reached, redact, remove, write_json
from transforms.generations import (
    FORMAT,
    Gate,
    Manifest,
    generation_id,
    move_current,
    move_into_generation,
    published_files,
    read_current,
    read_manifest,
    write_manifest,
)
from transforms.vectors import FailedText

# Libraries whose versions are worth knowing when two generations differ.
_LIBRARIES = (
    "apache-beam",
    "faiss-cpu",
    "hdbscan",
    "numpy",
    "pyarrow",
    "sentence-transformers",
    "torch",
    "transformers",
    "umap-learn",
)

# Ends the names of stages that run a second time, without the texts that the model fails on.
_AGAIN = "_again"


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the generation that is published now, and whether this run published it."""

    root: str
    generation: str
    published: bool
    metrics: dict[str, Any]


def reindex(config: Config) -> Outcome:
    """Run every stage and publish a generation, or find that nothing has changed.

    Raises GateRefusedError when a gate refuses, RootInUseError when another run is active, and whatever stopped a stage; in
    all cases nothing is published.
    """
    with begin(config) as run:
        return _reindex(run)


@contextlib.contextmanager
def begin(config: Config) -> Iterator[Run]:
    """A run that has its root for itself.

    Raises RunnerError, ConfigurationError or ValueError before anything is written when the runner, the size of passages or the
    root cannot be used, RootInUseError when another run is active.
    """
    runner, splitter = Runner(config.runner), passage_splitter(config)
    if not is_local(config.root):
        raise ValueError(f"root {redact(config.root)!r} is not a local folder: publishing elsewhere is not supported yet")
    with only_run(config.root), runner:
        yield Run(config, runner, splitter)


def _reindex(run: Run) -> Outcome:
    started, config = datetime.now(UTC), run.config
    parent = read_current(config.root)
    spec = choose_encoder(run, parent)
    corpus, passages = read_documents(run)
    if nothing_new := _nothing_new(run, parent, spec, corpus):
        return nothing_new

    reached("after_plan")
    # Before the expensive part, so that it can still be stopped.
    warnings = model_warnings(spec)
    warn(warnings)
    embedded = embed(run, spec, passages)
    if embedded.failed:
        fidelity = embedded.fidelity
        corpus, passages, embedded = without_failed(run, spec, corpus.units, embedded.failed)
        embedded = replace(embedded, fidelity=fidelity)
        if nothing_new := _nothing_new(run, parent, spec, corpus):
            return nothing_new
    results = compute(run, corpus, passages, embedded, spec.normalize)
    counts = results.counts
    warnings += [*fidelity_warnings(spec, embedded.fidelity), *truncation_warnings(spec, counts)]
    gates = list(_gates(config, corpus, results))
    metrics_file = join(run.staged, "metrics.json")
    metrics = {
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "stages": run.metrics,
        "counts": counts,
        "encoder": _encoder(run, parent, spec, embedded),
        "warnings": warnings,
        "gates": [gate.model_dump() for gate in gates],
    }
    write_json(metrics_file, metrics)
    # The page tells of all stages but itself; the file has the report's cost too.
    report = run.stage("report", FileRef, None, lambda: write_report(run, metrics_file, _published_configuration(config)))
    metrics["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(metrics_file, metrics)
    if refused := [gate for gate in gates if not gate.passed]:
        raise GateRefusedError(
            "; ".join(f"gate {gate.name} refused: {gate.value:g}, limit {gate.limit:g} ({gate.meaning})" for gate in refused)
            + f". Nothing was published; the report of this run is {report.path}"
        )
    generation = generation_id(
        started, digest_of([corpus.digest, spec.fingerprint, config.results_digest(), started.isoformat()])
    )
    staged = [*corpus.published, *results.published(), file_ref(metrics_file), report]
    moved = move_into_generation(config.root, generation, run.staged, staged)
    manifest = Manifest(
        format=FORMAT,
        generation=generation,
        parent=parent,
        created=metrics["finished"],
        encoder=metrics["encoder"],
        corpus_digest=corpus.digest,
        configuration_digest=config.results_digest(),
        configuration=_published_configuration(config),
        versions={name: importlib.metadata.version(name) for name in _LIBRARIES},
        counts=counts,
        gates=gates,
        files=published_files(config.root, [*moved, *embedded.shards]),
    ).with_digest()
    write_manifest(config.root, manifest)
    reached("after_manifest")
    try:
        move_current(config.root, parent, generation)
        reached("after_pointer")
        remove(run.work)
    except KeyboardInterrupt:
        # Whoever stopped the run at this moment must hear the truth about it.
        if read_current(config.root) == generation:
            raise KeyboardInterrupt(f"generation {generation} was published before") from None
        raise
    return Outcome(config.root, generation, True, metrics)


def choose_encoder(run: Run, parent: str | None) -> EncoderSpec:
    """The encoder of the configuration, with a precision in place of "auto".

    The published generation's precision stays as long as all else that decides a vector is the same: a run on another
    machine must not embed everything again because that machine is faster. Otherwise a worker measures.
    """
    options = run.config.embedding
    if options.precision != "auto":
        return encoder_spec(options)
    if parent is not None:
        published = read_manifest(run.root, parent).encoder
        kept = encoder_spec(options, published["precision"])
        if kept.fingerprint == published["fingerprint"]:
            return kept
    described = encoder_spec(options)

    def measure() -> str:
        (precision,) = run.job("precision", MeasurePrecision(is_packable(described.folder)), [options.device], str)
        return precision

    # A stage with a record: a run that died and measured otherwise the next time would have embedded in vain.
    precision = run.stage("precision", str, [described.fingerprint, options.device], measure)
    return replace(described, precision=precision)


def model_warnings(spec: EncoderSpec) -> list[str]:
    """What this run asks of the model that it was not made for, by its authors or by us."""
    return [*warnings_of(spec, ["search", "duplicates"]), *packing_warnings(spec)]


def read_documents(run: Run) -> tuple[CorpusResult, PassagesResult]:
    """The first two stages, which every run makes: the corpus as it is now.

    Raises GateRefusedError for a corpus without a usable document.
    """
    # Always read: what the corpus is now decides everything else, and reading costs little beside embedding.
    corpus = run.stage("corpus", CorpusResult, None, lambda: read_corpus(run))
    _check_not_empty(run, corpus)
    return corpus, run.stage("passages", PassagesResult, None, lambda: make_passages(run, corpus))


def _check_not_empty(run: Run, corpus: CorpusResult) -> None:
    if corpus.rows == 0:
        raise GateRefusedError(
            f"the corpus {[redact(pattern) for pattern in run.config.corpus.input]} has no usable document "
            f"({corpus.counts['rows_read']} rows read, {corpus.counts['quarantined']} quarantined): nothing to publish"
        )


def embed(run: Run, spec: EncoderSpec, passages: PassagesResult, again: str = "") -> EmbedResult:
    """The embedding stage."""
    texts = [(start, file.sha256) for start, file in passages.parts]
    stage = f"embed{again}"
    return run.stage(
        stage,
        EmbedResult,
        [texts, spec.fingerprint],
        lambda: embed_passages(run, passages, spec, stage),
        total=passages.rows,
        unit="texts",
        # Texts that failed are tried again: the model may have been repaired.
        reusable=lambda result: not result.failed,
    )


def without_failed(
    run: Run, spec: EncoderSpec, units: list[UnitRecord], failed: list[FailedText]
) -> tuple[CorpusResult, PassagesResult, EmbedResult]:
    """The first three stages again, from the rows that were read, without the documents of texts that the model fails on.

    Nothing is embedded again: all other texts have their vectors by now. Raises QuarantineLimitError when they are too many.
    """
    first = failed[0]
    warn(
        [
            f"the model fails on {len(failed)} of the texts, such as that of document {first.doc_id!r} ({first.error}): "
            "their documents go to quarantine"
        ]
    )
    corpus = run.stage(f"corpus{_AGAIN}", CorpusResult, None, lambda: write_corpus(run, units, failed))
    _check_not_empty(run, corpus)
    passages = run.stage(f"passages{_AGAIN}", PassagesResult, None, lambda: make_passages(run, corpus))
    embedded = embed(run, spec, passages, _AGAIN)
    if embedded.failed:
        return without_failed(run, spec, units, [*failed, *embedded.failed])
    return corpus, passages, embedded


@dataclass(frozen=True)
class Results:
    """The results of all stages after the corpus, and the counts that go into manifest, metrics and report."""

    index: IndexResult
    recall: RecallResult
    neighbors: NeighborsResult
    duplicates: DuplicatesResult
    topics: TopicsResult
    counts: dict[str, int]

    def published(self) -> list[FileRef]:
        """Every staged file that belongs into the generation."""
        stages = (self.index, self.recall, self.neighbors, self.duplicates, self.topics)
        return [file for stage in stages for file in stage.published]


def compute(run: Run, corpus: CorpusResult, passages: PassagesResult, embedded: EmbedResult, unit: bool) -> Results:
    """The stages from index to topics. Each names its inputs, so that a run that died is picked up where it stopped.

    `unit`: the indexed vectors have length 1.
    """
    config = run.config
    texts = [(start, file.sha256) for start, file in passages.parts]
    documents = [part.documents.sha256 for part in corpus.parts]
    vectors = [file.sha256 for file in embedded.block_files]
    index = run.stage(
        "index", IndexResult, [vectors, documents, config.index.model_dump()], lambda: build_index(run, corpus, embedded)
    )
    recall = run.stage("recall", RecallResult, [asdict(index)], lambda: measure_recall(run, embedded, index, unit))
    neighbors = run.stage(
        "neighbors", NeighborsResult, [vectors, config.neighbors.model_dump()], lambda: find_neighbors(run, embedded)
    )
    graph = [file.sha256 for file in neighbors.published]
    duplicates = run.stage(
        "duplicates",
        DuplicatesResult,
        [graph, texts, documents, config.duplicates.model_dump()],
        lambda: mine_duplicates(run, corpus, passages, embedded, neighbors),
    )
    topics = run.stage(
        "topics",
        TopicsResult,
        [graph, texts, documents, config.topics.model_dump()],
        lambda: find_topics(run, corpus, passages, embedded, neighbors),
    )
    counts = {
        "documents": corpus.rows,
        "passages": corpus.passages,
        "distinct_texts": passages.rows,
        "quarantined": corpus.counts["quarantined"],
        **{name: embedded.counts[name] for name in ("texts_truncated", "documents_truncated")},
        **{name: duplicates.counts[name] for name in ("pairs", "groups", "duplicate_documents")},
        **{name: topics.counts[name] for name in ("topics", "noise_documents")},
    }
    return Results(index, recall, neighbors, duplicates, topics, counts)


def _gates(config: Config, corpus: CorpusResult, results: Results) -> list[Gate]:
    read, kept = corpus.counts["rows_read"], corpus.rows
    lost = read - kept - corpus.counts["quarantined"] - corpus.counts["not_sampled"]
    share = corpus.counts["quarantined"] / max(1, read)
    return [
        Gate(
            name="rows_lost",
            value=lost,
            limit=0,
            passed=lost == 0,
            meaning="rows read that are neither document nor quarantined",
        ),
        Gate(
            name="quarantine_share",
            value=share,
            limit=config.corpus.max_quarantine_fraction,
            passed=share <= config.corpus.max_quarantine_fraction,
            meaning="share of rows in quarantine; see corpus.max_quarantine_fraction",
        ),
        Gate(
            name="recall_at_10",
            value=results.recall.measured.recall_at_10,
            limit=config.index.recall_gate,
            passed=results.recall.measured.passed,
            meaning="recall@10 of the index against exact search; see index.recall_gate",
        ),
    ]


def _nothing_new(run: Run, parent: str | None, spec: EncoderSpec, corpus: CorpusResult) -> Outcome | None:
    """How a run ends that would publish what the published generation is already; None when there is something to do."""
    if parent is None:
        return None
    manifest = read_manifest(run.root, parent)
    published = (manifest.corpus_digest, manifest.configuration_digest, manifest.encoder["fingerprint"])
    if published != (corpus.digest, run.config.results_digest(), spec.fingerprint):
        return None
    remove(run.work)
    return Outcome(run.root, parent, False, {"stages": run.metrics})


def _encoder(run: Run, parent: str | None, spec: EncoderSpec, embedded: EmbedResult) -> dict[str, Any]:
    described = asdict(spec)
    # Where the model was on this machine says nothing to a reader, and may say too much.
    described.pop("folder")
    return {
        **described,
        "files": dict(spec.files),
        "fingerprint": spec.fingerprint,
        "dimension": embedded.blocks[0].dim,
        "metric": spec.metric,
        "fidelity": _fidelity(run, parent, spec, embedded),
    }


def _fidelity(run: Run, parent: str | None, spec: EncoderSpec, embedded: EmbedResult) -> dict[str, Any] | None:
    """How near the vectors are to the model's own: as measured now, else as the published generation of this encoder says."""
    if embedded.fidelity is not None:
        return asdict(embedded.fidelity)
    published = {} if parent is None else read_manifest(run.root, parent).encoder
    return published.get("fidelity") if published.get("fingerprint") == spec.fingerprint else None


def _published_configuration(config: Config) -> dict[str, Any]:
    values = config.model_dump(mode="json", exclude={"root", "runner"})
    values["corpus"]["input"] = [redact(pattern) for pattern in config.corpus.input]
    return values
