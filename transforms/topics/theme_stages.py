"""Themes and the topics inside them, on files: layers side by side, then themes side by side, then one table of labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from transforms.files import FileRef, file_ref, join, read_table, write_table
from transforms.topics.clusters.equal import equal_texts
from transforms.topics.clusters.keep import UNKNOWN, Told, keep_themes
from transforms.topics.clusters.numbering import numbered_by_size
from transforms.topics.clusters.theme_topics import topics_kept, topics_of_theme
from transforms.topics.clusters.themes import community_graph, find_themes, lean_on
from transforms.topics.graph import CorpusGraph
from transforms.topics.layout.map import lay_out_map, map_cost
from transforms.topics.lineage.clustering import Since
from transforms.topics.lineage.past import gone_from, read_past, topics_to_keep
from transforms.topics.naming.counting import Labelling
from transforms.topics.options import TopicsOptions
from transforms.topics.stages import FoundTopics, places_before
from transforms.topics.tables import LABELS_SCHEMA
from transforms.vectors import VectorBlock, gather_rows, load_array, save_array

# Themes are clustered in bundles of about so many texts: enough to be worth a task, few enough to spread.
_BUNDLE_ROWS = 4096


@dataclass(frozen=True)
class Bundle:
    """Themes of the layer that topics are found in, one after the other, as arrays in .npy files.

    Positions int32 (m,) in the corpus, ascending within each theme; themes int32 (m,), ascending; of every text its
    neighbours int32 (m, K), as rows of the bundle, -1 for one in another theme, and cosines float32 (m, K). Where topics may be
    kept from the parent generation: what it said, `Told`, topics int32 (m,), all UNKNOWN in a theme whose topics are found
    anew, strengths float32 (m,) and who followed, bool (m,).
    """

    number: int
    positions: FileRef
    themes: FileRef
    neighbors: FileRef
    cosines: FileRef
    topics: FileRef | None = None
    strengths: FileRef | None = None
    followed: FileRef | None = None


@dataclass(frozen=True)
class Earlier:
    """What the parent generation, which has the same layers, said of each text, and of those that are gone; since when its
    topics are found, by theme; and whether its themes are kept or found anew.
    """

    before: tuple[FileRef, ...]
    gone: tuple[FileRef, ...]
    topics: tuple[Since, ...]
    keep: bool


@dataclass(frozen=True)
class FindThemesTask:
    """One layer of themes: all passages parts and all neighbour parts, each in order. Files go to `directory`.

    With what was found `earlier`, as much is kept as still fits.
    """

    layer: int
    passages: tuple[FileRef, ...]
    neighbors: tuple[FileRef, ...]
    directory: str
    earlier: Earlier | None = None


@dataclass(frozen=True)
class FoundThemes:
    """The themes of one layer: int32 (n,) as .npy, how many there are, and bundles of the layer that topics are found in.

    Of that layer also since when the topics of each theme are found, of how many they are to be found now, and which texts
    came since the themes were found, bool (n,) as .npy.
    """

    layer: int
    labels: FileRef
    themes: int
    bundles: tuple[Bundle, ...]
    topics: tuple[Since, ...] = ()
    themes_found: int = 0
    followed: FileRef | None = None


@dataclass(frozen=True)
class ClusterThemesTask:
    """Topics of a bundle of themes, or without a bundle the map of the whole corpus, from its passages and neighbour parts.

    `blocks` are all vector blocks, read where the vectors themselves are clustered or a theme has more texts than landmarks.
    `before` is what the parent generation said of each text, for the map. The result goes to `path`.
    """

    path: str
    bundle: Bundle | None = None
    passages: tuple[FileRef, ...] = ()
    neighbors: tuple[FileRef, ...] = ()
    blocks: tuple[VectorBlock, ...] = ()
    before: tuple[FileRef, ...] = ()

    @property
    def cost(self) -> int:
        """Texts that are laid out: by as many epochs on the map as in a bundle, as long as the map has all of them."""
        if self.bundle is None:
            return map_cost(sum(file.rows or 0 for file in self.passages))
        return self.bundle.positions.rows or 0


@dataclass(frozen=True)
class ClusteredThemes:
    """What a task wrote. `number` is the bundle's, -1 is the map: float32 (n, 2) as .npy.

    A bundle's file is a table (_CLUSTERED) with one row per text of the bundle, in its order.
    """

    number: int
    file: FileRef


@dataclass(frozen=True)
class JoinTopicsTask:
    """All layers in order, all bundles' topics in order and the map. Files of labels go to `directory`."""

    passages: tuple[FileRef, ...]
    layers: tuple[FoundThemes, ...]
    clustered: tuple[ClusteredThemes, ...]
    xy: FileRef
    directory: str


