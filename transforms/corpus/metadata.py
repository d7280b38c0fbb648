"""Metadata columns: one type per column, whatever files and formats its values came from.

Each value has a kind: bool, int, float, string, timestamp, timestamp_utc, or json (anything nested). A column of one kind
has that kind's Arrow type; ints and floats together are double; any other mixture is string, each value in a form
that depends on the value alone. So the type of a column, and each value, are functions of the rows and not of how they
are spread over files.

Until all units are read the final kind is unknown, so runs keep the values as they came in a column named
`KIND:NAME` (typed, from Parquet) or `cells:NAME` (one JSON text per value).
"""

import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

CELLS = "cells"

_ARROW_TYPES = {
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "string": pa.string(),
    "timestamp": pa.timestamp("us"),
    "timestamp_utc": pa.timestamp("us", tz="UTC"),
    "json": pa.string(),
}


def arrow_type(kind: str) -> pa.DataType:
    """The Arrow type of a published column of this kind."""
    return _ARROW_TYPES[kind]


def unified_kind(kinds: Iterable[str]) -> str:
    """The kind of a column whose values have these kinds; a column without any value is a string column."""
    found = set(kinds)
    if len(found) == 1:
        return found.pop()
    return "float" if found == {"int", "float"} else "string"


def to_json(value: Any) -> str:
    """Canonical JSON of a value: sorted keys, no spaces; lone surrogates stay escaped; what JSON lacks becomes its str()."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    return _encodable(text)


def store_typed(name: str, array: pa.Array) -> tuple[str, pa.Array]:
    """A typed column as (stored name, array of its kind's Arrow type)."""
    kind, stored = _by_type(array)
    return f"{kind}:{name}", stored


def kinds_in(stored_name: str, column: pa.Array) -> set[str]:
    """The kinds of the values in a stored column; nulls have none."""
    kind = stored_name.split(":", 1)[0]
    if kind != CELLS:
        return {kind} if column.null_count < len(column) else set()
    return {_kind_of(json.loads(cell)) for cell in pc.unique(column).to_pylist() if cell is not None}


def published(column: pa.ChunkedArray, stored_as: str, kind: str) -> pa.ChunkedArray:
    """A stored column (of kind or form `stored_as`) as a column of the published `kind`."""
    target = arrow_type(kind)
    if stored_as == CELLS:
        return pa.chunked_array([pa.array([_of_cell(cell, kind) for cell in column.to_pylist()], target)])
    if stored_as == kind or (stored_as, kind) == ("int", "float"):
        return column.cast(target, safe=False)
    if stored_as in ("string", "json") or column.null_count == len(column):
        return column.cast(target)
    return pa.chunked_array([pa.array([_text_of(value) for value in column.to_pylist()], target)])


def _by_type(array: pa.Array) -> tuple[str, pa.Array]:
    kind_type = array.type
    if pt.is_dictionary(kind_type):
        return _by_type(array.dictionary_decode())
    if isinstance(kind_type, pa.BaseExtensionType):
        return _by_type(array.storage)
    if pt.is_boolean(kind_type):
        return "bool", array
    # uint64 does not fit int64: it is kept exactly, as text, like decimals.
    if pt.is_integer(kind_type) and not pt.is_uint64(kind_type):
        return "int", array.cast(pa.int64())
    if pt.is_floating(kind_type):
        return "float", array.cast(pa.float64())
    if pt.is_timestamp(kind_type) or pt.is_date(kind_type):
        kind = "timestamp_utc" if pt.is_timestamp(kind_type) and kind_type.tz else "timestamp"
        return kind, array.cast(arrow_type(kind), safe=False)
    if pt.is_nested(kind_type):
        return "json", pa.array([None if v is None else to_json(v) for v in array.to_pylist()], pa.string())
    if pt.is_null(kind_type):
        return "string", array.cast(pa.string())
    if _is_bytes(kind_type):
        values = array.cast(pa.large_binary()).to_pylist()
        texts = [None if value is None else value.decode("utf-8", "backslashreplace") for value in values]
        return "string", pa.array(texts, pa.string())
    return "string", pa.array([None if v is None else str(v) for v in array.to_pylist()], pa.string())


def _is_bytes(kind_type: pa.DataType) -> bool:
    return (
        pt.is_string(kind_type)
        or pt.is_large_string(kind_type)
        or pt.is_string_view(kind_type)
        or pt.is_binary(kind_type)
        or pt.is_large_binary(kind_type)
        or pt.is_binary_view(kind_type)
        or pt.is_fixed_size_binary(kind_type)
    )


def _kind_of(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -(1 << 63) <= value < 1 << 63 else "json"
    if isinstance(value, float):
        return "float"
    return "string" if isinstance(value, str) else "json"


def _of_cell(cell: str | None, kind: str) -> Any:
    if cell is None:
        return None
    if kind == "json":
        return cell
    value = json.loads(cell)
    if kind == "string":
        return _encodable(value) if isinstance(value, str) else cell
    return float(value) if kind == "float" else value


def _text_of(value: Any) -> str | None:
    """A typed value in a string column: as JSON writes it, so that 1 is "1" from Parquet and from JSON Lines alike."""
    if value is None:
        return None
    return to_json(value) if isinstance(value, bool | int | float) else value.isoformat()


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
