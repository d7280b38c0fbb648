"""The changes stage: what became of every published document, before anything expensive is done."""

from dataclasses import dataclass

from pipelines.corpus import CorpusResult
from pipelines.stage import Run
from transforms.changes import Changes, plan_comparison, total
from transforms.changes.beam import CompareDocuments
from transforms.files import FileRef, join
from transforms.generations import Manifest


@dataclass(frozen=True)
class ChangesResult:
    """What changed since the generation `since` (None: nothing is published yet), and how many input files were unreadable."""

    since: str | None
    changes: Changes
    unreadable: int

    @property
    def counts(self) -> dict[str, int]:
        """The counts by state."""
        return self.changes.as_dict()


def find_changes(run: Run, corpus: CorpusResult, published: Manifest | None, again: str = "") -> ChangesResult:
    """Compare the corpus with the published one, as a stage: one task for each part that has other bytes.

    Raises CorruptFileError when a published part that must be read is not what was published.
    """
    stage = f"changes{again}"
    inputs = [
        None if published is None else [published.generation, published.digest],
        [part.documents.sha256 for part in corpus.parts],
        [file.sha256 for file in corpus.quarantine],
        corpus.unreadable,
    ]
    return run.stage(stage, ChangesResult, inputs, lambda: _compare(run, corpus, published, stage))


def _compare(run: Run, corpus: CorpusResult, published: Manifest | None, stage: str) -> ChangesResult:
    if published is None:
        return ChangesResult(None, Changes(added=corpus.rows), corpus.unreadable)
    known, tasks = plan_comparison(
        [FileRef(join(run.root, file.path), file.size, file.rows, file.sha256) for file in published.under("documents")],
        [part.documents for part in corpus.parts],
        [part.rows for part in corpus.parts],
        corpus.quarantine,
    )
    compared: list[Changes] = run.job(stage, CompareDocuments(), tasks, Changes) if tasks else []
    return ChangesResult(published.generation, total([known, *compared]), corpus.unreadable)
