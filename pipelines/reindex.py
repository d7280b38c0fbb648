"""The driver of a reindex: plan, stages in order, gates, publish. All work on data happens in the stages' Beam jobs."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pipelines import stopped
from pipelines.changes import ChangesResult, find_changes
from pipelines.config import Config, result_settings
from pipelines.corpus import CorpusResult, read_corpus, write_corpus
from pipelines.duplicates import DuplicatesResult, check_keep, incomplete_warnings, mine_duplicates, reuse_duplicates
from pipelines.embed import EmbedResult, damage_warnings, embed_passages
from pipelines.encoder_process import EncoderProcess
from pipelines.errors import GateRefusedError, message, warn
from pipelines.gates import (
    Allowed,
    check_deletions,
    check_not_empty,
    check_written,
    find_differing,
    measure_gates,
    measure_vectors,
    refusal,
)
from pipelines.index import (
    IndexResult,
    RecallResult,
    build_index,
    index_again,
    is_outgrown,
    is_reusable,
    measure_recall,
    reuse_index,
    target_warnings,
)
from pipelines.labels import Labels, label_warnings, labelled, settings_digest, user_labels
from pipelines.lexical import LexicalResult, index_words, reuse_lexical
from pipelines.monitoring import LastRun
from pipelines.neighbors import NeighborsResult, find_neighbors
from pipelines.passages import PassagesResult, make_passages
from pipelines.places import check_places
from pipelines.queries import Queries, embed_queries, user_queries
from pipelines.report import write_report
from pipelines.reuse import open_parent
from pipelines.runner import Runner
from pipelines.splitter import passage_splitter
from pipelines.stage import Run
from pipelines.stopped import Stopped
from pipelines.topics import TopicsResult, check_tables, find_topics, reuse_topics
from pipelines.versions import installed_versions
from transforms.changes import Changes
from transforms.corpus import UnitRecord
from transforms.duplicates import VERSION
from transforms.embedding import (
    EncoderSpec,
    encoder_spec,
    fidelity_warnings,
    find_model,
    is_packable,
    packing_warnings,
    truncation_warnings,
    warnings_of,
)
from transforms.embedding.beam import MeasurePrecision
from transforms.files import (
    FileRef,
    digest_of,
    file_ref,
    has_conditional_writes,
    join,
    keep_only,
    reached,
    redact,
    remove,
    write_json,
)
from transforms.generations import (
    FORMAT,
    GenerationError,
    Manifest,
    check_moved,
    generation_id,
    hold_lease,
    missing_or_resized,
    move_current,
    move_into_generation,
    published_files,
    read_current,
    read_manifest,
    write_manifest,
)
from transforms.vectors import FailedText

# Ends the names of stages that run a second time, without the texts that the model fails on.
_AGAIN = "_again"


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the generation that is published now, and whether this run published it.

    A dry run publishes nothing: `refused` says why a real one would not either, None when it would, and `report` is where its
    report is.
    """

    root: str
    generation: str | None
    published: bool
    metrics: dict[str, Any]
    dry_run: bool = False
    refused: str | None = None
    report: str | None = None


def reindex(
    config: Config, allowed: Allowed = Allowed(), *, dry_run: bool = False, encoder: EncoderProcess | None = None
) -> Outcome:
    """Run every stage and publish a generation, or find that nothing has changed. A `dry_run` stops before publishing.

    `encoder` loads the model as soon as it is known that texts have changed; without it, the workers load one.

    Raises GateRefusedError when a gate refuses, RootInUseError when another run is active, LeaseLostError when another run has
    taken the root over, and whatever stopped a stage; in all cases nothing is published.
    """
    with begin(config) as run, LastRun(run, dry_run=dry_run) as last:
        last.outcome = _reindex(run, allowed, dry_run, encoder)
        return last.outcome


@contextlib.contextmanager
def begin(config: Config) -> Iterator[Run]:
    """A run that has its root for itself.

    Raises RunnerError, ConfigurationError or UnconditionalError before anything is written when the runner, the size of
    passages or the root cannot be used, RemoteJobError when the engine does not answer, RootInUseError when another run is
    active, and RemoteJobError when the engine's workers are not fit for the jobs.
    """
    runner, splitter, publish = Runner(config.runner), passage_splitter(config), config.publish
    check_places(config, runner)
    warn(runner.check_answers())
    if publish.unconditional_writes and not has_conditional_writes(config.root):
        warn([f"root {redact(config.root)!r} has no conditional writes: of two runs at once both can publish, and one is lost"])
    with hold_lease(config.root, publish.lease_seconds, publish.unconditional_writes) as lease, runner:
        if runner.engine.has_foreign_workers:
            # That the lease's own file is there is certain. A model with a name may have another place on workers.
            model = find_model(config.embedding.model, config.embedding.revision)
            warn(runner.check_workers([lease.path, *([model] if model == os.path.abspath(config.embedding.model) else [])]))
        run = Run(config, runner, splitter, lease=lease)
        run.remove_old_scratch()
        yield run


