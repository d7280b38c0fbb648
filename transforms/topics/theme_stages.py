"""Themes and the topics inside them, on files: layers side by side, then themes side by side, then one table of labels."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from transforms.files import FileRef, file_ref, join, read_table, write_table
from transforms.topics.describe import c_tf_idf, choose_terms
from transforms.topics.graph import CorpusGraph
from transforms.topics.identity import theme_uid
from transforms.topics.numbering import numbered_by_size
from transforms.topics.options import TopicsOptions
from transforms.topics.reduce import lay_out_map
from transforms.topics.representatives import representatives
from transforms.topics.stages import documents_of_topics, first_passages
from transforms.topics.tables import LABELS_SCHEMA, THEMES_SCHEMA, themes_of_layers
from transforms.topics.terms import merge_counts
from transforms.topics.theme_topics import topics_of_theme
from transforms.topics.themes import community_graph, find_themes
from transforms.vectors import VectorBlock, gather_rows, load_array, save_array

# Themes are clustered in bundles of about so many texts: enough to be worth a task, few enough to spread.
_BUNDLE_ROWS = 4096


@dataclass(frozen=True)
class Bundle:
    """Themes of the layer that topics are found in, one after the other, as arrays in .npy files.

    Positions int32 (m,) in the corpus, ascending within each theme; themes int32 (m,), ascending; of every text its
    neighbours int32 (m, K), as rows of the bundle, -1 for one in another theme, and cosines float32 (m, K).
    """

    number: int
    positions: FileRef
    themes: FileRef
    neighbors: FileRef
    cosines: FileRef


@dataclass(frozen=True)
class FindThemesTask:
    """One layer of themes: all passages parts and all neighbour parts, each in order. Files go to `directory`."""

    layer: int
    passages: tuple[FileRef, ...]
    neighbors: tuple[FileRef, ...]
    directory: str


@dataclass(frozen=True)
class FoundThemes:
    """The themes of one layer: int32 (n,) as .npy, how many there are, and bundles of the layer that topics are found in."""

    layer: int
    labels: FileRef
    themes: int
    bundles: tuple[Bundle, ...]


@dataclass(frozen=True)
class ClusterThemesTask:
    """Topics of a bundle of themes, or without a bundle the map of the whole corpus, from its passages and neighbour parts.

    `blocks` are all vector blocks, read where the vectors themselves are clustered. The result goes to `path`.
    """

    path: str
    bundle: Bundle | None = None
    passages: tuple[FileRef, ...] = ()
    neighbors: tuple[FileRef, ...] = ()
    blocks: tuple[VectorBlock, ...] = ()


@dataclass(frozen=True)
class ClusteredThemes:
    """What a task wrote. `number` is the bundle's, -1 is the map: float32 (n, 2) as .npy.

    A bundle's file is a table (_CLUSTERED) with one row per text of the bundle, in its order.
    """

    number: int
    file: FileRef


@dataclass(frozen=True)
class JoinTopicsTask:
    """All layers in order, all bundles' topics in order and the map; `path` is the labels file to write."""

    passages: tuple[FileRef, ...]
    layers: tuple[FoundThemes, ...]
    clustered: tuple[ClusteredThemes, ...]
    xy: FileRef
    path: str


@dataclass(frozen=True)
class JoinedTopics:
    """The labels file with its counts: distinct texts, themes of the layer that topics are in, topics, texts that are noise."""

    labels: FileRef
    distinct_texts: int
    themes: int
    topics: int
    noise_texts: int


@dataclass(frozen=True)
class DescribeThemesTask:
    """The labels and, all in order, counts files of every layer, passages parts, documents parts and vector blocks.

    `path` is the themes file to write.
    """

    labels: FileRef
    counts: tuple[tuple[FileRef, ...], ...]
    passages: tuple[FileRef, ...]
    documents: tuple[FileRef, ...]
    blocks: tuple[VectorBlock, ...]
    path: str


@dataclass(frozen=True)
class DescribedThemes:
    """The published themes file."""

    themes: FileRef


# Topics are numbered within each theme.
_CLUSTERED = pa.schema(
    [
        ("position", pa.int32()),
        ("theme_id", pa.int32()),
        ("topic", pa.int32()),
        ("assigned_topic", pa.int32()),
        ("assigned_score", pa.float32()),
        ("strength", pa.float32()),
    ]
)


