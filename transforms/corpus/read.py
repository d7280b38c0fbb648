"""Reading a unit: rows in, sorted runs of valid rows and quarantine out, in bounded memory."""

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from transforms.corpus import jsonl, parquet, python_docs, text
from transforms.corpus.keys import leading_uint64, sample_hashes
from transforms.corpus.lines import READ_ERRORS
from transforms.corpus.metadata import kinds_in
from transforms.corpus.options import CorpusOptions
from transforms.corpus.records import UnitRecord
from transforms.corpus.rows import Row, RowBatch, batch_rows
from transforms.corpus.units import Slice, SourceUnit
from transforms.corpus.validate import validate, without_excerpts
from transforms.files import FileRef, join, write_table

# Rows of a unit are sorted in memory up to this many bytes; more rows make one more run.
RUN_BYTES = 64 << 20

# A part reads only the row groups of a run that its hash range touches; smaller groups waste fewer rows at its borders.
RUN_GROUP_ROWS = 1024


def metadata_names(options: CorpusOptions, unit_format: str) -> list[str]:
    """The metadata columns that a format's rows carry, in order."""
    return list(python_docs.METADATA) if unit_format == "python" else options.metadata_columns


def read_unit(unit: SourceUnit, options: CorpusOptions, directory: str, quarantine: str) -> UnitRecord:
    """Read and validate a unit; runs go to `directory`, quarantined rows to `quarantine`, named by the unit's number.

    A file that cannot be read never raises here: it is in the record, and `check_readable` decides.
    """
    runs = _Spill(join(directory, f"unit-{unit.number:05d}"), lambda table: _sorted_run(table, options.sample))
    rejects = _Spill(
        join(quarantine, f"part-read-{unit.number:05d}"), (lambda table: table) if options.keep_text else without_excerpts
    )
    kinds: dict[str, set[str]] = {name: set() for name in metadata_names(options, unit.format)}
    reasons: Counter[str] = Counter()
    unreadable: list[tuple[str, str]] = []
    valid_rows = 0
    for batch in read_batches(unit, options):
        unreadable += [(row.source, row.detail or "") for row in batch.refused if row.reason == "unreadable_file"]
        valid, rejected = validate(batch)
        valid_rows += valid.num_rows
        reasons.update(rejected["reason"].to_pylist())
        for stored in batch.metadata:
            kinds[stored.split(":", 1)[1]] |= kinds_in(stored, valid[stored].combine_chunks())
        runs.add(valid)
        rejects.add(rejected)
    return UnitRecord(
        number=unit.number,
        runs=runs.close(),
        quarantine=rejects.close(),
        rows_read=valid_rows + reasons.total(),
        rows_valid=valid_rows,
        reasons=tuple(sorted(reasons.items())),
        kinds=tuple((name, tuple(sorted(found))) for name, found in kinds.items()),
        unreadable=tuple(unreadable),
    )


def read_batches(unit: SourceUnit, options: CorpusOptions) -> Iterator[RowBatch]:
    """The rows of a unit in batches. A file that cannot be read is a refused row with the reason `unreadable_file`."""
    if unit.format == "parquet":
        for piece in unit.slices:
            yield from _parquet(piece, options)
    else:
        rows = (row for piece in unit.slices for row in _rows(piece, unit.format, options))
        yield from batch_rows(rows, metadata_names(options, unit.format))


def _parquet(piece: Slice, options: CorpusOptions) -> Iterator[RowBatch]:
    try:
        yield from parquet.read(piece, options)
    except (pa.ArrowException, *READ_ERRORS) as error:
        yield from batch_rows([_unreadable(piece, error)], [])


def _rows(piece: Slice, unit_format: str, options: CorpusOptions) -> Iterator[Row]:
    try:
        if unit_format == "jsonl":
            yield from jsonl.read(piece, options)
        elif unit_format == "text":
            yield from text.read(piece, options)
        else:
            yield from python_docs.read(piece)
    except READ_ERRORS as error:
        yield _unreadable(piece, error)


def _unreadable(piece: Slice, error: BaseException) -> Row:
    return Row(piece.path, None, None, None, (), "unreadable_file", f"{type(error).__name__}: {error}".splitlines()[0])


def _sorted_run(table: pa.Table, sample: int | None) -> pa.Table:
    """Rows by (doc_hash, doc_id, source, row); with a sample, only rows whose sample hash is among its N smallest here."""
    if sample is not None:
        table = table.append_column("sample_hash", sample_hashes(table["doc_id"].to_pylist()))
        hashes = leading_uint64(table["sample_hash"].combine_chunks())
        smallest = np.unique(hashes)[:sample]
        table = table.filter(pa.array(hashes <= smallest[-1]))
    return table.sort_by([(name, "ascending") for name in ("doc_hash", "doc_id", "source", "row")])


class _Spill:
    """Collects tables and writes them as files `PREFIX-NNN.parquet` of bounded size and one schema each."""

    def __init__(self, prefix: str, prepare: Callable[[pa.Table], pa.Table]) -> None:
        self._prefix = prefix
        self._prepare = prepare
        self._tables: list[pa.Table] = []
        self._bytes = 0
        self._files: list[FileRef] = []

    def add(self, table: pa.Table) -> None:
        if not table.num_rows:
            return
        # Files of one unit may store a metadata column differently (metadata.py).
        if self._tables and table.schema != self._tables[0].schema:
            self._flush()
        self._tables.append(table)
        self._bytes += table.nbytes
        if self._bytes >= RUN_BYTES:
            self._flush()

    def close(self) -> tuple[FileRef, ...]:
        self._flush()
        return tuple(self._files)

    def _flush(self) -> None:
        if self._tables:
            path = f"{self._prefix}-{len(self._files):03d}.parquet"
            table = self._prepare(pa.concat_tables(self._tables))
            self._files.append(write_table(path, table, RUN_GROUP_ROWS, durable=False))
        self._tables, self._bytes = [], 0
