"""What the steps of this room hand to the driver: plain values and file references, small enough for JSON."""

from dataclasses import dataclass

from transforms.files import FileRef


@dataclass(frozen=True)
class UnitRecord:
    """One unit was read. `rows_read` = `rows_valid` + the sum of `reasons`.

    `runs` hold the valid rows (of the sample's candidates, when there is a sample), each sorted by doc hash. `kinds` are
    the kinds of values in each metadata column, `unreadable` the files (or rests of files) that could not be read, with
    the error.
    """

    number: int
    runs: tuple[FileRef, ...]
    quarantine: tuple[FileRef, ...]
    rows_read: int
    rows_valid: int
    reasons: tuple[tuple[str, int], ...]
    kinds: tuple[tuple[str, tuple[str, ...]], ...]
    unreadable: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PartTask:
    """Part `part` of `parts` equal ranges of a hash or key space."""

    part: int
    parts: int


@dataclass(frozen=True)
class DocumentsRecord:
    """One part of the documents was written; `keys` is its run for the passages.

    `rows` documents are in `passages` rows. To quarantine went `duplicate_ids` rows and `model_failed` documents.
    """

    part: int
    documents: FileRef
    keys: FileRef
    quarantine: FileRef | None
    rows: int
    passages: int
    duplicate_ids: int
    model_failed: int


@dataclass(frozen=True)
class PassagesRecord:
    """One part of the distinct passages was written: `rows` texts of `characters` together, that `documents` documents have."""

    part: int
    passages: FileRef
    rows: int
    documents: int
    characters: int
