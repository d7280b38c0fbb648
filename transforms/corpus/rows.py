"""Rows on their way from a reader to validation: one at a time, then in bounded Arrow batches."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

from transforms.corpus.metadata import CELLS, to_json

# Rows and bytes of text that a reader holds at once. Arrow work costs about a millisecond per batch, and a batch of
# texts must stay far below the 2 GiB that Arrow's 32-bit string offsets can address.
BATCH_ROWS = 1024
BATCH_BYTES = 16 << 20

# One line or one text file above this is not a document but a mistake; it must not be able to exhaust a worker.
MAX_TEXT_BYTES = 64 << 20


class Row(NamedTuple):
    """One row as it was found: a candidate (`reason` None), or a row that cannot be used and why."""

    source: str
    row: int | None  # row index of a Parquet file (from 0), line number (from 1); None stands for the whole file
    doc_id: str | None
    text: str | bytes | None
    metadata: tuple[Any, ...] = ()  # JSON values in the order of the metadata columns
    reason: str | None = None
    detail: str | None = None


@dataclass
class RowBatch:
    """Candidates as equally long Arrow arrays, of any type, plus rows that a reader already refused.

    `metadata` maps the stored column name (`metadata.py`) to its array.
    """

    source: pa.Array
    row: pa.Array
    doc_id: pa.Array
    text: pa.Array
    metadata: dict[str, pa.Array] = field(default_factory=dict)
    refused: list[Row] = field(default_factory=list)


def batch_rows(rows: Iterable[Row], metadata_columns: list[str]) -> Iterator[RowBatch]:
    """Group rows into batches of at most BATCH_ROWS rows and about BATCH_BYTES bytes of text."""
    pending: list[Row] = []
    size = 0
    for row in rows:
        pending.append(row)
        size += len(row.text or "")
        if len(pending) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield _batch(pending, metadata_columns)
            pending, size = [], 0
    if pending:
        yield _batch(pending, metadata_columns)


def _batch(rows: list[Row], metadata_columns: list[str]) -> RowBatch:
    good = [row for row in rows if row.reason is None]
    return RowBatch(
        source=pa.array([row.source for row in good], pa.string()),
        row=pa.array([row.row for row in good], pa.int64()),
        doc_id=pa.array([_utf8(row.doc_id) for row in good], pa.binary()),
        text=pa.array([_utf8(row.text) for row in good], pa.binary()),
        metadata={
            f"{CELLS}:{name}": pa.array([_cell(row.metadata[i]) for row in good], pa.string())
            for i, name in enumerate(metadata_columns)
        },
        refused=[row for row in rows if row.reason is not None],
    )


def _utf8(value: str | bytes | None) -> bytes | None:
    """UTF-8 in which lone surrogates survive (as bytes that are not UTF-8), so that validation can name them."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value


def _cell(value: object) -> str | None:
    return None if value is None else to_json(value)
