"""The topics stage: themes and the topics inside them, or topics of the whole corpus, then their description, part by part."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipelines.config import result_settings
from pipelines.corpus import CorpusResult
from pipelines.embed import EmbedResult
from pipelines.neighbors import NeighborsResult
from pipelines.passages import PassagesResult
from pipelines.reuse import Parent, not_used
from pipelines.stage import Run
from transforms.files import CorruptFileError, FileRef, join, read_table
from transforms.topics import (
    Changed,
    Clustering,
    FindTopicsTask,
    ParentTopics,
    Remembered,
    RunStep,
    Since,
    Step,
    check_values,
    continue_parent,
    describe_topics,
    find_inside_themes,
    read_clustering,
    remember_parent,
    write_clustering,
)
from transforms.topics import find_topics as find_whole
from transforms.topics.beam import TopicsStep

_log = logging.getLogger(__name__)

# Settings and libraries that decide what a theme or a topic is.
_DECIDE = {
    "method",
    "resolutions",
    "resolution",
    "reduce",
    "landmarks",
    "n_neighbors",
    "n_components",
    "min_dist",
    "n_epochs",
    "min_cluster_size",
    "min_samples",
    "cluster_selection_method",
    "seed",
}
_LIBRARIES = ("graspologic-native", "hdbscan", "numba", "numpy", "scikit-learn", "scipy", "umap-learn")


@dataclass(frozen=True)
class TopicsResult:
    """The published tables and what they hold; `reused` when they are the published generation's.

    `unknown_labels`: the first few uids of the user's labels that no topic or theme has.
    """

    published: list[FileRef]
    counts: dict[str, Any]
    reused: bool = False
    unknown_labels: tuple[str, ...] = ()

    @property
    def assigned(self) -> list[FileRef]:
        """The table that has a row for every passage, alone."""
        return [file for file in self.published if file.name == "assignments.parquet"]


def check_tables(run: Run, corpus: CorpusResult) -> None:
    """Raise InputError for a metadata column that cannot be counted: one with too many values, or one of dates without any."""

    def column(name: str) -> Iterator[pa.ChunkedArray]:
        return (read_table(part.documents.path, [name])[name] for part in corpus.parts)

    check_values(run.config.topics.counted, run.config.topics.table_values, column)


def reuse_topics(run: Run, parent: Parent | None, neighbors: NeighborsResult, passages: PassagesResult) -> TopicsResult | None:
    """The parent's tables, when it had the same texts, vectors, graph and settings; else None."""
    if parent is None or not parent.texts_are_the_same or not parent.has_files("neighbors", neighbors.published):
        return None
    # Labels are given afterwards.
    if not parent.has_settings("topics", run.config.topics.model_dump(mode="json", exclude={"labels"})):
        return None
    counts = parent.counts("topics")
    if not counts:
        return None
    job, scratch, folder = _jobs(run), run.scratch("topics"), join(run.staged, "topics")
    remembered = _remembered(parent.topics, tuple(passages.files), scratch, job)
    if remembered is None:
        return None
    options = run.config.topics
    clustering, tables = ["clustering.json"] * bool(options.layers), ["tables.parquet"] * bool(options.counted)
    # A corpus in which nothing was found has no centroids.
    centroids = ["centroids.parquet"] * parent.has_file("topics/centroids.parquet")
    same = [parent.file(f"topics/{name}") for name in ["assignments.parquet", *clustering, *tables, *centroids]]
    if None in same:
        return None
    # A generation older, but otherwise what they were.
    continued = continue_parent(remembered, scratch, folder, job)
    published = [continued.topics, *_there(*same, continued.themes), *_changes(continued.changed)]
    now = continued.changed.counts | ({"themes_reclustered": 0} if options.layers else {})
    return TopicsResult(published, {**counts, **now}, reused=True)


