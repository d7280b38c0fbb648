"""Which passage of a group is kept: rules in order of importance, as written in the configuration."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from transforms.corpus import dates_of

# Rules that need nothing but the text and who has it.
_PLAIN = ("most_documents", "longest", "shortest", "first_id")

RULES = "most_documents, longest, shortest, first_id, newest:COLUMN, oldest:COLUMN, column:COLUMN:asc or column:COLUMN:desc"


class KeepError(ValueError):
    """A rule cannot be used with the documents that there are; the message names both."""


@dataclass(frozen=True)
class KeepRule:
    """One rule. `column` is a metadata column of the documents, None for a rule on the text.

    `kind` is the rule's name; with `descending` the largest value of the column is wanted most.
    """

    kind: Literal["most_documents", "longest", "shortest", "first_id", "date", "column"]
    column: str | None = None
    descending: bool = False


def parse_rule(text: str) -> KeepRule:
    """The rule that `text` names, such as `longest`, `newest:updated_at` or `column:priority:desc`.

    Raises ValueError naming the text and the rules that there are.
    """
    if text in _PLAIN:
        return KeepRule(text)  # type: ignore[arg-type]
    kind, _, rest = text.partition(":")
    if kind in ("newest", "oldest") and rest:
        return KeepRule("date", rest, kind == "newest")
    column, _, direction = rest.rpartition(":")
    if kind == "column" and column and direction in ("asc", "desc"):
        return KeepRule("column", column, direction == "desc")
    raise ValueError(f"{text!r} is no rule: write {RULES}")


def columns_of(rules: Sequence[str]) -> list[str]:
    """The metadata columns that some rules need, each once."""
    return list(dict.fromkeys(rule.column for rule in map(parse_rule, rules) if rule.column is not None))


@dataclass(frozen=True)
class Candidates:
    """What rules look at, one value for each passage: how many documents have its text, the text's length in characters,
    and metadata `columns` (their type is that of the published documents).
    """

    documents: np.ndarray
    characters: np.ndarray
    columns: dict[str, pa.Array]


def policy_order(candidates: Candidates, rules: Sequence[str]) -> np.ndarray:
    """Passages from the most to the least wanted, int64 (passages,); where all rules are equal, in the order that they have.

    A passage without a value in a column, or with one that is no date where dates are asked for, comes after those with one,
    whatever the direction. `check_dates` says whether a column holds any.
    """
    keys = [_key(parse_rule(rule), candidates) for rule in rules]
    return np.lexsort((np.arange(len(candidates.documents)), *reversed(keys)))


def _key(rule: KeepRule, candidates: Candidates) -> np.ndarray:
    """Smallest for the most wanted: int64 (passages,)."""
    characters = candidates.characters.astype(np.int64)
    if rule.column is None:
        plain = {
            "most_documents": -candidates.documents.astype(np.int64),
            "longest": -characters,
            "shortest": characters,
            "first_id": np.arange(len(characters)),
        }
        return plain[rule.kind]
    values = candidates.columns[rule.column]
    return _ranks(dates_of(values) if rule.kind == "date" else values, rule.descending)


def check_dates(rules: Sequence[str], columns: Callable[[str], Iterable[pa.ChunkedArray]]) -> None:
    """Raise KeepError for a rule on dates when no value of its column is one; `columns` gives a column's values in parts.

    For all that are read before the expensive part of a run: it stops at the first part that has a date.
    """
    for text in rules:
        rule, example = parse_rule(text), None
        if rule.kind != "date" or rule.column is None:
            continue
        for values in columns(rule.column):
            dates = dates_of(values.combine_chunks())
            if dates.null_count < len(dates):
                break
            if example is None and (known := values.drop_null()):
                example = known[0].as_py()
        else:
            if example is not None:
                raise KeepError(
                    f"duplicates.keep has {text!r}, but no value of the column is a date, such as {example!r}: write dates as "
                    "in 2024-05-31 or 2024-05-31T12:00:00Z, or use column:…:desc to compare the values as they are"
                )


def _ranks(values: pa.Array, descending: bool) -> np.ndarray:
    """Dense ranks, from 0 for the most wanted; nulls and NaN are last."""
    if pt.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
    elif pt.is_boolean(values.type):
        values = values.cast(pa.int8())
    order = "descending" if descending else "ascending"
    return pc.rank(values, order, tiebreaker="dense").to_numpy().astype(np.int64)
