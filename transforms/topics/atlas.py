"""A generation's map as one table that Embedding Atlas (Apple, MIT) opens: places, names, metadata, neighbours.

Its option `--neighbors` takes a column of structs: `ids`, the zero-based rows of the neighbours, and `distances`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.corpus import ids_of
from transforms.files import FileRef, open_parquet, read_table
from transforms.neighbors import read_neighbors

_NEIGHBORS = pa.struct([("ids", pa.list_(pa.int32())), ("distances", pa.list_(pa.float32()))])
_OURS = {
    "doc_id": pa.string(),
    "passage_no": pa.int32(),
    "text": pa.string(),
    "x": pa.float32(),
    "y": pa.float32(),
    "topic": pa.string(),
    "nearest_topic": pa.string(),
    "theme": pa.string(),
    "neighbors": _NEIGHBORS,
}
_NOT_SHOWN = ("content_key",)


def atlas_schema(documents: FileRef) -> pa.Schema:
    """The columns, of which the last are the metadata of the documents part; one that has our name gets another."""
    with open_parquet(documents.path) as parquet:
        fields = list(parquet.schema_arrow)
    text = any(field.name == "text" for field in fields)
    ours = [pa.field(name, kind) for name, kind in _OURS.items() if text or name != "text"]
    metadata = [pa.field(_renamed(field.name), field.type) for field in fields if _is_metadata(field.name)]
    return pa.schema([*ours, *metadata])


def atlas_rows(
    documents: Sequence[FileRef],
    assignments: FileRef,
    topics: FileRef,
    themes: FileRef | None,
    layer: int | None,
    graph: Sequence[FileRef],
) -> Iterator[pa.Table]:
    """A table of `atlas_schema` for each documents part: a row for every passage, in the order of the documents.

    A neighbour is the first passage with that text. Titles that several topics or themes have are followed by their numbers:
    Embedding Atlas takes equal texts for one category. `topic` is null for noise, which has a `nearest_topic`; `distances` are
    1 - cosine. Memory: the graph, 12 bytes for each neighbour, and the assignments without lists.

    Raises ValueError when the assignments are not in the order of the documents.
    """
    columns = ["doc_id", "passage_no", "topic_id", "assigned_topic_id", "x", "y"]
    said = read_table(assignments.path, [*columns, *([] if layer is None else ["theme_id"])]).combine_chunks()
    keys = [read_table(part.path, ["content_key"])["content_key"].combine_chunks() for part in documents]
    ids = np.concatenate([np.empty(0, np.int64), *(ids_of(own) for own in keys)])
    del keys
    known, first = np.unique(ids, return_index=True)
    neighbors, distances = _lists(graph, known, first)
    titles = _told_apart(read_table(topics.path, ["topic_id", "title"]))
    named = None
    if themes is not None and layer is not None:
        named = read_table(themes.path, ["layer", "theme_id", "title"])
        named = _told_apart(named.filter(pc.equal(named["layer"], layer)).select(["theme_id", "title"]))
    low = 0
    for part in documents:
        table = read_table(part.path)
        own = said.slice(low, table.num_rows)
        for name in ("doc_id", "passage_no"):
            if not own[name].equals(table[name]):
                raise ValueError(f"{assignments.path} is not in the order of the documents: column {name} differs")
        row = np.searchsorted(known, ids[low : low + table.num_rows])
        low += table.num_rows
        rows = {name: own[name] for name in ("doc_id", "passage_no", "x", "y")} | {
            "topic": _titles(own["topic_id"], titles, "topic_id"),
            "nearest_topic": _titles(own["assigned_topic_id"], titles, "topic_id"),
            "theme": pa.nulls(own.num_rows, pa.string()) if named is None else _titles(own["theme_id"], named, "theme_id"),
            "neighbors": pa.StructArray.from_arrays(
                [_column(neighbors[row]), _column(distances[row])], fields=list(_NEIGHBORS)
            ),
        }
        shown = [name for name in table.column_names if _is_metadata(name) or name == "text"]
        rows |= {name if name == "text" else _renamed(name): table[name] for name in shown}
        schema = atlas_schema(part)
        yield pa.table([rows[name] for name in schema.names], schema=schema)


def _is_metadata(name: str) -> bool:
    return name not in ("doc_id", "passage_no", "text", *_NOT_SHOWN)


def _renamed(name: str) -> str:
    return f"metadata_{name}" if name in _OURS else name


def _lists(graph: Sequence[FileRef], known: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The neighbours' rows int32 and distances float32, (texts, k), of all texts in the order of their ids."""
    rows, distances = [], []
    for file in graph:
        ids, near, cosines = read_neighbors(file.path)
        if not len(ids):
            continue
        rows.append(first[np.searchsorted(known, near)].astype(np.int32))
        distances.append(np.maximum(1 - cosines, 0).astype(np.float32))
    if not rows:
        return np.empty((len(known), 0), np.int32), np.empty((len(known), 0), np.float32)
    return np.concatenate(rows), np.concatenate(distances)


def _column(values: np.ndarray) -> pa.Array:
    rows, k = values.shape
    return pa.ListArray.from_arrays(pa.array(np.arange(rows + 1, dtype=np.int32) * k), pa.array(values.ravel()))


def _told_apart(numbered: pa.Table) -> pa.Table:
    """A table of numbers and titles with each title once: those that were there twice are followed by their numbers."""
    numbers, titles = (column.to_pylist() for column in numbered.columns)
    times = Counter(titles)
    own = [title if times[title] == 1 else f"{title} ({number})" for number, title in zip(numbers, titles, strict=True)]
    return numbered.set_column(1, "title", pa.array(own, pa.string()))


def _titles(ids: pa.ChunkedArray, table: pa.Table, key: str) -> pa.Array:
    at = pc.index_in(ids.combine_chunks(), value_set=table[key].combine_chunks(), skip_nulls=True)
    return table["title"].take(at)