def find_layer(task: FindThemesTask, options: TopicsOptions) -> FoundThemes:
    """Find the themes of one layer; of the layer that topics are found in also cut the graph into bundles of themes."""
    corpus = CorpusGraph(task.passages, task.neighbors)
    neighbors, cosines = corpus.arrays()
    documents = corpus.texts["n_documents"].to_numpy()
    themes = find_themes(community_graph(neighbors, cosines), options.resolutions[task.layer], options.seed, documents)
    labels = _save(join(task.directory, f"layer-{task.layer}.npy"), themes)
    found = int(themes.max(initial=-1)) + 1
    bundles = _bundles(themes, neighbors, cosines, task.directory) if task.layer == options.layer else ()
    return FoundThemes(task.layer, labels, found, bundles)


def cluster_themes(task: ClusterThemesTask, options: TopicsOptions) -> ClusteredThemes:
    """Find the topics of every theme of a bundle, or lay out the map."""
    if task.bundle is None:
        xy = lay_out_map(*CorpusGraph(task.passages, task.neighbors).arrays(), options)
        return ClusteredThemes(-1, _save(task.path, xy))
    bundle = task.bundle
    positions, themes = load_array(bundle.positions.path), load_array(bundle.themes.path)
    neighbors, cosines = load_array(bundle.neighbors.path), load_array(bundle.cosines.path)
    tables = [_CLUSTERED.empty_table()]
    for low, high in _spans(themes):
        near = np.asarray(neighbors[low:high])
        vectors = gather_rows(task.blocks, positions[low:high]) if options.reduce == "none" else None
        found = topics_of_theme(np.where(near >= 0, near - low, -1), np.asarray(cosines[low:high]), options, vectors)
        columns = [
            positions[low:high],
            themes[low:high],
            found.topic_id,
            found.assigned_topic_id,
            found.assigned_score,
            found.strength,
        ]
        tables.append(pa.table(columns, schema=_CLUSTERED))
    return ClusteredThemes(bundle.number, write_table(task.path, pa.concat_tables(tables).combine_chunks()))


def join_topics(task: JoinTopicsTask, options: TopicsOptions) -> JoinedTopics:
    """Number the topics of all themes by size and put everything known of a text into one row of LABELS_SCHEMA."""
    texts = CorpusGraph(task.passages, ()).texts
    n = texts.num_rows
    layers = np.stack([load_array(layer.labels.path) for layer in task.layers], axis=1).reshape(n, len(task.layers))
    tables = [_CLUSTERED.empty_table(), *(read_table(part.file.path) for part in task.clustered)]
    rows = pa.concat_tables(tables).sort_by("position")
    if not np.array_equal(rows["position"].to_numpy(), np.arange(n)):
        raise ValueError(f"the bundles of themes have {rows.num_rows} texts, the corpus has {n}: not each once")
    theme = rows["theme_id"].to_numpy().astype(np.int64)
    topic, assigned = rows["topic"].to_numpy(), rows["assigned_topic"].to_numpy()
    # One number per topic of all themes, then numbers by size; every topic has a text of its own.
    width = int(topic.max(initial=-1)) + 1
    topic_id = numbered_by_size(np.where(topic >= 0, theme * width + topic, -1), texts["n_documents"].to_numpy())
    members = np.flatnonzero(topic >= 0)
    number = np.full((int(theme.max(initial=-1)) + 1) * width + 1, -1, np.int32)
    number[theme[members] * width + topic[members]] = topic_id[members]
    xy = load_array(task.xy.path)
    found = {
        "id": texts["id"],
        "content_key": texts["content_key"],
        "theme_id": layers[:, options.layer],
        "layer_theme_ids": pa.FixedSizeListArray.from_arrays(layers.ravel(), layers.shape[1]).cast(pa.list_(pa.int32())),
        "topic_id": topic_id,
        "assigned_topic_id": np.where(assigned >= 0, number[np.where(assigned >= 0, theme * width + assigned, -1)], -1),
        "assigned_score": rows["assigned_score"],
        "strength": rows["strength"],
        "x": xy[:, 0],
        "y": xy[:, 1],
        "n_documents": texts["n_documents"],
    }
    ref = write_table(task.path, pa.table(found, schema=LABELS_SCHEMA))
    topics = int(topic_id.max(initial=-1)) + 1
    return JoinedTopics(ref, n, task.layers[options.layer].themes, topics, int(np.count_nonzero(topic_id < 0)))


