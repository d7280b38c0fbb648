"""Parquet input: split by row groups, read in batches of rows."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from transforms.corpus.errors import InputError
from transforms.corpus.metadata import store_typed
from transforms.corpus.options import CorpusOptions
from transforms.corpus.rows import BATCH_BYTES, BATCH_ROWS, RowBatch
from transforms.corpus.units import UNIT_BYTES_MIN, Slice
from transforms.files import filesystem_of


def plan(files: list[Slice], options: CorpusOptions) -> list[Slice]:
    """Split files at row groups into slices of at least UNIT_BYTES_MIN (of the columns that are read), or one per file.

    Reads the footers. Raises InputError for missing or unusable columns, and for a file that is not Parquet unless
    `unreadable_files` is "quarantine".
    """
    slices: list[Slice] = []
    for file in files:
        try:
            with _open(file.path) as parquet:
                _check_columns(file.path, parquet.schema_arrow, options)
                slices += _split(file, parquet, options)
        except InputError:
            raise
        except (pa.ArrowException, OSError) as error:
            if options.unreadable_files == "fail":
                raise InputError(
                    f"input file {file.path!r} cannot be read as Parquet ({str(error).splitlines()[0]}): restore it, "
                    "remove it, or set unreadable_files to quarantine"
                ) from error
            slices.append(file)
    return slices


def read(piece: Slice, options: CorpusOptions) -> Iterator[RowBatch]:
    """The rows of a slice in batches. Raises pyarrow's errors when the file is damaged."""
    columns = _columns(options)
    with _open(piece.path) as parquet:
        _check_columns(piece.path, parquet.schema_arrow, options)
        stop = parquet.num_row_groups if piece.stop is None else piece.stop
        row = piece.first_row
        groups = range(piece.start, stop)
        rows = sum(parquet.metadata.row_group(group).num_rows for group in groups)
        # Long texts come in fewer rows: a batch of BATCH_ROWS megabytes would fill a worker.
        size = max(1, min(BATCH_ROWS, BATCH_BYTES * rows // max(piece.size, 1)))
        for batch in parquet.iter_batches(size, row_groups=groups, columns=columns):
            yield RowBatch(
                source=pa.repeat(pa.scalar(piece.path), batch.num_rows),
                row=pa.array(range(row, row + batch.num_rows), pa.int64()),
                doc_id=_plain(batch.column(options.id_column)),
                text=_plain(batch.column(options.text_column)),
                metadata=dict(store_typed(name, batch.column(name)) for name in options.metadata_columns),
            )
            row += batch.num_rows


@contextmanager
def _open(path: str) -> Iterator[pq.ParquetFile]:
    fs, inner = filesystem_of(path)
    with fs.open(inner, "rb") as file, pq.ParquetFile(file, page_checksum_verification=True) as parquet:
        yield parquet


def _columns(options: CorpusOptions) -> list[str]:
    return list(dict.fromkeys([options.id_column, options.text_column, *options.metadata_columns]))


def _plain(array: pa.Array) -> pa.Array:
    return array.dictionary_decode() if pt.is_dictionary(array.type) else array


def _check_columns(path: str, schema: pa.Schema, options: CorpusOptions) -> None:
    for role, name in [
        ("id_column", options.id_column),
        ("text_column", options.text_column),
        *[("metadata_columns", name) for name in options.metadata_columns],
    ]:
        if schema.names.count(name) != 1:
            problem = "no column" if name not in schema.names else "more than one column"
            raise InputError(
                f"input file {path!r} has {problem} {name!r}: set {role} to one of {', '.join(map(repr, schema.names[:50]))}"
            )
    texts = [field.name for field in schema if _is_text(field.type)]
    text_type, id_type = schema.field(options.text_column).type, schema.field(options.id_column).type
    if not (_is_text(text_type) or pt.is_null(text_type)):
        raise InputError(
            f"input file {path!r}: text_column {options.text_column!r} is {text_type}, not text; columns with text: "
            f"{', '.join(map(repr, texts)) or 'none'}"
        )
    if not (_is_text(id_type) or pt.is_integer(id_type) or pt.is_null(id_type)):
        raise InputError(
            f"input file {path!r}: id_column {options.id_column!r} is {id_type}; ids are strings or integers: choose or "
            "cast one"
        )


def _is_text(kind: pa.DataType) -> bool:
    if pt.is_dictionary(kind):
        kind = kind.value_type
    return (
        pt.is_string(kind)
        or pt.is_large_string(kind)
        or pt.is_string_view(kind)
        or pt.is_binary(kind)
        or pt.is_large_binary(kind)
        or pt.is_binary_view(kind)
    )


def _split(file: Slice, parquet: pq.ParquetFile, options: CorpusOptions) -> Iterator[Slice]:
    metadata = parquet.metadata
    wanted = set(_columns(options))
    start, first_row, row, size = 0, 0, 0, 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        chunks = [group.column(i) for i in range(group.num_columns)]
        size += sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.split(".")[0] in wanted)
        row += group.num_rows
        if size >= UNIT_BYTES_MIN or number + 1 == metadata.num_row_groups:
            yield Slice(file.path, file.name, size, start, number + 1, first_row)
            start, first_row, size = number + 1, row, 0
