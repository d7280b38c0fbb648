"""The corpus stage: read every input, put bad rows into quarantine, write each document once in canonical order."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.stage import Run
from transforms.corpus import (
    DocumentsRecord,
    QuarantineLimitError,
    UnitRecord,
    check_quarantine,
    check_readable,
    plan_documents,
    plan_units,
    quarantine_reasons,
)
from transforms.corpus.beam import CanonicalDocuments, ReadCorpus
from transforms.files import FileRef, digest_of, join
from transforms.vectors import FailedText


@dataclass(frozen=True)
class CorpusResult:
    """The corpus as it is now: its parts, `rows` documents in `passages`, and what happened to every row that was read."""

    parts: list[DocumentsRecord]
    units: list[UnitRecord]
    rows: int
    passages: int
    counts: dict[str, int]

    @property
    def digest(self) -> str:
        """Digest of all documents: equal for equal corpora."""
        return digest_of([part.documents.sha256 for part in self.parts])

    @property
    def unreadable(self) -> int:
        """How many input files could not be read, or not to their end."""
        return len({path for unit in self.units for path, _ in unit.unreadable})

    @property
    def published(self) -> list[FileRef]:
        """The staged files that belong into the generation."""
        return [*(part.documents for part in self.parts), *self.quarantine]

    @property
    def quarantine(self) -> list[FileRef]:
        """The staged files that hold the rows in quarantine."""
        quarantine = [file for unit in self.units for file in unit.quarantine]
        return quarantine + [part.quarantine for part in self.parts if part.quarantine is not None]


def read_corpus(run: Run) -> CorpusResult:
    """Two jobs: units of input into sorted runs, then runs into parts of the documents.

    Raises InputError for input that cannot be used, QuarantineLimitError when too many rows are bad.
    """
    options = run.config.corpus
    units = plan_units(options)
    read: list[UnitRecord] = run.job("read", ReadCorpus(options, run.scratch("runs"), _quarantine(run)), units, UnitRecord)
    read.sort(key=lambda record: record.number)
    check_readable(read, options)
    return write_corpus(run, read)


def write_corpus(run: Run, read: list[UnitRecord], failed: Sequence[FailedText] = ()) -> CorpusResult:
    """The second job: parts of the documents from what was `read`, without the documents that have one of the `failed` texts.

    Raises QuarantineLimitError when too many rows are bad.
    """
    options, quarantine = run.config.corpus, _quarantine(run)
    errors = [(text.content_key, text.error) for text in failed]
    plan = plan_documents(read, options, join(run.staged, "documents"), quarantine, run.scratch("keys"), run.splitter, errors)
    parts: list[DocumentsRecord] = run.job("documents", CanonicalDocuments(plan), plan.tasks(), DocumentsRecord)
    parts.sort(key=lambda record: record.part)
    try:
        check_quarantine(read, parts, options)
    except QuarantineLimitError as error:
        raise QuarantineLimitError(f"{error}; the rows and their reasons are in {quarantine}") from None
    reasons = quarantine_reasons(read, parts)
    rows = sum(part.rows for part in parts)
    valid, rejected = sum(unit.rows_valid for unit in read), sum(part.duplicate_ids + part.model_failed for part in parts)
    counts = {
        "rows_read": sum(unit.rows_read for unit in read),
        "documents": rows,
        "quarantined": sum(reasons.values()),
        "not_sampled": valid - rows - rejected,
    }
    return CorpusResult(parts, read, rows, sum(part.passages for part in parts), counts)


def _quarantine(run: Run) -> str:
    return join(run.staged, "quarantine")
