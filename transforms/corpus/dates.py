"""Dates in metadata columns, whatever they are written as."""

import datetime

import pyarrow as pa
import pyarrow.types as pt


def dates_of(values: pa.Array) -> pa.Array:
    """Values as int64 microseconds since 1970, UTC where they name no zone; null for what is no date.

    Timestamps are dates, numbers are taken as they are, strings are read as ISO 8601.
    """
    if pt.is_timestamp(values.type):
        return values.cast(pa.int64())
    if pt.is_integer(values.type) or pt.is_floating(values.type):
        return values
    return pa.array([_microseconds(value) for value in values.to_pylist()], pa.int64())


def _microseconds(value: object) -> int | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)
    return (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(microseconds=1)
