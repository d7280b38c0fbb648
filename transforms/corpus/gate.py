"""Whether a corpus that was read may be published."""

from collections import Counter
from collections.abc import Iterable

from transforms.corpus.errors import InputError, QuarantineLimitError
from transforms.corpus.options import CorpusOptions
from transforms.corpus.records import DocumentsRecord, UnitRecord


def check_readable(units: Iterable[UnitRecord], options: CorpusOptions) -> None:
    """Raise InputError when a file could not be read and `unreadable_files` is "fail"."""
    found = [pair for unit in units for pair in unit.unreadable]
    if found and options.unreadable_files == "fail":
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise InputError(
            f"input file {found[0][0]!r} cannot be read: {found[0][1]}{more}; restore it, remove it, or set unreadable_files "
            "to quarantine"
        )


def quarantine_reasons(units: Iterable[UnitRecord], documents: Iterable[DocumentsRecord]) -> dict[str, int]:
    """How many rows went to quarantine for each reason, most frequent first."""
    counts: Counter[str] = Counter()
    for unit in units:
        counts.update(dict(unit.reasons))
    for record in documents:
        counts.update({"duplicate_id": record.duplicate_ids, "model_failed": record.model_failed})
    return {reason: count for reason, count in counts.most_common() if count}


def check_quarantine(units: Iterable[UnitRecord], documents: Iterable[DocumentsRecord], options: CorpusOptions) -> None:
    """Raise QuarantineLimitError when more than `max_quarantine_fraction` of the rows went to quarantine."""
    units = list(units)
    reasons = quarantine_reasons(units, documents)
    read, bad = sum(unit.rows_read for unit in units), sum(reasons.values())
    if bad > options.max_quarantine_fraction * read:
        named = ", ".join(f"{reason} {count}" for reason, count in list(reasons.items())[:5])
        raise QuarantineLimitError(
            f"{bad} of {read} rows ({bad / read:.1%}) went to quarantine ({named}), more than max_quarantine_fraction "
            f"{options.max_quarantine_fraction:g}: repair the input or raise the limit"
        )
