"""The published tables, each one file, from what many tasks have left of them."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.files import FileRef, join, read_table, write_batches, write_table
from transforms.topics.assigning import PlaceRecord, with_uids
from transforms.topics.identity import theme_uid
from transforms.topics.naming import NameRecord
from transforms.topics.options import TopicsOptions
from transforms.topics.tables import ASSIGNMENTS_SCHEMA, THEMES_SCHEMA, TOPICS_SCHEMA
from transforms.topics.tabulating import TabulateRecord, published_values
from transforms.topics.values import Counted
from transforms.vectors import load_array


@dataclass(frozen=True)
class PublishTask:
    """All topics and all passages with their labels, each in order, and the folder to publish in.

    Where there are themes: those of each layer, in order, named as topics are, and the theme of each topic. Where metadata is
    counted: what it is, and the sums over all documents.
    """

    named: tuple[NameRecord, ...]
    placed: tuple[PlaceRecord, ...]
    directory: str
    layers: tuple[tuple[NameRecord, ...], ...] = ()
    theme_of_topic: FileRef | None = None
    tabulated: tuple[TabulateRecord, ...] = ()
    counted: tuple[Counted, ...] = ()


@dataclass(frozen=True)
class TopicsRecord:
    """The published tables, with how many documents have no passage in a topic or even near one.

    `languages` are those whose stop words are left out of the terms.
    """

    topics: FileRef
    assignments: FileRef
    noise_documents: int
    unassigned_documents: int
    themes: FileRef | None = None
    tables: FileRef | None = None
    languages: tuple[str, ...] = ()


def publish_topics(task: PublishTask, options: TopicsOptions) -> TopicsRecord:
    """Write all tables. Memory: the topics, the themes, what is counted, and one row group of the assignments."""
    topics, themes, tables = _read(task.named), None, None
    layers: list[pa.Table] = []
    if task.theme_of_topic is not None:
        theme_of_topic = load_array(task.theme_of_topic.path)
        at = topics.schema.get_field_index("theme_id")
        topics = topics.set_column(at, topics.schema.field(at), pa.array(theme_of_topic, pa.int32()))
        layers = [_layer(layer, _read(named), theme_of_topic, options) for layer, named in enumerate(task.layers)]
        themes = write_table(join(task.directory, "themes.parquet"), pa.concat_tables(layers).combine_chunks())
    uids = topics["topic_uid"].combine_chunks()
    if task.counted:
        names = [uids, *(layer["theme_uid"].combine_chunks() for layer in layers)]
        values = published_values(task.tabulated, task.counted, names, options)
        tables = write_table(join(task.directory, "tables.parquet"), values)
    pieces = tuple(piece for record in task.placed for piece in record.pieces)
    return TopicsRecord(
        write_table(join(task.directory, "topics.parquet"), topics),
        write_batches(join(task.directory, "assignments.parquet"), ASSIGNMENTS_SCHEMA, with_uids(pieces, uids)),
        sum(record.noise for record in task.placed),
        sum(record.unassigned for record in task.placed),
        themes,
        tables,
    )


def _read(named: tuple[NameRecord, ...]) -> pa.Table:
    tables = (read_table(record.topics.path) for record in named)
    return pa.concat_tables([TOPICS_SCHEMA.empty_table(), *tables]).combine_chunks()


def _layer(layer: int, named: pa.Table, theme_of_topic: np.ndarray, options: TopicsOptions) -> pa.Table:
    """The themes of one layer, of which every column that topics have too was found as for topics."""
    rows, resolution = named.num_rows, options.resolutions[layer]
    topics = pa.array(np.bincount(theme_of_topic, minlength=rows).astype(np.int32))
    columns = {name: named[name] for name in named.column_names} | {
        "layer": pa.array(np.full(rows, layer, np.int32)),
        "resolution": pa.array(np.full(rows, resolution, np.float32)),
        "theme_id": named["topic_id"],
        "theme_uid": pa.array([theme_uid(resolution, uid) for uid in named["topic_uid"].to_pylist()], pa.string()),
        "topics": topics if layer == options.layer else pa.nulls(rows, pa.int32()),
    }
    return pa.table([columns[name] for name in THEMES_SCHEMA.names], schema=THEMES_SCHEMA)
