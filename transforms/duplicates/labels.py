"""Labelled pairs: two texts, or two documents of the corpus, and whether they say the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.corpus import InputError, is_visible, read_table_file
from transforms.files import redact

_TEXTS = (
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
)
# The first are those of `pairs.parquet`, which has the columns of passages too.
_DOCUMENTS = (("doc_id_a", "doc_id_b"), ("doc_id1", "doc_id2"), ("id1", "id2"))
_PASSAGES = ("passage_no_a", "passage_no_b")
_LABELS = ("label", "is_duplicate", "is_paraphrase", "duplicate")
_SCORES = ("score", "similarity", "similarity_score")

_TEXT_COLUMNS = [name for pair in (*_TEXTS, *_DOCUMENTS) for name in pair]

# A passage by its document and number; the number is None where the labels do not have one.
Passage = tuple[str, int | None]


@dataclass(frozen=True)
class LabelledPairs:
    """Pairs that somebody has judged: `a` and `b` are texts, or passages where `named`; `labels` bool (pairs,), or where people
    gave grades how alike both are: float64 (pairs,).

    `left_out` counts the rows that say nothing, by reason.
    """

    a: tuple[Any, ...]
    b: tuple[Any, ...]
    labels: np.ndarray
    named: bool
    left_out: dict[str, int]

    def only(self, kept: np.ndarray, reason: str) -> "LabelledPairs":
        """The pairs where `kept` bool (pairs,) is true; the others are left out for a reason."""
        places, gone = np.flatnonzero(kept).tolist(), int(np.count_nonzero(~kept))
        a, b = (tuple(side[i] for i in places) for side in (self.a, self.b))
        left_out = self.left_out | ({reason: gone} if gone else {})
        return LabelledPairs(a, b, self.labels[kept], self.named, left_out)


def read_labels(path: str) -> LabelledPairs:
    """Read labelled pairs from a Parquet, JSON Lines or CSV file.

    Raises InputError, naming what is accepted, for columns and labels that cannot be understood.
    """
    table = _read(path)
    label = _one_of([(name,) for name in _LABELS], table, path, "label: 1 for pairs that say the same, 0 for others")[0]
    labels = _labels(table[label], label, path)
    return _pairs(table, path, labels == 1, labels >= 0, "without a label")


def read_scores(path: str) -> LabelledPairs:
    """Read pairs with a grade, on any scale, of how alike they are, as `read_labels` does. Raises InputError likewise."""
    table = _read(path)
    name = _one_of([(name,) for name in _SCORES], table, path, "score: a number, larger for texts that are more alike")[0]
    scores = _numbers(table[name])
    if scores is None:
        raise InputError(f"labels {redact(path)!r}: column {name!r} is {table[name].type}, not numbers: convert it")
    return _pairs(table, path, scores, np.isfinite(scores), "without a score")


def has_scores(path: str) -> bool:
    """Whether a file of pairs has grades, and no labels: which of `read_scores` and `read_labels` can read it."""
    columns = set(_read(path).column_names)
    return not columns & set(_LABELS) and bool(columns & set(_SCORES))


def _pairs(table: pa.Table, path: str, labels: np.ndarray, judged: np.ndarray, reason: str) -> LabelledPairs:
    """The pairs of a table; those that are not `judged` are left out for a `reason`, others without a text or document."""
    named = not any(set(names) <= set(table.column_names) for names in _TEXTS)
    pair = _one_of(_DOCUMENTS if named else _TEXTS, table, path, "two texts, or two documents", _TEXTS)
    columns: list[list[Any]] = [_strings(table[name], name, path) for name in pair]
    if named and set(_PASSAGES) <= set(table.column_names):
        columns = [
            list(zip(column, table[name].to_pylist(), strict=True)) for column, name in zip(columns, _PASSAGES, strict=True)
        ]
    elif named:
        columns = [[(doc_id, None) for doc_id in column] for column in columns]
    everything = LabelledPairs(tuple(columns[0]), tuple(columns[1]), labels, named, {})
    pairs = everything.only(judged, reason)
    if named:
        return pairs.only(
            np.array([a[0] is not None and b[0] is not None for a, b in _both(pairs)], bool), "without a document"
        )
    visible = [_visible(side) for side in (pairs.a, pairs.b)]
    return pairs.only(visible[0] & visible[1], "without a text")


def _both(pairs: LabelledPairs) -> zip:
    return zip(pairs.a, pairs.b, strict=True)


def _read(path: str) -> pa.Table:
    return read_table_file(path, "labels", _TEXT_COLUMNS)


def _one_of(
    choices: Sequence[tuple[str, ...]], table: pa.Table, path: str, what: str, others: Sequence[tuple[str, ...]] = ()
) -> tuple[str, ...]:
    """The first choice all of whose columns are there."""
    for names in choices:
        if set(names) <= set(table.column_names):
            return names
    accepted = ", ".join(" and ".join(names) for names in dict.fromkeys((*others, *choices)))
    found = ", ".join(map(repr, table.column_names[:50]))
    raise InputError(
        f"labels {redact(path)!r} have no column for {what}; accepted: {accepted}; found: {found}: rename the columns"
    )


def _strings(column: pa.ChunkedArray, name: str, path: str) -> list[str | None]:
    try:
        return column.cast(pa.string()).to_pylist()
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(
            f"labels {redact(path)!r}: column {name!r} is {column.type}, not text or numbers: convert it"
        ) from error


def _labels(column: pa.ChunkedArray, name: str, path: str) -> np.ndarray:
    """0 and 1, and -1 where there is no label: int8 (rows,)."""
    numbers = _numbers(column)
    if numbers is not None:
        missing = np.isnan(numbers)
        values = np.where(missing, -1.0, numbers)
        if (np.isin(values, (0.0, 1.0)) | missing).all():
            return values.astype(np.int8)
    values = column.to_pylist()
    row = next((i for i, value in enumerate(values) if value not in (None, 0, 1) and value == value), 0)
    raise InputError(
        f"labels {redact(path)!r}: row {row} has {name} {values[row]!r}; a label is 1 (the same) or 0 (not), or nothing "
        "for a pair that nobody has judged: convert graded scores with a limit of your choice, or measure them as they are "
        "with `corpusbeam evaluate --pairs` in a column called score"
    )


def _numbers(column: pa.ChunkedArray) -> np.ndarray | None:
    """The column as float64 (rows,); NaN, as libraries without nulls write it, where nothing is; None for other types."""
    try:
        return pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy()
    except pa.ArrowException:
        return None


def _visible(texts: Sequence[str | None]) -> np.ndarray:
    found = is_visible(pa.array(texts, pa.string()))
    return pc.fill_null(found, False).to_numpy(zero_copy_only=False)
