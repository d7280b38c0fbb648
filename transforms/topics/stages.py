"""Topics of the whole corpus at once, without themes, on files: the step of one worker that needs the whole graph."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.files import FileRef, write_table
from transforms.topics.clusters.cluster import Clusters, assign_noise, cluster
from transforms.topics.clusters.divide import divider
from transforms.topics.clusters.equal import equal_texts
from transforms.topics.clusters.kmeans import kmeans
from transforms.topics.clusters.numbering import numbered_by_size
from transforms.topics.graph import CorpusGraph
from transforms.topics.layout.map import can_continue, lay_out_map, turned
from transforms.topics.layout.reduce import lay_out, reduced
from transforms.topics.lineage.clustering import Clustering
from transforms.topics.lineage.parent import read_before
from transforms.topics.naming.counting import Labelling
from transforms.topics.options import TopicsOptions
from transforms.topics.tables import FOLLOWED, LABELS_SCHEMA
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
    documents, before = texts["n_documents"].to_numpy(), places_before(task.before)
    clusters, xy = _whole_corpus(neighbors, cosines, task.blocks, options, documents, before)
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
        # Without themes all is found in every run.
        **dict.fromkeys(FOLLOWED, np.zeros(len(noise), bool)),
        "x": xy[:, 0],
        "y": xy[:, 1],
        "n_documents": texts["n_documents"],
    }
    ref = write_table(task.path, pa.table(found, schema=LABELS_SCHEMA))
    return FoundTopics(ref, len(noise), clusters.topics, int(noise.sum()))


def places_before(before: Sequence[FileRef]) -> np.ndarray | None:
    """The parent generation's places on the map, float32 (n, 2), NaN for a text that it did not have; None without a parent."""
    if not before:
        return None
    table = read_before(before, ["x", "y"])
    return np.column_stack([table[name].to_numpy() for name in ("x", "y")])


def _whole_corpus(
    neighbors: np.ndarray,
    cosines: np.ndarray,
    blocks: Sequence[VectorBlock],
    options: TopicsOptions,
    documents: np.ndarray,
    before: np.ndarray | None,
) -> tuple[Clusters, np.ndarray]:
    """Topics and the map of all texts."""
    n, k = neighbors.shape
    if options.method == "kmeans":
        return kmeans(blocks, options, documents), lay_out_map(neighbors, cosines, options, before)
    if options.reduce == "umap" and n <= options.landmarks:
        equal = equal_texts(neighbors, cosines)
        if before is not None and can_continue(before, k):
            coordinates, xy = reduced(neighbors, cosines, options), lay_out_map(neighbors, cosines, options, before)
        else:
            layouts = lay_out(neighbors, cosines, options)  # the map begins where the layout to cluster in ends
            coordinates, xy = layouts.coordinates, layouts.xy
            if before is not None and k >= n - 1:
                xy = turned(xy, before)
        return cluster(coordinates, options, documents, equal), xy
    # Positions are in the order of content keys, which are hashes.
    chosen = gather_rows(blocks, np.arange(min(n, options.landmarks)))
    found = divider(neighbors, cosines, options, chosen)(options)
    clusters = Clusters(numbered_by_size(found.topic_id, documents), found.strength)
    return clusters, lay_out_map(neighbors, cosines, options, before)
