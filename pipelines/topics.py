"""The topics stage: layout and clusters (one worker), terms counted part by part, names, and every document's topic."""

from dataclasses import dataclass

from pipelines.corpus import CorpusResult
from pipelines.embed import EmbedResult
from pipelines.neighbors import NeighborsResult
from pipelines.passages import PassagesResult
from pipelines.reuse import Parent
from pipelines.stage import Run
from transforms.files import FileRef, join
from transforms.topics import (
    AssignedTopics,
    AssignTopicsTask,
    CountedTerms,
    CountTermsTask,
    DescribedTopics,
    DescribeTopicsTask,
    FindTopicsTask,
    FoundTopics,
)
from transforms.topics.beam import AssignTopics, CountTerms, DescribeTopics, FindTopics


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
    """Run the four jobs."""
    options, scratch, folder = run.config.topics, run.scratch("topics"), join(run.staged, "topics")
    texts, documents = tuple(passages.files), tuple(part.documents for part in corpus.parts)
    task = FindTopicsTask(texts, tuple(part.file for part in neighbors.parts), join(scratch, "labels.parquet"))
    (found,) = run.job("clusters", FindTopics(options), [task], FoundTopics)
    counting = [CountTermsTask(part, file, found.labels, scratch) for part, file in enumerate(texts)]
    counted: list[CountedTerms] = run.job("terms", CountTerms(options), counting, CountedTerms)
    counted.sort(key=lambda record: record.part)
    describe = DescribeTopicsTask(
        found.labels,
        tuple(record.counts for record in counted),
        texts,
        documents,
        tuple(embedded.unit_blocks),
        join(folder, "topics.parquet"),
    )
    (described,) = run.job("names", DescribeTopics(options), [describe], DescribedTopics)
    assign = AssignTopicsTask(documents, found.labels, described.topics, join(folder, "assignments.parquet"))
    (assigned,) = run.job("assignments", AssignTopics(), [assign], AssignedTopics)
    counts = {
        "topics": found.topics,
        "noise_documents": assigned.noise_documents,
        "unassigned_documents": assigned.unassigned_documents,
    }
    return TopicsResult([described.topics, assigned.assignments], counts)
