"""The map from one generation to the next: it neither turns nor wanders where texts stay, and it is not worse for it."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from scipy.linalg import orthogonal_procrustes

from tests.topics.helpers import blobs, graph_of, unit
from tests.topics.test_stages import Corpus
from transforms.files import FileRef, read_table, write_table
from transforms.topics import (
    BEFORE_SCHEMA,
    ClusterThemesTask,
    FindTopicsTask,
    TopicsOptions,
    cluster_themes,
    find_inside_themes,
    find_topics,
    lay_out,
    lay_out_map,
    place_new,
)
from transforms.topics.layout import map as map_module
from transforms.topics.layout.map import can_continue, map_epochs
from transforms.topics.layout.reduce import FIRST, fuzzy_graph, optimise, settle, spectral_start
from transforms.vectors import load_array

OPTIONS = TopicsOptions(n_epochs=60)


def spread(xy):
    return np.sqrt(((xy - xy.mean(axis=0)) ** 2).sum(axis=1).mean())


def moved(before, after):
    """Median way of the points in units of the map's spread, and by how many degrees all are turned; infinite if mirrored."""
    a, b = before - before.mean(axis=0), after - after.mean(axis=0)
    turn, _ = orthogonal_procrustes(a, b)
    angle = abs(np.degrees(np.arctan2(turn[0, 1], turn[0, 0]))) if np.linalg.det(turn) > 0 else np.inf
    return np.median(np.linalg.norm(before - after, axis=1)) / spread(before), angle


