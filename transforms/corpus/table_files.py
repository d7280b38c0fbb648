"""Small tables that a user hands over beside the corpus: Parquet, CSV or JSON Lines, read whole."""

import posixpath
from collections.abc import Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from transforms.corpus.errors import InputError
from transforms.files import filesystem_of, redact

_PARQUET, _CSV = (".parquet", ".pq"), (".csv",)
_JSON = (".jsonl", ".ndjson", ".json")


def read_table_file(path: str, what: str, texts: Sequence[str], *, numbers: bool = True) -> pa.Table:
    """A table from a path or fsspec URL; its ending says the format. Columns named in `texts` are text in CSV.

    In JSON Lines they are what is written there, numbers too; without `numbers` they must be text, and one that is not there is
    null. Raises InputError, which calls the file `what`, when it is not there, has another ending or cannot be read.
    """
    name = f"{what} {redact(path)!r}"
    ending = posixpath.splitext(path.lower())[1]
    if ending not in (*_PARQUET, *_CSV, *_JSON):
        known = " ".join((*_PARQUET, *_CSV, *_JSON))
        raise InputError(f"{name} have no known ending ({known}): write them in one of these formats")
    fs, inner = filesystem_of(path)
    try:
        with fs.open(inner, "rb") as file:
            if ending in _PARQUET:
                return pq.read_table(file)
            if ending in _CSV:
                # Ids such as 007 are no numbers; texts may have line breaks.
                convert = pa.csv.ConvertOptions(column_types={column: pa.string() for column in texts})
                return pa.csv.read_csv(
                    file, parse_options=pa.csv.ParseOptions(newlines_in_values=True), convert_options=convert
                )
            if _is_array(file):
                raise InputError(f"{name} are a JSON array: write one object per line, without brackets around them")
            schema = None if numbers else pa.schema([(column, pa.string()) for column in texts])
            return pa.json.read_json(file, parse_options=pa.json.ParseOptions(explicit_schema=schema))
    except FileNotFoundError:
        raise InputError(f"{name} do not exist: give a file of {what}") from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{name} cannot be read: {str(error).splitlines()[0]}") from error


def _is_array(file: BinaryIO) -> bool:
    """Whether JSON begins with a bracket; the file is at its start, as before."""
    start = file.read(4096)
    file.seek(0)
    return start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
