"""The passages stage: every distinct text once, in content-key order."""

from dataclasses import dataclass

from pipelines.corpus import CorpusResult
from pipelines.stage import Run
from transforms.corpus import (
    PassagesPlan,
    PassagesRecord,
    plan_passages,
)
from transforms.corpus.beam import DistinctPassages
from transforms.files import FileRef


@dataclass(frozen=True)
class PassagesResult:
    """The parts that hold a text, each with the position of its first row; `rows` distinct texts in all.

    Where there is no text, there is one empty part.
    """

    parts: list[tuple[int, FileRef]]
    rows: int
    counts: dict[str, int]

    @property
    def files(self) -> list[FileRef]:
        """The parts' files in position order."""
        return [file for _, file in self.parts]


def make_passages(run: Run, corpus: CorpusResult) -> PassagesResult:
    """Run the job over equal ranges of the key space."""
    plan = plan_passages(corpus.parts, run.config.corpus, run.scratch("passages"))
    return distinct_passages(run, plan, corpus.passages)


def distinct_passages(run: Run, plan: PassagesPlan, passages: int) -> PassagesResult:
    """Run the job that a plan describes; the corpus has so many `passages`, equal ones counted."""
    records: list[PassagesRecord] = run.job("passages", DistinctPassages(plan), plan.tasks(), PassagesRecord)
    parts, start, texts = [], 0, sum(record.rows for record in records)
    for record in sorted(records, key=lambda record: record.part):
        # An empty corpus has one empty part: the later stages need the dimension of its vectors, of which there are none.
        if record.rows or (record.part == 0 and not texts):
            parts.append((start, record.passages))
            start += record.rows
    characters = sum(record.characters for record in records)
    return PassagesResult(parts, start, {"passages": passages, "distinct_texts": start, "characters": characters})
