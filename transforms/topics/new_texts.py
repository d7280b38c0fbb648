"""Themes and topics of documents of later from a published generation, on files; nothing is clustered again.

`assign_texts` compares a tile of the new texts with all published ones; `new_assignments` gives every passage of the new
documents what its text has.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from threadpoolctl import threadpool_limits

from transforms.corpus import IdCollisionError, ids_of
from transforms.duplicates import Side
from transforms.files import FileRef, Progress, join, read_table, write_table
from transforms.neighbors import nearest_others
from transforms.topics.clusters.equal import EQUAL
from transforms.topics.clusters.vote import Labels, vote_for_labels, without_labels
from transforms.topics.options import TopicsOptions
from transforms.topics.tables import NEW_ASSIGNMENTS_SCHEMA, lists_of_layers, themes_of_layers

# Of the published texts this share is farther from all others than the floor says: what is like nothing in the corpus is no
# member of a topic, and a corpus has few texts of which that can be said.
FLOOR_SHARE = 0.01
# What is known of a published text.
_LABELS = {
    "id": pa.int64(),
    "layer_theme_ids": pa.list_(pa.int32()),
    "topic_id": pa.int32(),
    "assigned_topic_id": pa.int32(),
    "assigned_score": pa.float32(),
}

# Work, not published: one row for each new text, before its documents and the topics are named.
_ASSIGNED = pa.schema(
    [
        ("id", pa.int64()),
        ("layer_theme_ids", pa.list_(pa.int32())),
        ("topic_id", pa.int32()),
        ("assigned_topic_id", pa.int32()),
        ("score", pa.float32()),
        ("nearest_doc_id", pa.string()),
        ("nearest_passage_no", pa.int32()),
        ("nearest_cosine", pa.float32()),
        ("known", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class AssignTask:
    """A tile of new texts `a`, all published ones `b` with their `labels` (columns of _LABELS, in the order of their ids).

    There are `layers` layers of themes, and topics are inside those of the layer `layer`, if any. `k` neighbours vote. Texts
    whose nearest has a cosine below `floor` get nothing. `threads` limits the linear algebra of the process for the call.
    """

    part: int
    a: Side
    b: Side
    labels: tuple[FileRef, ...]
    layers: int
    layer: int | None
    k: int
    floor: float
    directory: str
    threads: int | None = None
    progress: str | None = None


@dataclass(frozen=True)
class AssignRecord:
    """What the texts of a tile have got."""

    part: int
    assigned: FileRef


def lonely_cosine(graph: Iterable[str], share: float = FLOOR_SHARE) -> float:
    """The cosine that a `share` of all published texts do not have to any other: a quantile of the first of every list.

    `graph` are paths of the parts of the neighbour graph. -1 where no text has another.
    """
    firsts = [np.empty(0, np.float32)]
    for path in graph:
        cosines = read_table(path, ["cosines"])["cosines"].combine_chunks()
        firsts.append(pc.list_element(cosines.filter(pc.greater(pc.list_value_length(cosines), 0)), 0).to_numpy())
    cosines = np.concatenate(firsts)
    return float(np.quantile(cosines, share, method="lower")) if len(cosines) else -1.0


def assign_texts(task: AssignTask, options: TopicsOptions) -> AssignRecord:
    """Give every text of the tile the themes and topics that its nearest published texts vote for: see `vote_for_labels`.

    A text that is published, or whose vector is equal to a published one's, has what was published of that text.
    Memory: the tile, some vectors of the others at a time, and the labels of all.
    """
    ids, queries = task.a.whole()
    known_ids, labels = _labels(task)
    own = _places(ids, known_ids)
    _check_same(ids[own >= 0], task)
    with threadpool_limits(task.threads):
        nearest = nearest_others(ids, queries, task.b.chunks(), min(task.k, len(known_ids)))
    neighbors, cosines = _places(nearest.ids, known_ids), np.where(nearest.ids >= 0, nearest.cosines, 0)
    # A text that is published itself is the nearest.
    best, cosine = own.copy(), np.ones(len(ids), np.float32)
    if neighbors.shape[1]:
        best[own < 0], cosine[own < 0] = neighbors[own < 0, 0], cosines[own < 0, 0]
    equal = (best >= 0) & (cosine >= EQUAL)
    found = vote_for_labels(labels, neighbors, cosines, task.layer)
    found = without_labels(found, (best < 0) | (cosine < task.floor)).replaced(equal, labels.rows(best[equal]))
    columns = {
        "id": pa.array(ids),
        "layer_theme_ids": lists_of_layers(found.themes),
        "topic_id": pa.array(found.topic_id),
        "assigned_topic_id": pa.array(found.assigned_topic_id),
        "score": pa.array(found.score),
        "nearest_cosine": pa.array(cosine, mask=best < 0),
        "known": pa.array(own >= 0),
        **_named(best, known_ids, task.b),
    }
    table = pa.table([columns[name] for name in _ASSIGNED.names], schema=_ASSIGNED)
    progress = Progress(task.progress)
    progress.add(len(ids))
    progress.flush()
    return AssignRecord(task.part, write_table(join(task.directory, f"assigned-{task.part:05d}.parquet"), table))


def new_assignments(
    records: Sequence[AssignRecord],
    documents: Sequence[FileRef],
    topics: pa.Table,
    themes: pa.Table | None,
    layer: int | None,
) -> pa.Table:
    """Rows of NEW_ASSIGNMENTS_SCHEMA: every passage of the new `documents` with what its text has got, and the names of that.

    `topics` and `themes` are the published tables; `layer` is the layer of `theme_id`. Memory: the passages.
    """
    names = ["content_key", "doc_id", "passage_no"]
    passages = pa.concat_tables(read_table(part.path, names) for part in documents).combine_chunks()
    assigned = pa.concat_tables(read_table(record.assigned.path) for record in records).sort_by("id").combine_chunks()
    at = _places(ids_of(passages["content_key"].combine_chunks()), assigned["id"].to_numpy())
    if (at < 0).any():
        doc_id = passages["doc_id"][int(np.argmin(at))]
        raise ValueError(f"the text of document {doc_id} was given no topic: its parts are of different runs")
    rows = assigned.take(pa.array(at))
    columns = {name: passages[name] for name in ("doc_id", "passage_no")} | {name: rows[name] for name in rows.column_names}
    theme_id = pa.nulls(len(at), pa.int32())
    if layer is not None and themes is not None:
        theme_id = pc.list_element(rows["layer_theme_ids"].combine_chunks(), layer)
        themes = themes.filter(pc.equal(themes["layer"], layer))
    columns["theme_id"] = theme_id
    columns["theme_uid"], columns["theme_title"] = _names(theme_id, themes, "theme_id", "theme_uid")
    assigned_id = rows["assigned_topic_id"].combine_chunks()
    assigned_id = pc.if_else(pc.less(assigned_id, 0), pa.scalar(None, pa.int32()), assigned_id)
    columns["topic_uid"], columns["topic_title"] = _names(assigned_id, topics, "topic_id", "topic_uid")
    schema = NEW_ASSIGNMENTS_SCHEMA
    table = pa.table([columns[name] for name in schema.names], schema=schema)
    return table.sort_by([("doc_id", "ascending"), ("passage_no", "ascending")])


def _labels(task: AssignTask) -> tuple[np.ndarray, Labels]:
    """Ids int64 (n,), ascending, and labels of all published texts."""
    empty = pa.table({name: pa.array([], kind) for name, kind in _LABELS.items()})
    parts = (read_table(file.path, list(_LABELS)) for file in task.labels)
    table = pa.concat_tables([empty, *parts]).combine_chunks()
    topic, assigned, score = (table[name].to_numpy() for name in ("topic_id", "assigned_topic_id", "assigned_score"))
    themes = np.full((table.num_rows, 0), -1, np.int32)
    if task.layers:
        themes = themes_of_layers(table["layer_theme_ids"].combine_chunks(), task.layers)
    return table["id"].to_numpy(), Labels(themes, topic, assigned, score)


def _places(ids: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Where ids of any shape are in `known` (n,), ascending: int64, -1 for those that are not there."""
    if not len(known):
        return np.full(ids.shape, -1, np.int64)
    at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    return np.where(known[at] == ids, at, -1)


