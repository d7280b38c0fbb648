"""The topics stage: layout and clusters (one worker), terms counted part by part, names, and every document's topic."""

from dataclasses import dataclass

from pipelines.corpus import CorpusResult
from pipelines.embed import EmbedResult
from pipelines.neighbors import NeighborsResult
from pipelines.passages import PassagesResult
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
    """The two published tables and what they hold."""

    topics: FileRef
    assignments: FileRef
    counts: dict[str, int]

    @property
    def published(self) -> list[FileRef]:
        """The staged files that belong into the generation."""
        return [self.topics, self.assignments]


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
    return TopicsResult(described.topics, assigned.assignments, counts)