def find_topics(
    run: Run,
    corpus: CorpusResult,
    passages: PassagesResult,
    embedded: EmbedResult,
    neighbors: NeighborsResult,
    parent: Parent | None,
) -> TopicsResult:
    """Run the jobs that find the topics, and those that describe them, from what the parent generation said of the texts."""
    options, scratch, folder = run.config.topics, run.scratch("topics"), join(run.staged, "topics")
    texts, documents = tuple(passages.files), tuple(part.documents for part in corpus.parts)
    graph, blocks = tuple(part.file for part in neighbors.parts), tuple(embedded.unit_blocks)
    job = _jobs(run)
    remembered = _remembered(None if parent is None else parent.topics, texts, scratch, job)
    keep_map = parent is not None and can_keep_map(run, parent)
    before = remembered.before if remembered is not None and keep_map else ()
    if options.layers:
        clustering = _to_keep(run, parent, neighbors) if remembered is not None else None
        found = find_inside_themes(texts, graph, blocks, options, scratch, job, remembered, clustering, keep_map=keep_map)
    else:
        (found,) = job(find_whole, [FindTopicsTask(texts, graph, join(scratch, "labels.parquet"), blocks, before)])
    described = describe_topics(
        found,
        texts,
        blocks,
        documents,
        scratch,
        folder,
        job,
        options.counted,
        options.languages,
        remembered,
        options.layers,
    )
    counts: dict[str, Any] = {
        "topics": found.topics,
        "noise_documents": described.noise_documents,
        "unassigned_documents": described.unassigned_documents,
        "languages": list(described.languages),
    }
    noted = None
    if found.clustering is not None:
        counts |= {"themes": found.layers[options.layer].topics, "themes_reclustered": found.themes_found}
        counts |= _since(found.clustering.themes)
        noted = write_clustering(join(folder, "clustering.json"), found.clustering)
    if described.changed is not None:
        counts |= described.changed.counts
    tables = [
        described.topics,
        described.assignments,
        *_there(described.themes, described.tables, described.centroids, noted),
        *_changes(described.changed),
    ]
    return TopicsResult(tables, counts)


def can_keep_map(run: Run, parent: Parent) -> bool:
    """Whether the parent's map is a beginning for this run's, if it has enough of the texts.

    Of another encoder's vectors other texts are near. And a complete graph's map is of principal components, on another scale:
    whether this run's is one too can be told only where `neighbors.k` is the same.
    """
    same_k = parent.has_settings("neighbors", {"k": run.config.neighbors.k})
    return parent.has_one_encoder and (same_k or not parent.has_complete_graph)


def _there(*files: FileRef | None) -> list[FileRef]:
    return [file for file in files if file is not None]


def _changes(changed: Changed | None) -> list[FileRef]:
    return [] if changed is None else [changed.events, changed.flow, changed.drift]


def _to_keep(run: Run, parent: Parent | None, neighbors: NeighborsResult) -> Clustering | None:
    """How the parent found its topics, where they may be kept; None, saying why in the log, where all is found anew."""
    options = run.config.topics
    if parent is None or options.recluster == "always":
        return None
    deciding = options.model_dump(mode="json", include=_DECIDE)
    lists = result_settings(run.config)["neighbors"]
    if not parent.has_settings("topics", deciding) or not parent.has_settings("neighbors", lists):
        _log.info("topics are found anew: other settings")
    elif not parent.has_versions(*_LIBRARIES) or not parent.has_one_encoder or parent.has_exact_graph != neighbors.exact:
        _log.info("topics are found anew: another encoder, other libraries or another kind of graph")
    elif (noted := parent.checked_file("topics/clustering.json")) is None:
        _log.info("topics are found anew: how the published ones were found is not known")
    else:
        try:
            return read_clustering(noted.path)
        except CorruptFileError as error:
            not_used("clustering", error)
    return None


def _since(themes: Since) -> dict[str, float]:
    """How much has changed since the themes were found, for the metrics."""
    return {"texts_at_themes": themes.texts, "texts_came_since": themes.came, "texts_left_since": themes.left}


def _jobs(run: Run) -> RunStep:
    def job(step: Step, tasks: Sequence[Any]) -> list[Any]:
        transform = TopicsStep(step, run.config.topics)
        return run.job(step.__name__, transform, tasks, transform.record_type)

    return job


def _remembered(parent: ParentTopics | None, texts: Sequence[FileRef], scratch: str, job: RunStep) -> Remembered | None:
    """What the parent generation said of the texts; None where it has no topics, or where they are damaged."""
    if parent is None:
        return None
    try:
        return remember_parent(parent, texts, scratch, job)
    except CorruptFileError as error:
        not_used("topics", error)
        return None
