"""The published tables, each one file, from what many tasks have left of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.files import FileRef, join, read_table, write_batches, write_table
from transforms.topics.assigning import PlaceRecord, with_uids
from transforms.topics.lineage.identify import Changed, Flows, as_new, identify
from transforms.topics.lineage.parent import ParentTopics
from transforms.topics.naming.counting import summed
from transforms.topics.naming.identity import theme_uid
from transforms.topics.naming.naming import NameRecord
from transforms.topics.naming.representatives import centroids
from transforms.topics.options import TopicsOptions
from transforms.topics.tables import ASSIGNMENTS_SCHEMA, CENTROIDS_SCHEMA, THEMES_SCHEMA, TOPICS_SCHEMA
from transforms.topics.tabulating import TabulateRecord, published_values
from transforms.topics.values import Counted
from transforms.vectors import load_array


@dataclass(frozen=True)
class PublishTask:
    """All topics and all passages with their labels, each in order, and the folder to publish in.

    Where there are themes: those of each layer, in order, named as topics are, and the theme of each topic. Where there is a
    parent generation: its topics, and the flow of documents from them. Where metadata is counted: what it is, and the sums over
    all documents. `vectors`: sums of the vectors of each topic, then of the themes of each layer, over some texts each.
    """

    named: tuple[NameRecord, ...]
    placed: tuple[PlaceRecord, ...]
    directory: str
    layers: tuple[tuple[NameRecord, ...], ...] = ()
    theme_of_topic: FileRef | None = None
    parent: ParentTopics | None = None
    flows: Flows = ()
    tabulated: tuple[TabulateRecord, ...] = ()
    counted: tuple[Counted, ...] = ()
    vectors: tuple[tuple[FileRef, ...], ...] = ()


@dataclass(frozen=True)
class TopicsRecord:
    """The published tables, with how many documents have no passage in a topic or even near one.

    `changed` is what became of the parent's topics, where there is a parent. `languages` are those whose stop words are left
    out of the terms.
    """

    topics: FileRef
    assignments: FileRef
    noise_documents: int
    unassigned_documents: int
    themes: FileRef | None = None
    changed: Changed | None = None
    tables: FileRef | None = None
    centroids: FileRef | None = None
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class ContinueTask:
    """The parent's topics, of texts that are the same, the flow of all documents to where they were, and where to publish."""

    parent: ParentTopics
    flows: Flows
    directory: str


@dataclass(frozen=True)
class ContinuedRecord:
    """The tables of topics and themes, a generation older, and what became of the parent's: nothing."""

    topics: FileRef
    themes: FileRef | None
    changed: Changed


def publish_topics(task: PublishTask, options: TopicsOptions) -> TopicsRecord:
    """Write all tables. Memory: the topics, the themes, what is counted, and one row group of the assignments."""
    topics, themes, changed, tables = _read(task.named), None, None, None
    if task.theme_of_topic is not None:
        theme_of_topic = load_array(task.theme_of_topic.path)
        at = topics.schema.get_field_index("theme_id")
        topics = topics.set_column(at, topics.schema.field(at), pa.array(theme_of_topic, pa.int32()))
        layers = [_layer(layer, _read(named), theme_of_topic, options) for layer, named in enumerate(task.layers)]
        themes = pa.concat_tables(layers).combine_chunks()
    directions = [centroids(summed(files)) for files in task.vectors]
    if task.parent is not None:
        topics, themes, changed = identify(topics, themes, options.layers, task.parent, task.flows, task.directory, directions)
    else:
        topics = as_new(topics, "topic_uid")
        themes = None if themes is None else as_new(themes, "theme_uid")
    uids = topics["topic_uid"].combine_chunks()
    if task.counted:
        names = [uids, *(_uids(themes, layer) for layer in range(len(task.layers)))]
        values = published_values(task.tabulated, task.counted, names, options)
        tables = write_table(join(task.directory, "tables.parquet"), values)
    pieces = tuple(piece for record in task.placed for piece in record.pieces)
    return TopicsRecord(
        write_table(join(task.directory, "topics.parquet"), topics),
        write_batches(join(task.directory, "assignments.parquet"), ASSIGNMENTS_SCHEMA, with_uids(pieces, uids)),
        sum(record.noise for record in task.placed),
        sum(record.unassigned for record in task.placed),
        None if themes is None else write_table(join(task.directory, "themes.parquet"), themes),
        changed,
        tables,
        write_table(join(task.directory, "centroids.parquet"), _centroids(topics, themes, directions)) if directions else None,
    )


def _centroids(topics: pa.Table, themes: pa.Table | None, directions: Sequence[np.ndarray]) -> pa.Table:
    """CENTROIDS_SCHEMA of topics, then of the themes of each layer."""
    tables = [CENTROIDS_SCHEMA.empty_table()]
    for number, vectors in enumerate(directions):
        kind, layer = ("theme", number - 1) if number else ("topic", None)
        uids = topics["topic_uid"].combine_chunks() if layer is None else _uids(themes, layer)
        rows, dim = vectors.shape
        columns = [
            pa.array([kind] * rows, pa.string()),
            pa.array([layer] * rows, pa.int32()),
            uids,
            pa.ListArray.from_arrays(pa.array(np.arange(rows + 1) * dim, pa.int32()), vectors.ravel()),
        ]
        tables.append(pa.table(columns, schema=CENTROIDS_SCHEMA))
    return pa.concat_tables(tables).combine_chunks()


def _uids(themes: pa.Table | None, layer: int) -> pa.Array:
    """The uids of the themes of one layer, by number."""
    assert themes is not None
    return themes.filter(pc.equal(themes["layer"], layer))["theme_uid"].combine_chunks()


def continue_topics(task: ContinueTask, options: TopicsOptions) -> ContinuedRecord:
    """Publish the parent's topics and themes again, which are those of the same texts. Memory: the topics and the themes."""
    parent = task.parent
    topics = _of_schema(read_table(parent.topics.path), TOPICS_SCHEMA)
    themes = None if parent.themes is None else _of_schema(read_table(parent.themes.path), THEMES_SCHEMA)
    topics, themes, changed = identify(topics, themes, parent.resolutions, parent, task.flows, task.directory)
    return ContinuedRecord(
        write_table(join(task.directory, "topics.parquet"), topics),
        None if themes is None else write_table(join(task.directory, "themes.parquet"), themes),
        changed,
    )


def _of_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A published table as it is written now; a column that an earlier version did not have is null."""
    there = table.column_names
    columns = [table[field.name] if field.name in there else pa.nulls(table.num_rows, field.type) for field in schema]
    return pa.table([column.cast(field.type) for column, field in zip(columns, schema, strict=True)], schema=schema)


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
