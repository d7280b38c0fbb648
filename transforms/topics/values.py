"""Metadata of documents as texts that can be counted: values of a column, and months of its dates."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from transforms.corpus import InputError, dates_of

_MONTHS = np.array(["0001-01", "9999-12"], "datetime64[M]")


@dataclass(frozen=True)
class Counted:
    """What of a metadata column is counted: its values as they are, or the months of its dates."""

    column: str
    unit: Literal["value", "month"]


def texts_of(values: pa.Array, unit: str) -> pa.Array:
    """Values of a published metadata column as strings (n,); null stays null, and so do NaN and, of months, what is no date or
    not, in UTC, of the years 1 to 9999: texts of others would not be in the order of time.

    Numbers, booleans and timestamps are written as Arrow does (`1.5`, `true`, `2024-05-31 12:00:00.000000Z`); a month is one of
    UTC, such as `2024-05`.
    """
    if unit == "month":
        return _months(values)
    if pt.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
    return values.cast(pa.string())


def _months(values: pa.Array) -> pa.Array:
    # A column has few different dates, or they are timestamps, which are quick.
    encoded = values.dictionary_encode()
    moments = dates_of(encoded.dictionary)
    months = moments.fill_null(0).to_numpy().astype("datetime64[us]").astype("datetime64[M]")
    inside = (months >= _MONTHS[0]) & (months <= _MONTHS[1])  # numpy's NaT is not either
    missing = moments.is_null().to_numpy(zero_copy_only=False) | ~inside
    texts = pa.array(np.datetime_as_string(months).astype(object), pa.string(), mask=missing)
    return texts.take(encoded.indices)


def check_values(counted: Sequence[Counted], most: int, columns: Callable[[str], Iterable[pa.ChunkedArray]]) -> None:
    """Raise InputError for a column that cannot be counted; `columns` gives a column's values in parts.

    One with more than `most` different values; of dates, one that has numbers, or no date at all. For all that are read before
    the expensive part of a run: what is held are the values found so far.
    """
    for one in counted:
        found: set[str] = set()
        example = None
        for values in columns(one.column):
            if one.unit == "month" and not (pt.is_timestamp(values.type) or pt.is_string(values.type)):
                raise InputError(
                    f"topics.date_column={one.column!r} has values of type {values.type}, which are no dates: write them as in "
                    "2024-05-31 or 2024-05-31T12:00:00Z"
                )
            found.update(pc.unique(texts_of(values.combine_chunks(), one.unit)).drop_null().to_pylist())
            check_number(one, len(found), most)
            if example is None and (known := values.drop_null()):
                example = known[0].as_py()
        if one.unit == "month" and not found and example is not None:
            raise InputError(
                f"topics.date_column={one.column!r}: no value of the column is a date, such as {example!r}: write dates as in "
                "2024-05-31 or 2024-05-31T12:00:00Z"
            )


def check_number(counted: Counted, number: int, most: int) -> None:
    """Raise InputError when there are more than `most` different values of a column."""
    if number > most:
        key = "topics.tables has the column" if counted.unit == "value" else "topics.date_column is"
        raise InputError(
            f"{key} {counted.column!r}, which has more than {most:,} different {counted.unit}s (topics.table_values): leave it "
            "out, or raise topics.table_values"
        )
