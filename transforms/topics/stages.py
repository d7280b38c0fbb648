"""The room's work on files: each function reads the files that its task names and writes one new file."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.files import FileRef, join, open_parquet, read_table, write_batches, write_table
from transforms.topics.cluster import Clusters, assign_noise, cluster, cluster_tree
from transforms.topics.describe import c_tf_idf, choose_terms
from transforms.topics.exact_tree import mutual_reachability_tree
from transforms.topics.graph import CorpusGraph
from transforms.topics.identity import topic_uid
from transforms.topics.kmeans import kmeans
from transforms.topics.landmarks import follow_landmarks, landmark_graph
from transforms.topics.numbering import numbered_by_size
from transforms.topics.options import TopicsOptions
from transforms.topics.reduce import lay_out, lay_out_map
from transforms.topics.representatives import representatives
from transforms.topics.tables import ASSIGNMENTS_SCHEMA, LABELS_SCHEMA, TOPICS_SCHEMA, themes_of_layers
from transforms.topics.terms import count_terms_of_each, merge_counts
from transforms.vectors import VectorBlock, gather_rows


@dataclass(frozen=True)
class FindTopicsTask:
    """All passages parts, neighbour parts and vector blocks, each in order; `path` is the labels file to write."""

    passages: tuple[FileRef, ...]
    neighbors: tuple[FileRef, ...]
    path: str
    blocks: tuple[VectorBlock, ...] = ()


@dataclass(frozen=True)
class FoundTopics:
    """The labels file with its counts: distinct texts, topics, and texts that are noise."""

    labels: FileRef
    distinct_texts: int
    topics: int
    noise_texts: int


@dataclass(frozen=True)
class CountTermsTask:
    """One passages part; its counts are written to `directory` under the part's number."""

    part: int
    passages: FileRef
    labels: FileRef
    directory: str


@dataclass(frozen=True)
class CountedTerms:
    """The counts files of one part: of topics, and of the themes of each layer."""

    part: int
    counts: FileRef
    layers: tuple[FileRef, ...] = ()


@dataclass(frozen=True)
class DescribeTopicsTask:
    """The labels and, all in order, counts files, passages parts, documents parts and vector blocks.

    `path` is the topics file to write.
    """

    labels: FileRef
    counts: tuple[FileRef, ...]
    passages: tuple[FileRef, ...]
    documents: tuple[FileRef, ...]
    blocks: tuple[VectorBlock, ...]
    path: str


@dataclass(frozen=True)
class DescribedTopics:
    """The published topics file."""

    topics: FileRef


@dataclass(frozen=True)
class AssignTopicsTask:
    """All documents parts in order, the labels and the topics; `path` is the assignments file to write."""

    documents: tuple[FileRef, ...]
    labels: FileRef
    topics: FileRef
    path: str


@dataclass(frozen=True)
class AssignedTopics:
    """The published assignments file, with how many documents have no passage in a topic or even near one."""

    assignments: FileRef
    noise_documents: int
    unassigned_documents: int