# Topics are numbered within each theme.
_CLUSTERED = pa.schema(
    [
        ("position", pa.int32()),
        ("theme_id", pa.int32()),
        ("topic", pa.int32()),
        ("assigned_topic", pa.int32()),
        ("assigned_score", pa.float32()),
        ("strength", pa.float32()),
        ("followed", pa.bool_()),
    ]
)


def find_layer(task: FindThemesTask, options: TopicsOptions) -> FoundThemes:
    """Find the themes of one layer; of the layer that topics are found in also cut the graph into bundles of themes."""
    corpus = CorpusGraph(task.passages, task.neighbors)
    neighbors, cosines = corpus.arrays()
    documents = corpus.texts["n_documents"].to_numpy()
    earlier = task.earlier
    past = None if earlier is None else read_past(earlier.before, task.layer)
    if earlier is not None and earlier.keep and past is not None:
        themes = keep_themes(past.themes, neighbors, cosines, options, documents, past.theme_followed)
        followed = past.theme_followed
    else:
        followed = np.zeros(len(documents), bool)
        graph, equal = community_graph(neighbors, cosines), equal_texts(neighbors, cosines)
        if past is not None:
            lean_on(graph, past.themes)
        themes = find_themes(graph, options.resolutions[task.layer], options.seed, documents, equal)
    labels = _save(join(task.directory, f"layer-{task.layer}.npy"), themes)
    found = int(themes.max(initial=-1)) + 1
    if task.layer != options.layer:
        return FoundThemes(task.layer, labels, found, ())
    since = tuple(Since(texts) for texts in np.bincount(themes, minlength=found).tolist())
    told, anew = None, found
    followers = _save(join(task.directory, "followed.npy"), followed)
    if earlier is not None and past is not None:
        gone = gone_from(earlier.gone, task.layer)
        since, told = topics_to_keep(themes, past, gone, earlier.topics, neighbors, cosines, options)
        anew -= len(np.unique(themes[told.topic != UNKNOWN]))
    bundles = _bundles(themes, neighbors, cosines, told, task.directory)
    return FoundThemes(task.layer, labels, found, bundles, since, anew, followers)


def cluster_themes(task: ClusterThemesTask, options: TopicsOptions) -> ClusteredThemes:
    """Find the topics of every theme of a bundle, or lay out the map."""
    if task.bundle is None:
        graph, before = CorpusGraph(task.passages, task.neighbors), places_before(task.before)
        xy = lay_out_map(*graph.arrays(), options, before)
        return ClusteredThemes(-1, _save(task.path, xy))
    bundle = task.bundle
    positions, themes = load_array(bundle.positions.path), load_array(bundle.themes.path)
    neighbors, cosines = load_array(bundle.neighbors.path), load_array(bundle.cosines.path)
    tables = [_CLUSTERED.empty_table()]
    spans = _spans(themes)
    told = _told(bundle)
    for (low, high), vectors in zip(spans, _vectors(task, positions, spans, options), strict=True):
        near = np.asarray(neighbors[low:high])
        near, near_cosines = np.where(near >= 0, near - low, -1), np.asarray(cosines[low:high])
        kept = told is not None and (told.topic[low:high] != UNKNOWN).any()
        if told is not None and kept:
            own = Told(told.topic[low:high], told.strength[low:high], told.followed[low:high])
            found, followed = topics_kept(own, near, near_cosines, options), own.followed
        else:
            found, followed = topics_of_theme(near, near_cosines, options, vectors), np.zeros(high - low, bool)
        columns = [
            positions[low:high],
            themes[low:high],
            found.topic_id,
            found.assigned_topic_id,
            found.assigned_score,
            found.strength,
            followed,
        ]
        tables.append(pa.table(columns, schema=_CLUSTERED))
    return ClusteredThemes(bundle.number, write_table(task.path, pa.concat_tables(tables).combine_chunks()))


