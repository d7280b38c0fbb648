"""Topics of the whole corpus at once, without themes, on files: the step of one worker that needs the whole graph."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.files import FileRef, write_table
from transforms.topics.cluster import Clusters, assign_noise, cluster
from transforms.topics.clustering import Clustering
from transforms.topics.counting import Labelling
from transforms.topics.divide import divider
from transforms.topics.equal import equal_texts
from transforms.topics.graph import CorpusGraph
from transforms.topics.kmeans import kmeans
from transforms.topics.numbering import numbered_by_size
from transforms.topics.options import TopicsOptions
from transforms.topics.reduce import lay_out, lay_out_map
from transforms.topics.tables import LABELS_SCHEMA
from transforms.vectors import VectorBlock, gather_rows


@dataclass(frozen=True)
class FindTopicsTask:
    """All passages parts, neighbour parts and vector blocks, each in order; `path` is the labels file to write.

    `before` is what the parent generation said of each text, BEFORE_SCHEMA; nothing where there is no parent.
    """

    passages: tuple[FileRef, ...]
    neighbors: tuple[FileRef, ...]
    path: str
    blocks: tuple[VectorBlock, ...] = ()
    before: tuple[FileRef, ...] = ()


@dataclass(frozen=True)
class FoundTopics:
    """The labels file with its counts: distinct texts, topics, and texts that are noise.

    Where there are themes, `layers` has each layer of them as labels too, `theme_of_topic` is int32 (topics,) as .npy, and
    `clustering` says since when all of them are found; the topics of so many themes were found now.
    """

    labels: FileRef
    distinct_texts: int
    topics: int
    noise_texts: int
    layers: tuple[Labelling, ...] = ()
    theme_of_topic: FileRef | None = None
    clustering: Clustering | None = None
    themes_found: int = 0

    @property
    def labellings(self) -> tuple[Labelling, ...]:
        """Everything that gives a text a number and has terms, examples and sizes to be found: topics, then layers."""
        return (Labelling(self.labels, self.topics), *self.layers)


def find_topics(task: FindTopicsTask, options: TopicsOptions) -> FoundTopics:
    """Find topics in the whole corpus, without themes; writes one row of LABELS_SCHEMA per distinct text. Reads no text."""
    corpus = CorpusGraph(task.passages, task.neighbors)
    texts, (neighbors, cosines) = corpus.texts, corpus.arrays()
    clusters, xy = _whole_corpus(neighbors, cosines, task.blocks, options, texts["n_documents"].to_numpy())
    noise = clusters.topic_id < 0
    assigned, score = assign_noise(clusters.topic_id, neighbors, cosines)
    found = {
        "id": texts["id"],
        "content_key": texts["content_key"],
        "layer_theme_ids": pa.array([[]] * len(noise), pa.list_(pa.int32())),
        "topic_id": clusters.topic_id,
        "assigned_topic_id": assigned,
        "assigned_score": score,
        "strength": clusters.strength,
        "x": xy[:, 0],
        "y": xy[:, 1],
        "n_documents": texts["n_documents"],
    }
    ref = write_table(task.path, pa.table(found, schema=LABELS_SCHEMA))
    return FoundTopics(ref, len(noise), clusters.topics, int(noise.sum()))


def _whole_corpus(
    neighbors: np.ndarray, cosines: np.ndarray, blocks: Sequence[VectorBlock], options: TopicsOptions, documents: np.ndarray
) -> tuple[Clusters, np.ndarray]:
    """Topics and the map of all texts."""
    n = len(neighbors)
    if options.method == "kmeans":
        return kmeans(blocks, options, documents), lay_out_map(neighbors, cosines, options)
    if options.reduce == "umap" and n <= options.landmarks:
        layouts = lay_out(neighbors, cosines, options)  # the map begins where the layout to cluster in ends
        return cluster(layouts.coordinates, options, documents, equal_texts(neighbors, cosines)), layouts.xy
    # Positions are in the order of content keys, which are hashes.
    chosen = gather_rows(blocks, np.arange(min(n, options.landmarks)))
    found = divider(neighbors, cosines, options, chosen)(options)
    return Clusters(numbered_by_size(found.topic_id, documents), found.strength), lay_out_map(neighbors, cosines, options)