def kept_neighbors(xy, neighbors, k=15):
    """Share of the k nearest in the graph that are among the k nearest on the map."""
    distances = np.linalg.norm(xy[:, None] - xy[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    near = np.argsort(distances, axis=1)[:, :k]
    return np.mean([len(set(a) & set(b[:k])) / k for a, b in zip(near.tolist(), neighbors.tolist(), strict=True)])


def nights(share, count, size=600):
    """Vectors of `size` texts for each night, and which of them were there the night before."""
    vectors, _ = blobs([size // 6] * 6 + [count * int(share * size)], spread=0.9)
    rng, new = np.random.default_rng(1), int(share * size)
    texts = np.arange(size)
    yield vectors[texts], np.zeros(size, bool)
    for night in range(count):
        stay = np.sort(rng.permutation(size)[new:])
        texts = np.concatenate([texts[stay], size + night * new + np.arange(new)])
        yield vectors[texts], stay


@pytest.mark.parametrize("share", [0.01, 0.05])
def test_texts_that_stay_hardly_move_and_the_map_stays_as_good(share):
    xy, kept, ways, fresh = None, [], [], []
    for vectors, stay in nights(share, 3):
        neighbors, cosines = graph_of(vectors)
        nothing = lay_out_map(neighbors, cosines, OPTIONS)
        fresh.append(kept_neighbors(nothing, neighbors))
        if xy is None:
            xy = nothing
            continue
        before = np.full((len(vectors), 2), np.nan, np.float32)
        before[: len(stay)] = xy[stay]
        xy = lay_out_map(neighbors, cosines, OPTIONS, before)
        ways.append(moved(before[: len(stay)], xy[: len(stay)]))
        kept.append(kept_neighbors(xy, neighbors))
    assert max(way for way, _ in ways) < 0.1
    assert max(angle for _, angle in ways) < 5
    assert min(kept) > min(fresh) - 0.02


def test_from_nothing_texts_that_stay_do_move():
    """What the start is for: the measure above sees it."""
    (first, _), (second, stay) = nights(0.05, 1)
    before, after = (lay_out_map(*graph_of(vectors), OPTIONS) for vectors in (first, second))
    way, _ = moved(before[stay], after[: len(stay)])
    assert way > 0.2


def test_a_map_from_nothing_is_umaps_then_settled():
    neighbors, cosines = graph_of(blobs([60, 60, 60])[0])
    graph = fuzzy_graph(neighbors, cosines, 15)
    half = OPTIONS.model_copy(update={"n_epochs": max(OPTIONS.n_epochs // 2, 11)})
    layout = optimise(graph, spectral_start(graph, 2, OPTIONS.seed), OPTIONS.map_min_dist, half)
    expected = settle(graph, layout, FIRST, OPTIONS)
    np.testing.assert_array_equal(lay_out_map(neighbors, cosines, OPTIONS), expected)


def test_the_map_is_a_function_of_graph_and_places():
    neighbors, cosines = graph_of(blobs([60, 60])[0])
    before = lay_out_map(neighbors, cosines, OPTIONS)
    before[7] = np.nan
    one, two = (lay_out_map(neighbors, cosines, OPTIONS, before) for _ in range(2))
    assert one.tobytes() == two.tobytes()
    assert one.dtype == np.float32
    assert not np.array_equal(one, lay_out_map(neighbors, cosines, OPTIONS))


def test_new_texts_begin_at_the_weighted_mean_of_their_neighbours():
    neighbors, cosines = graph_of(blobs([60, 60])[0])
    graph = fuzzy_graph(neighbors, cosines, 15)
    before = np.random.default_rng(0).normal(size=(120, 2)).astype(np.float32)
    new = np.arange(120) % 10 == 0
    before[new] = np.nan
    found, weights = place_new(graph, before, 42), graph.toarray()
    np.testing.assert_array_equal(found[~new], before[~new])
    for row in np.flatnonzero(new):
        expected = np.average(before[~new], axis=0, weights=weights[row, ~new])
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-5)


def test_a_piece_of_new_texts_begins_around_the_map_at_one_place():
    pieces = [np.roll(np.eye(120)[:40], piece * 40, axis=1) for piece in range(3)]
    rng = np.random.default_rng(0)
    vectors = unit(np.vstack([np.abs(piece + 0.3 * (piece.sum(0) > 0)) for piece in pieces]) + 1e-4 * rng.random((120, 120)))
    graph = fuzzy_graph(*graph_of(vectors, 20), 15)
    before = np.full((120, 2), np.nan, np.float32)
    before[:40] = rng.normal(size=(40, 2))
    found = place_new(graph, before, 42)
    assert np.isfinite(found).all()
    middle = np.median(before[:40], axis=0)
    radius = np.linalg.norm(before[:40] - middle, axis=1).max()
    outside = np.linalg.norm(found[40:] - middle, axis=1)
    assert outside.min() > radius
    second, third = found[40:80].mean(axis=0), found[80:].mean(axis=0)
    assert np.linalg.norm(second - third) > radius
    assert np.linalg.norm(found[40:80] - second, axis=1).max() < 0.2 * radius
    assert len(np.unique(found, axis=0)) == 120


def test_few_known_texts_or_another_kind_of_map_are_no_beginning():
    before = np.zeros((100, 2), np.float32)
    assert can_continue(before, 32)
    before[51:] = np.nan
    assert can_continue(before, 32)
    before[49:] = np.nan
    assert not can_continue(before, 32)
    # As many texts as a complete graph has: principal components.
    assert not can_continue(np.zeros((33, 2), np.float32), 32)
    assert can_continue(np.zeros((34, 2), np.float32), 32)
    neighbors, cosines = graph_of(blobs([60, 40])[0])
    np.testing.assert_array_equal(lay_out_map(neighbors, cosines, OPTIONS, before), lay_out_map(neighbors, cosines, OPTIONS))


@pytest.mark.parametrize(
    ("n", "epochs", "expected"),
    [(200_000, 200, 200), (400_000, 200, 100), (1_000_000, 200, 50), (10**7, 200, 50), (10**6, 30, 30), (10**6, 1000, 200)],
)
def test_maps_of_many_texts_take_fewer_epochs(n, epochs, expected):
    assert map_epochs(n, epochs) == expected


def test_the_map_takes_as_many_epochs_as_its_size_allows(monkeypatch):
    neighbors, cosines = graph_of(blobs([60, 60])[0])
    expected = lay_out_map(neighbors, cosines, TopicsOptions(n_epochs=50))
    monkeypatch.setattr(map_module, "_FULL", 20)
    np.testing.assert_array_equal(lay_out_map(neighbors, cosines, TopicsOptions(n_epochs=60)), expected)


def test_a_complete_graph_is_turned_to_lie_on_the_one_before():
    neighbors, cosines = graph_of(unit(np.random.default_rng(0).normal(size=(20, 8))))
    xy = lay_out(neighbors, cosines, OPTIONS).xy
    turn = np.array([[0, 1], [1, 0]])
    before = xy @ turn + 3
    before[5] = np.nan
    found = lay_out_map(neighbors, cosines, OPTIONS, before)
    np.testing.assert_allclose(found, xy @ turn + 3, atol=1e-5)
    nobody = np.full((20, 2), np.nan, np.float32)
    np.testing.assert_array_equal(lay_out_map(neighbors, cosines, OPTIONS, nobody), xy)


@pytest.mark.parametrize("method", ["hdbscan", "kmeans"])
def test_few_texts_lie_where_they_lay(tmp_path, method):
    """What the method makes of a complete graph is turned as the map of one is."""
    corpus, options = Corpus(tmp_path, [12, 8], 1), OPTIONS.model_copy(update={"method": method})
    before = lay_out(*corpus.graph, options).xy @ np.array([[0, 1], [1, 0]]) + 3
    said = {"id": corpus.ids, "x": before[:, 0], "y": before[:, 1]}
    columns = [pa.array(said.get(field.name, [None] * 20), field.type) for field in BEFORE_SCHEMA]
    file = write_table(f"{tmp_path}/before.parquet", pa.table(columns, schema=BEFORE_SCHEMA))
    inputs = corpus.passages, corpus.neighbors, f"{tmp_path}/labels.parquet", corpus.blocks
    labels, alone = (read_table(find_topics(FindTopicsTask(*inputs, files), options).labels.path) for files in ((file,), ()))
    np.testing.assert_allclose(np.column_stack([labels["x"], labels["y"]]), before, atol=1e-5)
    assert labels.drop_columns(["x", "y"]).equals(alone.drop_columns(["x", "y"]))


@pytest.mark.parametrize("n", [34, 100])
def test_all_texts_equal(n):
    neighbors, cosines = graph_of(unit(np.ones((n, 8))))
    before = lay_out_map(neighbors, cosines, OPTIONS)
    assert np.isfinite(before).all()
    assert np.isfinite(lay_out_map(neighbors, cosines, OPTIONS, before)).all()


def test_the_steps_begin_at_what_the_parent_said(tmp_path):
    """Both methods, on files: positions are in content-key order, as what was said before is."""
    corpus = Corpus(tmp_path, [60, 40], 2)
    neighbors, cosines = corpus.graph
    before = lay_out_map(neighbors, cosines, OPTIONS)
    before[::9] = np.nan
    files = []
    for part, low in enumerate((0, 30)):
        own = slice(low, 30 if part == 0 else 100)
        columns = {"id": corpus.ids[own], "x": before[own, 0], "y": before[own, 1]}
        arrays = [
            pa.array(columns[field.name], field.type, from_pandas=True)
            if field.name in columns
            else pa.nulls(own.stop - low, field.type)
            for field in BEFORE_SCHEMA
        ]
        files.append(write_table(f"{tmp_path}/before-{part}.parquet", pa.table(arrays, schema=BEFORE_SCHEMA)))
    expected = lay_out_map(neighbors, cosines, OPTIONS, before)
    graph = corpus.passages, corpus.neighbors
    cluster_themes(ClusterThemesTask(f"{tmp_path}/map.npy", None, *graph, before=tuple(files)), OPTIONS)
    np.testing.assert_array_equal(load_array(f"{tmp_path}/map.npy"), expected)
    for options in (OPTIONS.model_copy(update={"method": "hdbscan"}), OPTIONS.model_copy(update={"method": "kmeans"})):
        task = FindTopicsTask(*graph, f"{tmp_path}/labels.parquet", corpus.blocks, tuple(files))
        labels = read_table(find_topics(task, options).labels.path)
        np.testing.assert_array_equal(np.column_stack([labels["x"], labels["y"]]), expected)


@pytest.mark.parametrize("keep_map", [True, False])
def test_the_map_is_told_of_the_parent_unless_its_vectors_were_others(tmp_path, keep_map):
    corpus, told = Corpus(tmp_path, [60, 40], 1), []
    before = FileRef("before.parquet", 1, 100, "")

    def job(step, tasks):
        if step is cluster_themes:
            told.extend(task.before for task in tasks if task.bundle is None)
            raise InterruptedError  # all that there is to see has been seen
        return [step(task, OPTIONS) for task in tasks]

    remembered = SimpleNamespace(before=(before,), gone=(), came=0, left=0)
    with pytest.raises(InterruptedError):
        find_inside_themes(
            corpus.passages, corpus.neighbors, corpus.blocks, OPTIONS, str(tmp_path), job, remembered, keep_map=keep_map
        )
    assert told == [(before,) if keep_map else ()]
