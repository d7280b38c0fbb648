"""What the points of the map can be coloured by: a label for each, from a metadata column or from what has changed."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from transforms.corpus import dates_of
from transforms.files import FileRef, is_whole, open_parquet
from transforms.reports.documents import excerpt
from transforms.reports.formats import number
from transforms.reports.redaction import safe_text

# Labels of a column: one less than there are colours, so that one is left for the values without a label of their own.
MOST = 11
# Parts of equally many points that numbers and dates are cut into.
_STEPS = 8
# Up to here every whole number is a float64.
_EXACT = 2**53
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ].*)?")
CHANGES = ("unchanged", "new", "changed")


@dataclass(frozen=True)
class Colouring:
    """`place` int16 (points,) in `labels`, -1 for a point that has none; `ordered` labels go from low to high.

    With `others` the last label stands for all values that have no label of their own.
    """

    name: str
    labels: tuple[str, ...]
    place: np.ndarray
    ordered: bool = False
    others: bool = False


def colour_by(name: str, values: pa.Array) -> Colouring | None:
    """A colouring by a column (points,) of any type; None where it has no value, or hardly one twice.

    Numbers, timestamps and strings that are all ISO 8601 dates are cut into eight parts of about equally many points when they
    have more than eleven values. Of other values the most frequent have labels, ties in the order of the values.
    """
    known = values.drop_null()
    if not len(known):
        return None
    amounts = _amounts(values, known)
    if amounts is None:
        return _frequent(name, values)
    shown, at = amounts
    there = np.isfinite(at)
    if not there.any():
        return None
    distinct = np.unique(at[there])
    if len(distinct) <= MOST:
        labels = tuple(shown(value) for value in distinct.tolist())
        return Colouring(name, labels, np.where(there, np.searchsorted(distinct, at), -1).astype(np.int16), ordered=True)
    edges = np.unique(np.quantile(at[there], np.arange(1, _STEPS) / _STEPS, method="lower"))
    step = np.where(there, np.searchsorted(edges, at, side="left"), -1)
    used, place = np.unique(step[there], return_inverse=True)
    full = np.full(len(at), -1, np.int16)
    full[there] = place.ravel()
    spans = [(at[step == own].min(), at[step == own].max()) for own in used.tolist()]
    texts = [(shown(float(low)), shown(float(high))) for low, high in spans]
    return Colouring(name, tuple(low if low == high else f"{low} – {high}" for low, high in texts), full, ordered=True)


def colour_by_change(
    passages: Sequence[tuple[str, int]], keys: Sequence[bytes | None], parent: Sequence[FileRef]
) -> Colouring | None:
    """What became of each passage since the parent generation, whose documents parts are given; None where there is none.

    Changed is a text that a document of the same id did not have. Parts that are not what was published say nothing: None.
    """
    if not parent or not passages or not all(is_whole(file) for file in parent):
        return None
    had = _keys_of(parent, {doc_id for doc_id, _ in passages})
    place = [
        1 if doc_id not in had else 0 if key in had[doc_id] else 2 for (doc_id, _), key in zip(passages, keys, strict=True)
    ]
    return Colouring("Change", CHANGES, np.array(place, np.int16))


def _keys_of(parts: Sequence[FileRef], doc_ids: Collection[str]) -> dict[str, set[bytes]]:
    wanted = pa.array(sorted(doc_ids), pa.string())
    found: dict[str, set[bytes]] = {}
    for part in parts:
        with open_parquet(part.path) as parquet:
            for batch in parquet.iter_batches(columns=["doc_id", "content_key"]):
                rows = batch.filter(pc.is_in(batch["doc_id"], value_set=wanted))
                for doc_id, key in zip(rows["doc_id"].to_pylist(), rows["content_key"].to_pylist(), strict=True):
                    found.setdefault(doc_id, set()).add(key)
    return found


def _frequent(name: str, values: pa.Array) -> Colouring | None:
    texts = pa.array([None if value is None else str(value) for value in values.to_pylist()], pa.string())
    counts = {row["values"]: row["counts"] for row in pc.value_counts(texts.drop_null()).to_pylist()}
    order = sorted(counts, key=lambda value: (-counts[value], value))
    if len(order) > MOST and counts[order[0]] == 1:
        return None
    top = order[:MOST]
    place = {value: i for i, value in enumerate(top)}
    rest = len(order) - len(top)
    labels = [excerpt(safe_text(value), 60) or "blank" for value in top] + ([f"{number(rest)} other values"] if rest else [])
    at = [-1 if value is None else place.get(value, len(top)) for value in texts.to_pylist()]
    return Colouring(name, tuple(labels), np.array(at, np.int16), others=rest > 0)


def _amounts(values: pa.Array, known: pa.Array) -> tuple[Callable[[float], str], np.ndarray] | None:
    """The values as float64 (points,), NaN for none, and how one is written; None where they are neither numbers nor dates."""
    if pt.is_integer(values.type):
        # Years are not written 2,024; what a float64 cannot tell apart is a code, no amount.
        if max(abs(value) for value in pc.min_max(known).as_py().values()) > _EXACT:
            return None
        return _whole, values.cast(pa.float64()).fill_null(float("nan")).to_numpy(zero_copy_only=False)
    if pt.is_floating(values.type):
        return _amount, values.cast(pa.float64(), safe=False).fill_null(float("nan")).to_numpy(zero_copy_only=False)
    if pt.is_timestamp(values.type):
        moments = values.cast(pa.timestamp("us", values.type.tz), safe=False)
    elif pt.is_string(values.type) and all(_DATE.fullmatch(value) for value in known.to_pylist()):
        # In UTC, as in topics/tables.parquet.
        moments = dates_of(values).cast(pa.timestamp("us"))
        if moments.null_count > values.null_count:  # such as a thirteenth month
            return None
    else:
        return None
    return _day, _days(moments.to_numpy(zero_copy_only=False))


def _days(moments: np.ndarray) -> np.ndarray:
    """Days since 1970, float64, NaN for NaT."""
    days = moments.astype("datetime64[D]")
    return np.where(np.isnat(days), np.nan, days.astype(np.int64).astype(np.float64))


def _day(value: float) -> str:
    return str(np.datetime64(int(value), "D"))


def _whole(value: float) -> str:
    return str(int(value))


def _amount(value: float) -> str:
    return f"{int(value):,}" if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"
