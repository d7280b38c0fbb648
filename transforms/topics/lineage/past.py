"""Which topics of the parent generation still fit the themes of now."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.files import FileRef, read_table
from transforms.topics.clusters.keep import UNKNOWN, Told, hanging_together, strangers
from transforms.topics.lineage.clustering import Since
from transforms.topics.lineage.parent import read_before
from transforms.topics.options import TopicsOptions
from transforms.topics.tables import FOLLOWED, themes_of_layers


@dataclass(frozen=True)
class Past:
    """Of every text of now its theme in a layer, and its topic in the parent generation, UNKNOWN for a new text: int (n,).

    `strength` float32 (n,), 0 for a new text. bool (n,): who came since the themes were found, and since the topics of its
    theme were, a new text too.
    """

    themes: np.ndarray
    topics: np.ndarray
    strength: np.ndarray
    theme_followed: np.ndarray
    topic_followed: np.ndarray


def read_past(before: Sequence[FileRef], layer: int) -> Past:
    """What the parent said, in files of BEFORE_SCHEMA, with the themes of one of its layers. Memory: 40 bytes for each text."""
    rows = read_before(before, ["layer_theme_ids", "topic_id", "strength", *FOLLOWED])
    known = rows["topic_id"].is_valid().to_numpy()
    themes = np.full(len(known), UNKNOWN, np.int32)
    themes[known] = _themes(rows.filter(pa.array(known)), layer)
    topics = rows["topic_id"].fill_null(UNKNOWN).to_numpy()
    # Null in a generation of an earlier version, which did not say so.
    followed = (~known | rows[name].fill_null(False).to_numpy() for name in FOLLOWED)
    return Past(themes, topics, rows["strength"].fill_null(0).to_numpy(), *followed)


def gone_from(gone: Sequence[FileRef], layer: int) -> np.ndarray:
    """The theme in the parent's layer of every text that is gone, in files of PARENT_SCHEMA: int32."""
    themes = [_themes(read_table(file.path, ["layer_theme_ids"]), layer) for file in gone]
    return np.concatenate([np.empty(0, np.int32), *themes])


def _themes(rows: pa.Table, layer: int) -> np.ndarray:
    if not rows.num_rows:
        return np.empty(0, np.int32)
    lists = pa.concat_arrays(rows["layer_theme_ids"].chunks)
    return themes_of_layers(lists, len(lists[0]))[:, layer]


def topics_to_keep(
    themes: np.ndarray,
    past: Past,
    gone: np.ndarray,
    earlier: Sequence[Since],
    neighbors: np.ndarray,
    cosines: np.ndarray,
    options: TopicsOptions,
) -> tuple[tuple[Since, ...], Told]:
    """Since when the topics of each theme of now are found, and what texts are told: UNKNOWN where they are found now.

    `themes` int32 (n,) of now, `gone` int32 (texts that are gone,) their themes in the parent, `earlier` by the parent's
    themes; the graph int (n, K), float32 (n, K). A theme of now is compared with the one of the parent that it has most of its
    texts from. Its topics are kept as long as too many texts neither came nor left since they were found, by moving between
    themes too, and of those that came since then no so many keep to themselves, and hang together, as make a topic, and as each
    topic has half as many texts left as a topic of the theme needs. New texts that keep to themselves are noise until then: the
    few votes that they have are of texts far from them.
    """
    count, count_before = int(themes.max(initial=-1)) + 1, len(earlier)
    known = past.themes >= 0
    # How many texts of each pair of themes, then and now.
    pairs, shared = np.unique(past.themes[known].astype(np.int64) * max(count, 1) + themes[known], return_counts=True)
    olds, news = np.divmod(pairs, max(count, 1))
    sizes_before = np.bincount(past.themes[known], minlength=count_before) + np.bincount(gone, minlength=count_before)
    sizes = np.bincount(themes, minlength=count)
    # Of each theme of now the largest part; ties to the smaller number.
    order = np.lexsort((olds, -shared, news))
    first = order[np.diff(news[order], prepend=-1) > 0]
    source = np.full(count, UNKNOWN)
    source[news[first]] = olds[first]
    held = known & (past.topics >= 0) & (past.themes == source[themes])
    left = _smallest_topics(themes[held], past.topics[held], count)
    strange = _largest_groups(themes, strangers(past.topic_followed, neighbors, cosines, options), neighbors)
    since = [Since(size) for size in sizes.tolist()]
    for theme, old, stayed in zip(news[first].tolist(), olds[first].tolist(), shared[first].tolist(), strict=True):
        later = earlier[old].after(int(sizes[theme]) - stayed, int(sizes_before[old]) - stayed)
        least = options.cluster_size(int(sizes[theme]))
        if later.fits and strange[theme] < least <= 2 * left[theme]:
            since[theme] = later
        else:
            source[theme] = UNKNOWN
    stays = known & (past.themes == source[themes])
    topics = np.where(stays, past.topics, UNKNOWN).astype(np.int32)
    followed = (topics == UNKNOWN) | past.topic_followed
    # In the whole graph: who is near to them may have joined another theme.
    topics[strangers(past.themes == UNKNOWN, neighbors, cosines, options) & (source[themes] != UNKNOWN)] = -1
    return tuple(since), Told(topics, np.where(stays, past.strength, 0).astype(np.float32), followed)


def _smallest_topics(themes: np.ndarray, topics: np.ndarray, count: int) -> np.ndarray:
    """How many texts the smallest topic of each of `count` themes has; of one without topics more than there are."""
    width = int(topics.max(initial=-1)) + 1
    pairs, sizes = np.unique(themes.astype(np.int64) * max(width, 1) + topics, return_counts=True)
    smallest = np.full(count, np.iinfo(np.int64).max // 2)
    np.minimum.at(smallest, pairs // max(width, 1), sizes)
    return smallest


def _largest_groups(themes: np.ndarray, chosen: np.ndarray, neighbors: np.ndarray) -> np.ndarray:
    """Of each theme how many chosen texts hang together at most."""
    rows = np.flatnonzero(chosen)
    groups = hanging_together(chosen, neighbors)[rows]
    pairs, sizes = np.unique(themes[rows].astype(np.int64) * max(len(rows), 1) + groups, return_counts=True)
    largest = np.zeros(int(themes.max(initial=-1)) + 1, np.int64)
    np.maximum.at(largest, pairs // max(len(rows), 1), sizes)
    return largest