def join_topics(task: JoinTopicsTask, options: TopicsOptions) -> FoundTopics:
    """Number the topics of all themes by size and put everything known of a text into one row of LABELS_SCHEMA.

    The themes of every layer get a file of the same form, in which a text's theme is its topic.
    """
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
    xy, followed = load_array(task.xy.path), task.layers[options.layer].followed
    assert followed is not None
    found = {
        "id": texts["id"],
        "content_key": texts["content_key"],
        "layer_theme_ids": pa.ListArray.from_arrays(pa.array(np.arange(n + 1) * layers.shape[1], pa.int32()), layers.ravel()),
        "topic_id": topic_id,
        "assigned_topic_id": np.where(assigned >= 0, number[np.where(assigned >= 0, theme * width + assigned, -1)], -1),
        "assigned_score": rows["assigned_score"],
        "strength": rows["strength"],
        "theme_followed": load_array(followed.path),
        "topic_followed": rows["followed"],
        "x": xy[:, 0],
        "y": xy[:, 1],
        "n_documents": texts["n_documents"],
    }
    labels = write_table(join(task.directory, "labels.parquet"), pa.table(found, schema=LABELS_SCHEMA))
    whole = np.ones(n, np.float32)
    of_layers = []
    for layer in task.layers:
        of_layer = layers[:, layer.layer]
        columns = found | {"topic_id": of_layer, "assigned_topic_id": of_layer, "assigned_score": whole, "strength": whole}
        path = join(task.directory, f"labels-{layer.layer}.parquet")
        of_layers.append(Labelling(write_table(path, pa.table(columns, schema=LABELS_SCHEMA)), layer.themes))
    topics = int(topic_id.max(initial=-1)) + 1
    theme_of_topic = np.empty(topics, np.int32)
    theme_of_topic[topic_id[members]] = theme[members]
    themes = _save(join(task.directory, "theme-of-topic.npy"), theme_of_topic)
    return FoundTopics(labels, n, topics, int(np.count_nonzero(topic_id < 0)), tuple(of_layers), themes)


def _told(bundle: Bundle) -> Told | None:
    if bundle.topics is None or bundle.strengths is None or bundle.followed is None:
        return None
    return Told(load_array(bundle.topics.path), load_array(bundle.strengths.path), load_array(bundle.followed.path))


def _bundles(
    themes: np.ndarray, neighbors: np.ndarray, cosines: np.ndarray, told: Told | None, directory: str
) -> tuple[Bundle, ...]:
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
                None if told is None else _save(f"{name}-topics.npy", told.topic[positions]),
                None if told is None else _save(f"{name}-strengths.npy", told.strength[positions]),
                None if told is None else _save(f"{name}-followed.npy", told.followed[positions]),
            )
        )
        first = last + 1
    return tuple(bundles)


def _vectors(
    task: ClusterThemesTask, positions: np.ndarray, spans: list[tuple[int, int]], options: TopicsOptions
) -> Sequence[np.ndarray | None]:
    """What each theme's topics need of vectors. Every block is read once: a theme's texts are in all of them."""
    needed = [
        (low, min(high, low + options.landmarks)) if options.reduce == "none" or high - low > options.landmarks else (low, low)
        for low, high in spans
    ]
    rows = [positions[low:high] for low, high in needed]
    if not sum(map(len, rows)):
        return [None] * len(spans)
    vectors = gather_rows(task.blocks, np.concatenate(rows))
    return np.split(vectors, np.cumsum([len(some) for some in rows])[:-1])


def _spans(themes: np.ndarray) -> list[tuple[int, int]]:
    """Where each run of equal values begins and ends."""
    cuts = [0, *(np.flatnonzero(np.diff(themes)) + 1).tolist(), len(themes)]
    return list(pairwise(cuts)) if len(themes) else []


def _save(path: str, array: np.ndarray) -> FileRef:
    save_array(path, array)
    return file_ref(path, len(array))