def _check_same(ids: np.ndarray, task: AssignTask) -> None:
    """Raise IdCollisionError when a new text and a published one with its id are different texts."""
    new, published = (side.passages_of(ids, ["content_key", "doc_id"]) for side in (task.a, task.b))
    for row in np.flatnonzero(pc.not_equal(new["content_key"], published["content_key"]).to_numpy()).tolist():
        raise IdCollisionError(
            f"the texts of the new document {new['doc_id'][row]} and of the published one {published['doc_id'][row]} are "
            f"different and have the same id {ids[row]}: change one of them"
        )


def _named(best: np.ndarray, known_ids: np.ndarray, published: Side) -> dict[str, pa.Array]:
    """The first passage that is the text at each place of `best` (m,), null for -1."""
    places, row = np.unique(best, return_inverse=True)
    first = int(np.searchsorted(places, 0))
    passages = published.passages_of(known_ids[places[first:]], ["doc_id", "passage_no"])
    rows = pa.array(row.ravel() - first, mask=best < 0)
    return {f"nearest_{name}": passages[name].take(rows) for name in passages.column_names}


def _names(ids: pa.Array, table: pa.Table | None, key: str, uid: str) -> tuple[pa.Array, pa.Array]:
    """Uid and title of each id, which may be null."""
    if table is None or not table.num_rows:
        return pa.nulls(len(ids), pa.string()), pa.nulls(len(ids), pa.string())
    at = pc.index_in(ids, value_set=table[key].combine_chunks(), skip_nulls=True)
    return table[uid].take(at), table["title"].take(at)
