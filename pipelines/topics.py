"""The topics stage: layout and clusters (one worker), then their description, part by part."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.corpus import CorpusResult
from pipelines.embed import EmbedResult
from pipelines.neighbors import NeighborsResult
from pipelines.passages import PassagesResult
from pipelines.reuse import Parent
from pipelines.stage import Run
from transforms.files import FileRef, join
from transforms.topics import FindTopicsTask, FoundTopics, Step, describe_topics
from transforms.topics.beam import FindTopics, TopicsStep


@dataclass(frozen=True)
class TopicsResult:
    """The two published tables and what they hold; `reused` when they are the published generation's."""

    published: list[FileRef]
    counts: dict[str, int]
    reused: bool = False

    @property
    def assigned(self) -> list[FileRef]:
        """The table that has a row for every passage, alone."""
        return [file for file in self.published if file.name == "assignments.parquet"]


def reuse_topics(run: Run, parent: Parent | None, neighbors: NeighborsResult) -> TopicsResult | None:
    """The parent's tables, when it had the same texts, vectors, graph and settings; else None."""
    if parent is None or not parent.texts_are_the_same or not parent.has_files("neighbors", neighbors.published):
        return None
    if not parent.has_settings("topics", run.config.topics.model_dump(mode="json")):
        return None
    files, counts = parent.files("topics"), parent.counts("topics")
    return TopicsResult(list(files.values()), counts, reused=True) if files and counts else None


def find_topics(
    run: Run, corpus: CorpusResult, passages: PassagesResult, embedded: EmbedResult, neighbors: NeighborsResult
) -> TopicsResult:
    """Run the job that finds the topics, and those that describe them."""
    options, scratch, folder = run.config.topics, run.scratch("topics"), join(run.staged, "topics")
    texts, documents = tuple(passages.files), tuple(part.documents for part in corpus.parts)
    task = FindTopicsTask(texts, tuple(part.file for part in neighbors.parts), join(scratch, "labels.parquet"))
    (found,) = run.job("clusters", FindTopics(options), [task], FoundTopics)

    def job(step: Step, tasks: Sequence[Any]) -> list[Any]:
        transform = TopicsStep(step, options)
        return run.job(step.__name__, transform, tasks, transform.record_type)

    described = describe_topics(found, texts, embedded.unit_blocks, documents, scratch, folder, job)
    counts = {
        "topics": found.topics,
        "noise_documents": described.noise_documents,
        "unassigned_documents": described.unassigned_documents,
    }
    return TopicsResult([described.topics, described.assignments], counts)