def _reindex(run: Run, allowed: Allowed, dry_run: bool, encoder: EncoderProcess | None) -> Outcome:
    started, config = datetime.now(UTC), run.config
    parent = read_current(config.root)
    published = None if parent is None else read_manifest(config.root, parent)
    queries, labels = user_queries(config), user_labels(config)
    spec = choose_encoder(run, parent)
    settings = settings_digest(config, queries, labels)
    corpus = read_documents(run)
    if nothing_new := _nothing_new(run, published, spec, corpus, settings, dry_run):
        return nothing_new
    # Before the expensive part: a broken input costs no more than reading it.
    check_not_empty(run, corpus, allowed)
    check_keep(run, corpus)
    check_tables(run, corpus)
    changes = find_changes(run, corpus, published)
    check_deletions(run, changes, allowed)
    if encoder is not None and _has_new_texts(changes, published, spec):
        encoder.load(spec, config.embedding, config.embedding.threads or run.runner.threads(1))
    passages = find_passages(run, corpus)

    reached("after_plan")
    # Here too, so that the run can still be stopped.
    warnings = model_warnings(spec)
    warn(warnings)
    embedded = embed(run, spec, passages)
    if embedded.failed:
        fidelity, damaged = embedded.fidelity, embedded.damaged
        corpus, passages, embedded = without_failed(run, spec, corpus.units, embedded.failed, allowed)
        embedded = replace(embedded, fidelity=fidelity, damaged=sorted({*damaged, *embedded.damaged}))
        if nothing_new := _nothing_new(run, published, spec, corpus, settings, dry_run):
            return nothing_new
        changes = find_changes(run, corpus, published, _AGAIN)
        check_deletions(run, changes, allowed)
    warn(damaged_shards := damage_warnings(run.root, embedded.damaged))
    warnings += damaged_shards
    vectors = measure_vectors(run, embedded)
    results = compute(run, corpus, passages, embedded, spec, queries, labels)
    counts = results.counts
    warnings += [*fidelity_warnings(spec, embedded.fidelity), *truncation_warnings(spec, counts)]
    warnings += incomplete_warnings(results.duplicates.counts)
    warn(unknown_labels := label_warnings(results.topics))
    warnings += unknown_labels
    warn(below_target := target_warnings(results.recall, config.index.recall_target))
    warnings += below_target
    staged = [*corpus.published, *results.published()]
    # Vectors and texts between the stages too: another writer of the same names would have led all that was computed astray.
    written = [*staged, *embedded.block_files, *passages.files]
    differing = len(check_written(run, written).differing)
    gates = measure_gates(config, corpus, changes, passages, vectors, results, differing, unit=spec.normalize, allowed=allowed)
    run.facts |= {"counts": counts, "gates": [gate.model_dump() for gate in gates]}
    # A run before this one may have left more: the report reads whole folders.
    keep_only(run.staged, staged)
    metrics_file = join(run.staged, "metrics.json")
    metrics = {
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "stages": run.metrics,
        "counts": counts,
        "changes": {"since": changes.since, **changes.counts},
        "encoder": _encoder(run, parent, spec, embedded),
        "warnings": warnings,
        "gates": [gate.model_dump() for gate in gates],
    }
    write_json(metrics_file, metrics)
    # The page tells of all stages but itself; the file has the report's cost too.
    settings_shown = _published_configuration(config)
    report = run.stage("report", FileRef, None, lambda: write_report(run, metrics_file, settings_shown, published))
    metrics["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(metrics_file, metrics)
    refused = refusal(gates, report.path)
    if dry_run:
        # What is staged, and the stages' records, stay: a run with these settings takes them over.
        return Outcome(config.root, parent, False, metrics, dry_run=True, refused=refused, report=report.path)
    if refused:
        raise GateRefusedError(refused)
    generation = generation_id(started, digest_of([corpus.digest, spec.fingerprint, settings, started.isoformat()]))
    moved = move_into_generation(config.root, generation, run.staged, [*staged, file_ref(metrics_file), report])
    # Which of all the files, many workers find out; what is wrong with them, this process.
    check_moved(find_differing(run, "moved", moved))
    manifest = Manifest(
        format=FORMAT,
        generation=generation,
        parent=parent,
        created=metrics["finished"],
        encoder=metrics["encoder"],
        corpus_digest=corpus.digest,
        configuration_digest=settings,
        configuration=_published_configuration(config),
        versions=installed_versions(),
        counts=counts,
        gates=gates,
        files=published_files(config.root, [*moved, *embedded.shards]),
        changes=changes.counts,
    ).with_digest()
    write_manifest(config.root, manifest)
    reached("after_manifest")
    # Vector shards are older than this run: with the lease lost and taken again, somebody may have collected one.
    if problems := missing_or_resized(config.root, manifest):
        raise GenerationError(f"{problems[0]}: nothing was published, run again")
    run.check_lease()
    _publish(run, parent, generation)
    return Outcome(config.root, generation, True, metrics)


def _publish(run: Run, parent: str | None, generation: str) -> None:
    """Move CURRENT and tidy up. Once CURRENT has moved, the generation is published, whatever fails or stops the run then."""
    root = run.root
    try:
        move_current(root, parent, generation, unconditional=run.config.publish.unconditional_writes)
    except (Exception, Stopped):
        # The answer may have been lost, not the write.
        if read_current(root) != generation:
            raise
    stopped.published = generation
    reached("after_pointer")
    try:
        remove(run.work)
    except Exception as error:
        # A worker of a run that died may still write there.
        warn([f"generation {generation} is published, but {run.work} could not be removed: {message(error)}"])


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


def read_documents(run: Run) -> CorpusResult:
    """The first stage, which every run makes: the corpus as it is now decides everything else, and reading it costs little."""
    return run.stage("corpus", CorpusResult, None, lambda: read_corpus(run))


def find_passages(run: Run, corpus: CorpusResult, again: str = "") -> PassagesResult:
    """The distinct texts of the corpus."""
    return run.stage(f"passages{again}", PassagesResult, None, lambda: make_passages(run, corpus))


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
    run: Run, spec: EncoderSpec, units: list[UnitRecord], failed: list[FailedText], allowed: Allowed
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
    check_not_empty(run, corpus, allowed)
    passages = find_passages(run, corpus, _AGAIN)
    embedded = embed(run, spec, passages, _AGAIN)
    if embedded.failed:
        return without_failed(run, spec, units, [*failed, *embedded.failed], allowed)
    return corpus, passages, embedded


@dataclass(frozen=True)
class Results:
    """The results of all stages after the corpus, and the counts that go into manifest, metrics and report."""

    index: IndexResult
    recall: RecallResult
    neighbors: NeighborsResult
    duplicates: DuplicatesResult
    topics: TopicsResult
    lexical: LexicalResult | None
    counts: dict[str, int]

    def published(self) -> list[FileRef]:
        """Every staged file that belongs into the generation."""
        stages = (self.index, self.recall, self.neighbors, self.duplicates, self.topics, self.lexical)
        return [file for stage in stages if stage is not None for file in stage.published]


def compute(
    run: Run,
    corpus: CorpusResult,
    passages: PassagesResult,
    embedded: EmbedResult,
    spec: EncoderSpec,
    queries: Queries,
    labels: Labels,
) -> Results:
    """The stages from index to topics. Each names its inputs, so that a run that died is picked up where it stopped.

    What the published generation has of the same inputs is taken over: it decides what a run costs, never what it gives, but
    for an index with lists whose published training still fits (`index.retrain: drift`).
    """
    config = run.config
    texts = [(start, file.sha256) for start, file in passages.parts]
    documents = [part.documents.sha256 for part in corpus.parts]
    vectors = [file.sha256 for file in embedded.block_files]
    parent = open_parent(run, corpus, embedded)
    since = parent.generation.id if parent is not None and config.index.retrain == "drift" else None
    # An earlier training decides what an index with lists is.
    inputs = [vectors, documents, [config.index.model_dump(), queries.digest], since]
    # A run that died may have found the published training outgrown already. Its first attempt is no longer whole then.
    outgrown = run.has_finished(f"index{_AGAIN}", IndexResult, inputs)
    # Before the index is built: a query that the model fails on costs no more than embedding.
    asked = None if is_reusable(run, parent, queries.digest) else embed_queries(run, queries, spec)

    def recall_of(index: IndexResult, again: str = "") -> RecallResult:
        used = None if asked is None else asdict(asked)
        return run.stage(
            f"recall{again}",
            RecallResult,
            [asdict(index), used],
            lambda: measure_recall(run, embedded, index, spec.normalize, asked),
        )

    def built_again() -> IndexResult:
        return run.stage(f"index{_AGAIN}", IndexResult, inputs, lambda: index_again(run, corpus, embedded, parent))

    if outgrown:
        index = built_again()
        recall = recall_of(index, _AGAIN)
    else:
        index = run.stage(
            "index",
            IndexResult,
            inputs,
            lambda: reuse_index(run, parent, queries.digest) or build_index(run, corpus, embedded, parent, queries.digest),
        )
        if not index.reused and asked is None:
            # Files of the published index were damaged.
            asked = embed_queries(run, queries, spec)
        recall = recall_of(index)
        if outgrown := is_outgrown(index, recall, config.index.recall_gate):
            index = built_again()
            recall = recall_of(index, _AGAIN)
    if outgrown:
        # What is published has the plain names: the next run looks there.
        for name in ("index", "recall"):
            if name in run.metrics:
                run.metrics[f"{name}_outgrown"] = run.metrics[name]
            run.metrics[name] = run.metrics.pop(f"{name}{_AGAIN}")
    lists = result_settings(config)["neighbors"]
    neighbors = run.stage("neighbors", NeighborsResult, [vectors, lists], lambda: find_neighbors(run, embedded, parent))
    graph = [file.sha256 for file in neighbors.published]
    duplicates = run.stage(
        "duplicates",
        DuplicatesResult,
        [graph, neighbors.exact, texts, documents, config.duplicates.model_dump(), VERSION],
        lambda: reuse_duplicates(run, parent, neighbors) or mine_duplicates(run, corpus, passages, embedded, neighbors),
    )
    named_as = [result_settings(config)["topics"], labels.digest]
    topics = run.stage(
        "topics",
        TopicsResult,
        # Which topics and themes the parent had decides what they are called.
        [graph, texts, documents, named_as, None if parent is None else parent.generation.id],
        lambda: labelled(
            run,
            reuse_topics(run, parent, neighbors, passages) or find_topics(run, corpus, passages, embedded, neighbors, parent),
            labels,
        ),
    )
    lexical = None
    if config.search.lexical:
        lexical = run.stage(
            "lexical",
            LexicalResult,
            [texts, config.search.model_dump()],
            lambda: reuse_lexical(run, parent) or index_words(run, passages),
        )
    counts: dict[str, int] = {
        "documents": corpus.rows,
        "passages": corpus.passages,
        "distinct_texts": passages.rows,
        "quarantined": corpus.counts["quarantined"],
        **{name: embedded.counts[name] for name in ("texts_truncated", "documents_truncated")},
        **{name: duplicates.counts[name] for name in ("pairs", "pairs_dropped", "groups", "duplicate_documents")},
        **{name: int(topics.counts[name]) for name in ("themes", "topics", "noise_documents") if name in topics.counts},
    }
    if not neighbors.exact:
        # What readers of pairs and topics go by: a generation without this count has an exact graph.
        counts["approximate_lists"] = passages.rows
    return Results(index, recall, neighbors, duplicates, topics, lexical, counts)


def _has_new_texts(changes: ChangesResult, published: Manifest | None, spec: EncoderSpec) -> bool:
    """Whether texts may have to be embedded: whether one has a stored vector is only known when all are looked up."""
    if published is None or published.encoder["fingerprint"] != spec.fingerprint:
        return True
    return bool(changes.changes.added or changes.changes.changed)


def _nothing_new(
    run: Run, published: Manifest | None, spec: EncoderSpec, corpus: CorpusResult, settings: str, dry_run: bool
) -> Outcome | None:
    """How a run ends that would publish what the published generation is already; None when there is something to do."""
    if published is None:
        return None
    found = (published.corpus_digest, published.configuration_digest, published.encoder["fingerprint"])
    if found != (corpus.digest, settings, spec.fingerprint):
        return None
    if problems := missing_or_resized(run.root, published):
        warn([f"the published generation is damaged, it is made anew: {problems[0]}; `corpusbeam verify` says more"])
        return None
    remove(run.work)
    changes = {"since": published.generation, **Changes(unchanged=corpus.rows).as_dict()}
    return Outcome(run.root, published.generation, False, {"stages": run.metrics, "changes": changes}, dry_run=dry_run)


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
    values = config.model_dump(mode="json", exclude={"root", "runner", "monitoring"})
    values["corpus"]["input"] = [redact(pattern) for pattern in config.corpus.input]
    if config.index.recall_queries_file is not None:
        values["index"]["recall_queries_file"] = redact(config.index.recall_queries_file)
    if config.topics.labels is not None:
        values["topics"]["labels"] = redact(config.topics.labels)
    return values