def describe_themes(task: DescribeThemesTask, options: TopicsOptions) -> DescribedThemes:
    """Name the themes of every layer as topics are named: one row of THEMES_SCHEMA each, layer by layer."""
    labels = read_table(task.labels.path)
    keys, topic_id = labels["content_key"].combine_chunks(), labels["topic_id"].to_numpy()
    x, y = labels["x"].to_numpy(), labels["y"].to_numpy()
    doc_ids, passage_nos = first_passages(task.passages)
    document = doc_ids.dictionary_encode().indices.to_numpy()
    blocks = [block.vectors() for block in task.blocks]
    equally = np.ones(len(keys), np.float32)
    layers = themes_of_layers(labels["layer_theme_ids"], len(options.layers))
    themes_of = [int(themes.max(initial=-1)) + 1 for themes in layers]
    documents = documents_of_topics(task.documents, keys, layers, max(themes_of, default=0))
    rows = []
    for layer, (themes, count) in enumerate(zip(layers, themes_of, strict=True)):
        terms = choose_terms(c_tf_idf(merge_counts(read_table(ref.path) for ref in task.counts[layer])), count, options.n_terms)
        examples = representatives(themes, equally, count, blocks, options.n_representatives, document)
        inside = topic_id >= 0
        pairs = np.unique(np.column_stack([themes[inside], topic_id[inside]]), axis=0)
        topics = np.bincount(pairs[:, 0], minlength=count)
        order = np.argsort(themes, kind="stable")
        bounds = np.searchsorted(themes[order], np.arange(count + 1))
        for theme in range(count):
            members = order[bounds[theme] : bounds[theme + 1]]
            chosen = pa.array(examples[theme], pa.int64())
            rows.append(
                {
                    "layer": layer,
                    "resolution": options.resolutions[layer],
                    "theme_id": theme,
                    "theme_uid": theme_uid(options.resolutions[layer], keys.take(pa.array(members)).to_pylist()),
                    "documents": int(documents[layer][theme]),
                    "topics": int(topics[theme]) if layer == options.layer else None,
                    "title": terms[theme].title(f"theme {theme}"),
                    "terms": terms[theme].terms,
                    "term_weights": terms[theme].weights,
                    "representative_doc_ids": doc_ids.take(chosen).to_pylist(),
                    "representative_passage_nos": passage_nos.take(chosen).to_pylist(),
                    "x": float(np.median(x[members])),
                    "y": float(np.median(y[members])),
                }
            )
    return DescribedThemes(write_table(task.path, pa.Table.from_pylist(rows, schema=THEMES_SCHEMA)))


def _bundles(themes: np.ndarray, neighbors: np.ndarray, cosines: np.ndarray, directory: str) -> tuple[Bundle, ...]:
    order = np.argsort(themes, kind="stable").astype(np.int32)
    sizes = np.bincount(themes)
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    # A theme stays whole; a bundle is full when the next theme would begin beyond its rows.
    bundles: list[Bundle] = []
    first, row_of = 0, np.full(len(themes), -1, np.int32)
    for last in range(len(sizes)):
        if last + 1 < len(sizes) and bounds[last + 1] - bounds[first] < _BUNDLE_ROWS:
            continue
        positions = order[bounds[first] : bounds[last + 1]]
        row_of[positions] = np.arange(len(positions))
        near = neighbors[positions]
        inside = themes[near] == themes[positions, None]
        number = len(bundles)
        name = join(directory, f"bundle-{number:05d}")
        bundles.append(
            Bundle(
                number,
                _save(f"{name}-positions.npy", positions),
                _save(f"{name}-themes.npy", themes[positions]),
                _save(f"{name}-neighbors.npy", np.where(inside, row_of[near], -1).astype(np.int32)),
                _save(f"{name}-cosines.npy", cosines[positions]),
            )
        )
        first = last + 1
    return tuple(bundles)


def _spans(themes: np.ndarray) -> list[tuple[int, int]]:
    """Where each run of equal values begins and ends."""
    cuts = [0, *(np.flatnonzero(np.diff(themes)) + 1).tolist(), len(themes)]
    return list(pairwise(cuts)) if len(themes) else []


def _save(path: str, array: np.ndarray) -> FileRef:
    save_array(path, array)
    return file_ref(path, len(array))
