"""Topics by metadata: the commonest values of each counted column, and documents by month."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.files import filesystem_of, join, read_table
from transforms.reports.documents import excerpt
from transforms.reports.redaction import safe_text

# Values of a column that are shown of a topic, characters of each, and bars of a topic's months.
_VALUES, _CHARACTERS, _BARS = 3, 60, 120
# Dates such as 9999-12-31, which say that there is none, or 1970-01-01 would make all others one bar. So the first and the last
# hundredth of the documents are left out of the bars' range where that makes bars so many times finer.
_ENDS, _FINER = 0.01, 4


@dataclass(frozen=True)
class Value:
    """A value, None for documents without one, with its share of the topic and how much more that is than of the corpus."""

    text: str | None
    share: float
    lift: float


@dataclass(frozen=True)
class TopicMetadata:
    """The commonest values of a topic by column, most documents first, and its documents in each span of months."""

    topic_id: int
    values: Mapping[str, tuple[Value, ...]]
    bars: tuple[int, ...]


@dataclass(frozen=True)
class Months:
    """Which months bars are of: each of `per_bar`, from `first` to `last`. The first bar has all since `earliest` too, the last
    all up to `latest`.
    """

    first: str
    last: str
    per_bar: int
    earliest: str
    latest: str


@dataclass(frozen=True)
class Metadata:
    """What is counted of all topics; `months` where there are dates."""

    columns: tuple[str, ...] = ()
    date_column: str | None = None
    months: Months | None = None
    topics: tuple[TopicMetadata, ...] = ()


def read_metadata(folder: str) -> Metadata:
    """What `topics/tables.parquet` of the generation in `folder` says of its topics; nothing where there is none."""
    path = join(folder, "topics/tables.parquet")
    fs, inner = filesystem_of(path)
    if not fs.exists(inner):
        return Metadata()
    names = ["kind", "topic_id", "column", "unit", "value", "documents", "share", "lift"]
    table = read_table(path, names)
    table = table.filter(pc.equal(table["kind"], "topic"))
    of_values = table.filter(pc.equal(table["unit"], "value"))
    of_months = table.filter(pc.equal(table["unit"], "month"))
    values: dict[int, dict[str, list[Value]]] = {}
    columns: dict[str, None] = {}
    for row in _first_of_each(of_values).to_pylist():
        columns.setdefault(row["column"])
        text = None if row["value"] is None else safe_text(excerpt(row["value"], _CHARACTERS))
        if row["documents"]:
            found = values.setdefault(row["topic_id"], {}).setdefault(row["column"], [])
            found.append(Value(text, row["share"], row["lift"]))
    date_column = of_months["column"][0].as_py() if of_months.num_rows else None
    months, bars = _bars(of_months.filter(of_months["value"].is_valid()))
    topics = tuple(
        TopicMetadata(topic, {name: tuple(some) for name, some in values.get(topic, {}).items()}, bars.get(topic, ()))
        for topic in sorted(set(table["topic_id"].to_pylist()) - {-1})
    )
    return Metadata(tuple(columns), date_column, months, topics)


def _first_of_each(rows: pa.Table) -> pa.Table:
    """The first rows of each topic and column, which are together: those with most documents."""
    if not rows.num_rows:
        return rows
    topic = rows["topic_id"].to_numpy()
    column = rows["column"].combine_chunks().dictionary_encode().indices.to_numpy()
    new = np.concatenate([[True], (topic[1:] != topic[:-1]) | (column[1:] != column[:-1])])
    starts = np.flatnonzero(new)
    rank = np.arange(len(topic)) - starts[np.cumsum(new) - 1]
    return rows.filter(pa.array(rank < _VALUES))


def _bars(rows: pa.Table) -> tuple[Months | None, dict[int, tuple[int, ...]]]:
    """Which months bars are of, and the documents of each topic by bar."""
    if not rows.num_rows:
        return None, {}
    month = np.array(rows["value"].to_pylist(), "datetime64[M]").astype(np.int64)
    topic, documents = (rows[name].to_numpy() for name in ("topic_id", "documents"))
    earliest, latest = int(month.min()), int(month.max())
    low, high = _most(month, documents)
    if _per_bar(earliest, latest) < _FINER * _per_bar(low, high):
        low, high = earliest, latest
    per_bar = _per_bar(low, high)
    counts = np.zeros((int(topic.max()) + 2, -(-(high - low + 1) // per_bar)), np.int64)
    np.add.at(counts, (topic + 1, (np.clip(month, low, high) - low) // per_bar), documents)
    bars = {topic: tuple(counts[topic + 1].tolist()) for topic in range(len(counts) - 1)}
    first, last, since, until = np.datetime_as_string(np.array([low, high, earliest, latest], "datetime64[M]")).tolist()
    return Months(first, last, per_bar, since, until), bars


def _most(month: np.ndarray, documents: np.ndarray) -> tuple[int, int]:
    """The first and last month of the documents without the first and the last hundredth of them."""
    order = np.argsort(month, kind="stable")
    total = np.cumsum(documents[order])
    low, high = month[order][np.searchsorted(total, np.array([_ENDS, 1 - _ENDS]) * total[-1])].tolist()
    return low, high


def _per_bar(low: int, high: int) -> int:
    return -(-(high - low + 1) // _BARS)
