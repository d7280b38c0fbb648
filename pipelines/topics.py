"""The topics stage: themes and the topics inside them, or topics of the whole corpus, then their description, part by part."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipelines.corpus import CorpusResult
from pipelines.embed import EmbedResult
from pipelines.neighbors import NeighborsResult
from pipelines.passages import PassagesResult
from pipelines.reuse import Parent, not_used
from pipelines.stage import Run
from transforms.files import CorruptFileError, FileRef, join, read_table
from transforms.topics import (
    FindTopicsTask,
    JoinedParent,
    ParentTopics,
    RunStep,
    Step,
    check_values,
    describe_topics,
    find_inside_themes,
    remember_parent,
)
from transforms.topics import find_topics as find_whole
from transforms.topics.beam import TopicsStep


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


def reuse_topics(run: Run, parent: Parent | None, neighbors: NeighborsResult) -> TopicsResult | None:
    """The parent's tables, when it had the same texts, vectors, graph and settings; else None."""
    if parent is None or not parent.texts_are_the_same or not parent.has_files("neighbors", neighbors.published):
        return None
    # Labels are given afterwards.
    if not parent.has_settings("topics", run.config.topics.model_dump(mode="json", exclude={"labels"})):
        return None
    files, counts = parent.files("topics"), parent.counts("topics")
    return TopicsResult(list(files.values()), counts, reused=True) if files and counts else None


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

    def job(step: Step, tasks: Sequence[Any]) -> list[Any]:
        transform = TopicsStep(step, options)
        return run.job(step.__name__, transform, tasks, transform.record_type)

    joined = _remembered(None if parent is None else parent.topics(), texts, scratch, job)
    before = tuple(record.before for record in joined)
    if options.layers:
        found = find_inside_themes(texts, graph, blocks, options, scratch, job, before)
    else:
        (found,) = job(find_whole, [FindTopicsTask(texts, graph, join(scratch, "labels.parquet"), blocks, before)])
    described = describe_topics(found, texts, blocks, documents, scratch, folder, job, options.counted, options.languages)
    counts: dict[str, Any] = {
        "topics": found.topics,
        "noise_documents": described.noise_documents,
        "unassigned_documents": described.unassigned_documents,
        "languages": list(described.languages),
    }
    published = [described.topics, described.assignments]
    if described.themes is not None:
        counts["themes"] = found.layers[options.layer].topics
        published.append(described.themes)
    if described.tables is not None:
        published.append(described.tables)
    return TopicsResult(published, counts)


def _remembered(parent: ParentTopics | None, texts: Sequence[FileRef], scratch: str, job: RunStep) -> tuple[JoinedParent, ...]:
    """What the parent generation said of the texts; nothing where it has no topics, or where they are damaged."""
    if parent is None:
        return ()
    try:
        return remember_parent(parent, texts, scratch, job)
    except CorruptFileError as error:
        not_used("topics", error)
        return ()
