"""Parquet as the interchange format: reproducible bytes, page checksums, described columns."""

import hashlib
import posixpath
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.files.atomic import write_atomically
from transforms.files.barriers import reached
from transforms.files.paths import filesystem_of, fsync_directory, is_local, join, move_file
from transforms.files.refs import FileRef, file_ref

# Small enough that a reader of a few rows skips most of a file by its row-group statistics, large enough that
# 384 float32 per row still make 6 MB of contiguous vectors.
ROW_GROUP_ROWS = 4096


class CorruptFileError(Exception):
    """A file is not what was written: truncated, changed, or not of its format."""


def describe(schema: pa.Schema, descriptions: Mapping[str, str]) -> pa.Schema:
    """Attach a description to the columns named in `descriptions`, kept in the Parquet field metadata.

    Raises KeyError for a described column that the schema lacks.
    """
    for name, text in descriptions.items():
        index = schema.get_field_index(name)
        if index < 0:
            raise KeyError(f"no column {name!r} to describe in {schema.names}")
        schema = schema.set(index, schema.field(index).with_metadata({"description": text}))
    return schema


def write_batches(
    path: str, schema: pa.Schema, tables: Iterable[pa.Table], row_group_rows: int = ROW_GROUP_ROWS, *, durable: bool = True
) -> FileRef:
    """Write tables of one schema as one Parquet file, streaming; returns its reference.

    No dictionary encoding: it makes reading vectors six times slower and its bytes depend on how rows were batched.
    """
    rows = 0

    def write(file: BinaryIO) -> None:
        nonlocal rows
        with pq.ParquetWriter(
            file, schema, compression="zstd", use_dictionary=False, write_page_checksum=True, write_statistics=True
        ) as writer:
            for table in tables:
                rows += table.num_rows
                writer.write_table(table.cast(schema), row_group_size=row_group_rows)

    write_atomically(path, write, durable=durable)
    return file_ref(path, rows)


def write_table(path: str, table: pa.Table, row_group_rows: int = ROW_GROUP_ROWS, *, durable: bool = True) -> FileRef:
    """Write one table as one Parquet file, whole or not at all; returns its reference."""
    return write_batches(path, table.schema, [table], row_group_rows, durable=durable)


def write_named_by_digest(
    directory: str, table: pa.Table, prefix: str = "part", row_group_rows: int = ROW_GROUP_ROWS
) -> FileRef:
    """Write `PREFIX-DIGEST.parquet`: the name is a function of the bytes, so a bundle that runs twice writes it twice alike."""
    temporary = join(directory, f".{uuid.uuid4().hex}.partial")
    ref = write_table(temporary, table, row_group_rows)
    final = join(directory, f"{prefix}-{ref.sha256[:32]}.parquet")
    fs, inner = filesystem_of(temporary)
    try:
        reached("mid_shard")
        move_file(fs, inner, posixpath.join(posixpath.dirname(inner), posixpath.basename(final)))
    except BaseException:
        if fs.exists(inner):
            fs.rm_file(inner)
        raise
    if is_local(directory):
        fsync_directory(posixpath.dirname(inner))
    return FileRef(final, ref.size, ref.rows, ref.sha256)


@contextmanager
def open_parquet(path: str) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file that this project wrote, verifying page checksums.

    Raises CorruptFileError, with the path, when the file or a page read inside the block is not what was written.
    """
    fs, inner = filesystem_of(path)
    try:
        with fs.open(inner, "rb") as file, pq.ParquetFile(file, page_checksum_verification=True) as parquet:
            yield parquet
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise CorruptFileError(f"{path} cannot be read as Parquet ({error}); run `corpusbeam verify`") from error


def read_table(
    path: str,
    columns: list[str] | None = None,
    *,
    key: str | None = None,
    low: object = None,
    high: object = None,
) -> pa.Table:
    """Read a table, or the rows with `low <= key < high` of a table that is sorted by `key`.

    Only row groups whose statistics overlap the range are read. `low` or `high` None leaves that side open.
    """
    with open_parquet(path) as parquet:
        if key is None:
            return parquet.read(columns=columns)
        # Not the field number: a nested field is several columns of a row group.
        index = [parquet.schema.column(i).path for i in range(parquet.metadata.num_columns)].index(key)
        groups = []
        for group in range(parquet.num_row_groups):
            statistics = parquet.metadata.row_group(group).column(index).statistics
            if statistics is not None and statistics.has_min_max:
                if high is not None and statistics.min >= high:
                    continue
                if low is not None and statistics.max < low:
                    continue
            groups.append(group)
        wanted = None if columns is None else [*columns, *([] if key in columns else [key])]
        table = parquet.read_row_groups(groups, columns=wanted)
    column = table[key]
    mask = None
    if low is not None:
        mask = pc.greater_equal(column, pa.scalar(low, column.type))
    if high is not None:
        below = pc.less(column, pa.scalar(high, column.type))
        mask = below if mask is None else pc.and_(mask, below)
    if mask is not None:
        table = table.filter(mask)
    return table if columns is None else table.select(columns)


def table_digest(table: pa.Table) -> str:
    """Hex sha256 of a table's Arrow IPC bytes, independent of how it was chunked."""
    sink = pa.BufferOutputStream()
    combined = table.combine_chunks()
    with pa.ipc.new_stream(sink, combined.schema) as writer:
        writer.write_table(combined)
    return hashlib.sha256(sink.getvalue()).hexdigest()
