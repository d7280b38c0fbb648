"""The topic of every passage of a document: joined part by part, then published as one table."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.corpus import ids_of
from transforms.files import FileRef, file_ref, join, open_parquet, read_table, write_table
from transforms.topics.options import TopicsOptions
from transforms.topics.tables import ASSIGNMENTS_SCHEMA, FOLLOWED, themes_of_layers
from transforms.vectors import save_array

# Labels in memory at a time.
_ROWS = 65_536

# What a passage gets from its text's label. The uid is known once the topics have their names.
_TAKEN = {
    "topic_id": np.int32,
    "assigned_topic_id": np.int32,
    "assigned_score": np.float32,
    "strength": np.float32,
    **dict.fromkeys(FOLLOWED, np.bool_),
    "x": np.float32,
    "y": np.float32,
}
PLACED_SCHEMA = ASSIGNMENTS_SCHEMA.remove(ASSIGNMENTS_SCHEMA.get_field_index("topic_uid"))


@dataclass(frozen=True)
class PlaceTask:
    """Consecutive parts of the documents, the labels, how many topics these have, and how many themes each layer."""

    part: int
    documents: tuple[FileRef, ...]
    labels: FileRef
    topics: int
    directory: str
    themes: tuple[int, ...] = ()


@dataclass(frozen=True)
class PlaceRecord:
    """A file of PLACED_SCHEMA for each part of the documents, and the documents of some topics.

    `documents`: int64 (2, topics) as `.npy`, with a passage in the topic, and with one in it or, of the noise, nearest to it;
    `layers` has the same of each layer's themes, with equal rows, since no text is without a theme. `noise` documents have no
    passage in a topic, `unassigned` ones none even near one.
    """

    part: int
    pieces: tuple[FileRef, ...]
    documents: FileRef
    noise: int
    unassigned: int
    layers: tuple[FileRef, ...] = ()


def place_documents(task: PlaceTask, options: TopicsOptions) -> PlaceRecord:
    """Give every passage of some documents the label of its text. All passages of a document are in one part.

    Memory: the passages of the task without their texts; labels are read some at a time. Raises ValueError for a passage whose
    text has no label.
    """
    columns = ["doc_id", "passage_no", "content_key"]
    tables = [read_table(part.path, columns).combine_chunks() for part in task.documents]
    keys = [pa.chunked_array(table["content_key"].chunks, pa.binary(32)).combine_chunks() for table in tables]
    ids = np.concatenate([np.empty(0, np.int64), *(ids_of(of_part) for of_part in keys)])
    labels, themes, known = _labels_of(task.labels, ids, len(task.themes))
    pieces: list[FileRef] = []
    counts, low = np.zeros((2, task.topics), np.int64), 0
    in_themes = [np.zeros((2, count), np.int64) for count in task.themes]
    noise = unassigned = 0
    for part, table in zip(task.documents, tables, strict=True):
        own = slice(low, low + table.num_rows)
        low = own.stop
        if not known[own].all():
            doc_id = table["doc_id"][int(np.argmin(known[own]))]
            raise ValueError(f"the text of document {doc_id} in {part.path} has no label in {task.labels.path}")
        placed = {name: table[name] for name in ("doc_id", "passage_no")} | {name: labels[name][own] for name in _TAKEN}
        placed |= _theme_columns(themes[own], options)
        path = join(task.directory, f"placed-{task.part:05d}-{len(pieces):05d}.parquet")
        pieces.append(write_table(path, pa.table([placed[name] for name in PLACED_SCHEMA.names], schema=PLACED_SCHEMA)))
        document = np.cumsum(table["passage_no"].to_numpy() == 0) - 1
        counts += [_documents_in(document, labels[name][own], task.topics) for name in ("topic_id", "assigned_topic_id")]
        for layer, in_theme in enumerate(in_themes):
            in_theme += _documents_in(document, themes[own, layer], task.themes[layer])
        noise += _without(document, labels["topic_id"][own])
        unassigned += _without(document, labels["assigned_topic_id"][own])
    path = join(task.directory, f"documents-{task.part:05d}.npy")
    save_array(path, counts)
    of_layers = [join(task.directory, f"documents-{task.part:05d}-layer-{layer}.npy") for layer in range(len(in_themes))]
    for layer_path, in_theme in zip(of_layers, in_themes, strict=True):
        save_array(layer_path, in_theme)
    layers = tuple(file_ref(layer_path) for layer_path in of_layers)
    return PlaceRecord(task.part, tuple(pieces), file_ref(path), noise, unassigned, layers)


def _theme_columns(themes: np.ndarray, options: TopicsOptions) -> dict[str, pa.Array]:
    """Themes int32 (rows, layers) as columns of ASSIGNMENTS_SCHEMA."""
    rows, layers = themes.shape
    borders = pa.array(np.arange(rows + 1, dtype=np.int32) * layers)
    return {
        "theme_id": pa.array(themes[:, options.layer]) if layers else pa.nulls(rows, pa.int32()),
        "layer_theme_ids": pa.ListArray.from_arrays(borders, pa.array(themes.ravel())),
    }


def _labels_of(labels: FileRef, ids: np.ndarray, layers: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """The labels of texts by `ids` (n,) in any order: a column each, themes int32 (n, layers), which have any, bool (n,)."""
    order = np.argsort(ids, kind="stable")
    wanted = ids[order]
    taken: dict[str, np.ndarray] = {name: np.empty(len(ids), dtype) for name, dtype in _TAKEN.items()}
    themes, known = np.empty((len(ids), layers), np.int32), np.zeros(len(ids), bool)
    with open_parquet(labels.path) as parquet:
        for batch in parquet.iter_batches(_ROWS, columns=["id", "layer_theme_ids", *_TAKEN]):
            here = batch["id"].to_numpy()
            low, high = np.searchsorted(wanted, here[0]), np.searchsorted(wanted, here[-1], side="right")
            at = np.searchsorted(here, wanted[low:high])
            found = here[at] == wanted[low:high]
            rows = order[low:high][found]
            known[rows] = True
            for name, values in taken.items():
                values[rows] = batch[name].to_numpy(zero_copy_only=False)[at[found]]
            themes[rows] = themes_of_layers(batch["layer_theme_ids"], layers)[at[found]]
    return taken, themes, known


def _documents_in(document: np.ndarray, topic: np.ndarray, topics: int) -> np.ndarray:
    """How many different documents have a passage in each topic: int64 (topics,)."""
    rows = np.flatnonzero(topic >= 0)
    different = np.unique(document[rows] * max(topics, 1) + topic[rows])
    return np.bincount(different % max(topics, 1), minlength=topics)[:topics]


def _without(document: np.ndarray, topic: np.ndarray) -> int:
    """How many documents, numbered from 0, have no passage in a topic."""
    documents = int(document[-1]) + 1 if len(document) else 0
    return documents - len(np.unique(document[topic >= 0]))


def with_uids(pieces: tuple[FileRef, ...], uids: pa.Array) -> Iterator[pa.Table]:
    """The rows of ASSIGNMENTS_SCHEMA of all pieces in order, one row group in memory at a time."""
    for piece in pieces:
        with open_parquet(piece.path) as parquet:
            for group in range(parquet.num_row_groups):
                table = parquet.read_row_group(group)
                assigned = table["assigned_topic_id"].combine_chunks()
                named = pc.if_else(pc.less(assigned, 0), pa.scalar(None, pa.int32()), assigned)
                yield table.append_column("topic_uid", uids.take(named)).select(ASSIGNMENTS_SCHEMA.names)
