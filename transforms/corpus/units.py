"""Units of reading: what one worker reads in one go, as a small descriptor."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# A unit is about a 64th of the corpus, so that tens of workers have something to do, and the number of sorted runs that
# every part is merged from stays near 64; between these bounds, so that a small corpus is not scattered and a worker's
# unit stays a few minutes of work.
UNITS_WANTED = 64
UNIT_BYTES_MIN = 4 << 20
UNIT_BYTES_MAX = 512 << 20
UNIT_SLICES = 256


@dataclass(frozen=True, order=True)
class Slice:
    """A piece of one file: a whole file, or the row groups `start … stop` of a Parquet file.

    `name` is the file relative to the fixed part of its input (text), or the module's dotted name (python). `first_row` is
    the file's row index of the first row. `size` is in bytes, uncompressed where the format says so. `stop` None means up
    to the end.
    """

    path: str
    name: str
    size: int
    start: int = 0
    stop: int | None = None
    first_row: int = 0


@dataclass(frozen=True, order=True)
class SourceUnit:
    """Slices of one format (parquet, jsonl, text, python) that are read together; `number` names the unit's outputs."""

    number: int
    format: str
    slices: tuple[Slice, ...]


def pack(by_format: Iterable[tuple[str, list[Slice]]]) -> list[SourceUnit]:
    """Pack neighbouring slices of a format into units of bounded bytes and number of slices."""
    groups = [(name, slices) for name, slices in by_format if slices]
    total = sum(piece.size for _, slices in groups for piece in slices)
    unit_bytes = min(max(total // UNITS_WANTED, UNIT_BYTES_MIN), UNIT_BYTES_MAX)
    packed = [(name, pieces) for name, slices in groups for pieces in _runs(slices, unit_bytes)]
    return [SourceUnit(number, name, pieces) for number, (name, pieces) in enumerate(packed)]


def _runs(slices: list[Slice], unit_bytes: int) -> Iterator[tuple[Slice, ...]]:
    pending: list[Slice] = []
    size = 0
    for piece in slices:
        if pending and (size + piece.size > unit_bytes or len(pending) >= UNIT_SLICES):
            yield tuple(pending)
            pending, size = [], 0
        pending.append(piece)
        size += piece.size
    if pending:
        yield tuple(pending)