def find_topics(task: FindTopicsTask, options: TopicsOptions) -> FoundTopics:
    """Find topics in the whole corpus, without themes; writes one row of LABELS_SCHEMA per distinct text. Reads no text."""
    corpus = CorpusGraph(task.passages, task.neighbors)
    texts, (neighbors, cosines) = corpus.texts, corpus.arrays()
    clusters, xy = _whole_corpus(neighbors, cosines, task.blocks, options, texts["n_documents"].to_numpy())
    noise = clusters.topic_id < 0
    assigned, score = assign_noise(clusters.topic_id, neighbors, cosines)
    n = len(noise)
    found = {
        "id": texts["id"],
        "content_key": texts["content_key"],
        "theme_id": pa.nulls(n, pa.int32()),
        "layer_theme_ids": pa.array([[]] * n, pa.list_(pa.int32())),
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
    if n > options.landmarks:
        # Positions are in the order of content keys, which are hashes.
        chosen = gather_rows(blocks, np.arange(options.landmarks))
        k = max(neighbors.shape[1], options.n_neighbors)
        found, _ = _hdbscan(*landmark_graph(chosen, k), lambda: chosen, options, documents[: options.landmarks])
        followed = follow_landmarks(found, neighbors, cosines)
        topic_id = numbered_by_size(followed.topic_id, documents)
        return Clusters(topic_id, followed.strength), lay_out_map(neighbors, cosines, options)
    return _hdbscan(neighbors, cosines, lambda: gather_rows(blocks, np.arange(n)), options, documents)


def _hdbscan(
    neighbors: np.ndarray,
    cosines: np.ndarray,
    vectors: Callable[[], np.ndarray],
    options: TopicsOptions,
    documents: np.ndarray,
) -> tuple[Clusters, np.ndarray]:
    if options.reduce == "umap":
        layouts = lay_out(neighbors, cosines, options)
        return cluster(layouts.coordinates, options, documents), layouts.xy
    tree = mutual_reachability_tree(neighbors, cosines, options.min_samples, vectors())
    return cluster_tree(tree, options, documents), lay_out_map(neighbors, cosines, options)


def count_part(task: CountTermsTask, options: TopicsOptions) -> CountedTerms:
    """Count the terms of one part's texts per topic. Each distinct text counts once: a mail-merge must not name a topic."""
    texts = read_table(task.passages.path, ["id", "text"])
    ids = texts["id"].to_numpy()
    low, high = (int(ids[0]), int(ids[-1]) + 1) if len(ids) else (0, 0)
    columns = ["id", "topic_id", "layer_theme_ids"]
    labels = read_table(task.labels.path, columns, key="id", low=low, high=high)
    if not np.array_equal(labels["id"].to_numpy(), ids):
        raise ValueError(f"{task.labels.path} does not label the texts of {task.passages.path}")
    layers = themes_of_layers(labels["layer_theme_ids"], len(options.layers))
    topics, *themes = count_terms_of_each(
        texts["text"].to_pylist(), [labels["topic_id"].to_numpy(), *layers], options.ngram_max
    )
    name = join(task.directory, f"counts-{task.part:05d}")
    of_layers = tuple(write_table(f"{name}-layer-{layer}.parquet", counts) for layer, counts in enumerate(themes))
    return CountedTerms(task.part, write_table(f"{name}.parquet", topics), of_layers)


def describe_topics(task: DescribeTopicsTask, options: TopicsOptions) -> DescribedTopics:
    """Name every topic: uid, sizes, terms, title, representative documents, place on the map. One row of TOPICS_SCHEMA each."""
    labels = read_table(task.labels.path)
    topic_id, assigned = labels["topic_id"].to_numpy(), labels["assigned_topic_id"].to_numpy()
    keys = labels["content_key"]
    topics = int(topic_id.max(initial=-1)) + 1
    terms = choose_terms(c_tf_idf(merge_counts(read_table(ref.path) for ref in task.counts)), topics, options.n_terms)
    doc_ids, passage_nos = first_passages(task.passages)
    examples = representatives(
        topic_id,
        labels["strength"].to_numpy(),
        topics,
        [block.vectors() for block in task.blocks],
        options.n_representatives,
        doc_ids.dictionary_encode().indices.to_numpy(),
    )
    documents, assigned_documents = documents_of_topics(task.documents, keys.combine_chunks(), (topic_id, assigned), topics)
    order = np.argsort(topic_id, kind="stable")
    bounds = np.searchsorted(topic_id[order], np.arange(topics + 1))
    x, y = labels["x"].to_numpy(), labels["y"].to_numpy()
    rows = []
    for topic, chosen in enumerate(examples):
        members = order[bounds[topic] : bounds[topic + 1]]
        rows.append(
            {
                "topic_id": topic,
                "topic_uid": topic_uid(keys.take(members).to_pylist()),
                "theme_id": labels["theme_id"][int(members[0])].as_py(),
                "documents": int(documents[topic]),
                "assigned_documents": int(assigned_documents[topic]),
                "title": terms[topic].title(f"topic {topic}"),
                "terms": terms[topic].terms,
                "term_weights": terms[topic].weights,
                "representative_doc_ids": doc_ids.take(pa.array(chosen, pa.int64())).to_pylist(),
                "representative_passage_nos": passage_nos.take(pa.array(chosen, pa.int64())).to_pylist(),
                "x": float(np.median(x[members])),
                "y": float(np.median(y[members])),
            }
        )
    return DescribedTopics(write_table(task.path, pa.Table.from_pylist(rows, schema=TOPICS_SCHEMA)))


def assign_topics(task: AssignTopicsTask) -> AssignedTopics:
    """Give every passage its text's topic, joined by content key: ASSIGNMENTS_SCHEMA in the order of the documents."""
    labels = read_table(task.labels.path, [name for name in LABELS_SCHEMA.names if name != "n_documents"])
    keys = labels["content_key"].combine_chunks()
    uids = read_table(task.topics.path, ["topic_uid"])["topic_uid"].combine_chunks()
    noise, unassigned = _WithoutTopic(), _WithoutTopic()

    def assignments() -> Iterator[pa.Table]:
        for ref in task.documents:
            with open_parquet(ref.path) as parquet:
                for batch in parquet.iter_batches(columns=["doc_id", "passage_no", "content_key"]):
                    at = pc.index_in(batch["content_key"], keys)
                    if at.null_count:
                        doc_id = batch["doc_id"].filter(at.is_null())[0]
                        raise ValueError(f"the text of document {doc_id} in {ref.path} has no label in {task.labels.path}")
                    label = labels.take(at)
                    assigned = label["assigned_topic_id"]
                    named = pc.if_else(pc.less(assigned, 0), pa.scalar(None, pa.int32()), assigned)
                    first = batch["passage_no"].to_numpy() == 0
                    noise.add(first, label["topic_id"].to_numpy() >= 0)
                    unassigned.add(first, assigned.to_numpy() >= 0)
                    label = label.append_column("doc_id", batch["doc_id"]).append_column("passage_no", batch["passage_no"])
                    label = label.append_column("topic_uid", uids.take(named.combine_chunks()))
                    yield label.select(ASSIGNMENTS_SCHEMA.names)

    ref = write_batches(task.path, ASSIGNMENTS_SCHEMA, assignments())
    return AssignedTopics(ref, noise.documents, unassigned.documents)


class _WithoutTopic:
    """Counts the documents none of whose passages is in a topic, from batches of passages in the order of the documents."""

    def __init__(self) -> None:
        self.documents = 0
        self._last = True  # whether a passage of the last document was in a topic

    def add(self, first: np.ndarray, in_topic: np.ndarray) -> None:
        """`first` bool (rows,): the first passage of a document; `in_topic` bool (rows,)."""
        document = np.cumsum(first)  # 0 goes on with the last document of the batch before
        found = np.bincount(document, in_topic) > 0
        if self._last:
            found[0] = True
        elif found[0]:
            self.documents -= 1  # counted when its passages before were seen
        self.documents += int(np.count_nonzero(~found[1:]))
        self._last = bool(found[-1])


def first_passages(passages: tuple[FileRef, ...]) -> tuple[pa.Array, pa.Array]:
    """Document and passage number of every text's first passage, in position order."""
    empty = pa.table({"doc_id": pa.array([], pa.string()), "passage_no": pa.array([], pa.int32())})
    table = pa.concat_tables([empty, *(read_table(ref.path, empty.column_names) for ref in passages)])
    return table["doc_id"].combine_chunks(), table["passage_no"].combine_chunks()


def documents_of_topics(
    parts: tuple[FileRef, ...], keys: pa.Array, labels: Sequence[np.ndarray], topics: int
) -> list[np.ndarray]:
    """For each labelling of the texts with these keys (n,) the documents with a passage in each topic: int64 (topics,)."""
    counts = [np.zeros(topics, np.int64) for _ in labels]
    for ref in parts:
        table = read_table(ref.path, ["content_key", "passage_no"]).combine_chunks()
        if not table.num_rows:
            continue
        at = pc.index_in(table["content_key"].combine_chunks(), keys).to_numpy()
        document = np.cumsum(table["passage_no"].to_numpy() == 0)
        for count, label in zip(counts, labels, strict=True):
            rows = np.flatnonzero(label[at] >= 0)
            in_topic = np.unique(document[rows] * max(topics, 1) + label[at[rows]])
            count += np.bincount(in_topic % max(topics, 1), minlength=topics)
    return counts
