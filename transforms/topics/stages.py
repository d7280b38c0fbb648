"""The one step that needs the whole graph: layout and clusters, on files."""

from dataclasses import dataclass

import pyarrow as pa

from transforms.files import FileRef, read_table, write_table
from transforms.neighbors import read_neighbors
from transforms.topics.cluster import assign_noise, cluster
from transforms.topics.graph import graph_arrays
from transforms.topics.options import TopicsOptions
from transforms.topics.reduce import lay_out
from transforms.topics.tables import LABELS_SCHEMA


@dataclass(frozen=True)
class FindTopicsTask:
    """All passages parts and all neighbour parts, each in order; `path` is the labels file to write."""

    passages: tuple[FileRef, ...]
    neighbors: tuple[FileRef, ...]
    path: str


@dataclass(frozen=True)
class FoundTopics:
    """The labels file with its counts: distinct texts, topics, and texts that are noise."""

    labels: FileRef
    distinct_texts: int
    topics: int
    noise_texts: int


def find_topics(task: FindTopicsTask, options: TopicsOptions) -> FoundTopics:
    """Lay out and cluster the neighbour graph; writes one row of LABELS_SCHEMA per distinct text. Reads no text, no vector."""
    columns = ["id", "content_key", "n_documents"]
    empty = pa.schema([LABELS_SCHEMA.field(name) for name in columns]).empty_table()
    texts = pa.concat_tables([empty, *(read_table(ref.path, columns).cast(empty.schema) for ref in task.passages)])
    neighbors, cosines = graph_arrays((read_neighbors(ref.path) for ref in task.neighbors), texts["id"].to_numpy())
    documents = texts["n_documents"].to_numpy()

    layouts = lay_out(neighbors, cosines, options)
    clusters = cluster(layouts.coordinates, options, documents)
    noise = clusters.topic_id < 0
    found = {
        "id": texts["id"],
        "content_key": texts["content_key"],
        "topic_id": clusters.topic_id,
        "assigned_topic_id": assign_noise(clusters.topic_id, neighbors, cosines),
        "strength": clusters.strength,
        "x": layouts.xy[:, 0],
        "y": layouts.xy[:, 1],
        "n_documents": texts["n_documents"],
    }
    ref = write_table(task.path, pa.table(found, schema=LABELS_SCHEMA))
    return FoundTopics(ref, len(noise), clusters.topics, int(noise.sum()))
