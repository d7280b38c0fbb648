"""Topics and themes that are kept: who stays, whom new texts join, and when all is found anew."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.topics.helpers import blobs, graph_of, unit
from transforms.files import CorruptFileError
from transforms.topics import Clustering, Since, TopicsOptions, read_clustering, write_clustering
from transforms.topics.clusters.keep import UNKNOWN, Told, keep_themes, keep_topics, strangers
from transforms.topics.lineage.clustering import MOST_CHANGED
from transforms.topics.lineage.past import Past, topics_to_keep

OPTIONS = TopicsOptions(min_cluster_size=12)


def same_partition(one, other):
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def themes_kept(before, neighbors, cosines, options=OPTIONS):
    return keep_themes(before, neighbors, cosines, options, np.ones(len(before), int))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.3))
def test_known_texts_stay_and_new_ones_join_what_is_near(seed, share):
    vectors, truth = blobs([60, 40, 30], seed=seed % 1000)
    rng = np.random.default_rng(seed)
    before = np.where(rng.random(len(truth)) < share, UNKNOWN, truth)
    graph = graph_of(vectors, 12)
    themes = themes_kept(before, *graph)
    known = before != UNKNOWN
    assert same_partition(themes[known], before[known])
    assert same_partition(themes, truth), "blobs are far from each other"
    told = Told(before, np.where(known, 0.7, 0).astype(np.float32), ~known)
    kept = keep_topics(told, *graph, OPTIONS)
    assert same_partition(kept.topic_id, truth)
    np.testing.assert_array_equal(kept.strength[known], np.float32(0.7))
    np.testing.assert_array_equal(kept.strength[~known], 1)


def test_nothing_new_changes_nothing():
    vectors, truth = blobs([60, 40, 30])
    themes = themes_kept(truth, *graph_of(vectors))
    assert themes.tolist() == truth.tolist()  # they are numbered by size already
    topics = np.where(np.arange(len(truth)) % 5 == 0, -1, truth)
    strength = np.linspace(0, 1, len(truth), dtype=np.float32)
    found = keep_topics(Told(topics, strength, np.zeros(len(truth), bool)), *graph_of(vectors), OPTIONS)
    assert found.topic_id.tolist() == topics.tolist()
    np.testing.assert_array_equal(found.strength, np.where(topics >= 0, strength, 0))


def test_new_texts_among_noise_are_noise():
    vectors, truth = blobs([60, 60])
    topics = np.where(truth == 0, 0, -1)
    new = np.arange(len(truth)) % 9 == 0
    told = Told(np.where(new, UNKNOWN, topics), np.ones(120, np.float32), new)
    found = keep_topics(told, *graph_of(vectors, 8), OPTIONS)
    assert found.topic_id.tolist() == topics.tolist()


@pytest.mark.parametrize(("size", "alone"), [(30, True), (8, False)])
def test_new_texts_that_keep_to_themselves_are_a_theme_if_they_are_enough(size, alone):
    vectors, truth = blobs([80, 60, size], spread=1.0)
    before = np.where(truth == 2, UNKNOWN, truth)
    graph = graph_of(vectors, 7)
    assert (strangers(before == UNKNOWN, *graph, OPTIONS) == (truth == 2)).all()
    themes = themes_kept(before, *graph)
    assert same_partition(themes[truth != 2], truth[truth != 2])
    assert len(set(themes.tolist())) == 2 + alone
    assert same_partition(themes, truth) == alone


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_strangers_are_the_largest_set_that_keeps_to_itself(seed):
    rng = np.random.default_rng(seed)
    n, k = 9, 5
    neighbors = np.array([rng.permutation(np.delete(np.arange(n), i))[:k] for i in range(n)])
    neighbors[rng.random((n, k)) < 0.1] = -1
    cosines, new = rng.integers(-1, 9, (n, k)) / 8, rng.random(n) < 0.8
    options = OPTIONS.model_copy(update={"n_neighbors": 5})

    def keeps(members):
        for i in members:
            seen = [(j, max(c, 0)) for j, c in zip(neighbors[i][:4].tolist(), cosines[i][:4].tolist(), strict=True) if j >= 0]
            if 2 * sum(c for j, c in seen if j in members) <= sum(c for _, c in seen):
                return False
        return True

    subsets = (set(some) for size in range(n + 1) for some in combinations(np.flatnonzero(new).tolist(), size))
    largest = set().union(*(members for members in subsets if keeps(members)))
    assert set(np.flatnonzero(strangers(new, neighbors, cosines.astype(np.float32), options)).tolist()) == largest


def test_texts_that_followed_are_new_until_they_have_a_theme_of_their_own():
    vectors, truth = blobs([80, 60, 30], spread=1.0)
    graph, followed = graph_of(vectors, 7), truth == 2
    # Some came yesterday, and followed to theme 0.
    before = np.where(followed, np.where(np.cumsum(followed) % 2, 0, UNKNOWN), truth)
    themes = keep_themes(before, *graph, OPTIONS, np.ones(len(before), int), followed)
    assert same_partition(themes, truth)
    # Where none of them is new any more, and where their theme grows, they stay together.
    for told in (themes, np.where(followed & (np.cumsum(followed) > 28), UNKNOWN, themes)):
        assert same_partition(keep_themes(told, *graph, OPTIONS, np.ones(len(before), int), followed), truth)


def test_a_text_nobody_knows_is_a_theme_of_its_own():
    neighbors = np.array([[1], [0], [3], [2], [5], [4]])
    themes = themes_kept(np.array([0, 0, 1, 1, UNKNOWN, UNKNOWN]), neighbors, np.full((6, 1), 0.9, np.float32))
    assert themes.tolist() == [0, 0, 1, 1, 2, 2]


def test_equal_texts_share_a_theme_and_a_topic():
    vectors, _ = blobs([40, 40], spread=1.0)
    vectors[:3] = vectors[0]
    before = np.full(80, 1)
    before[0], before[1] = 0, UNKNOWN
    before[2] = 0
    themes = themes_kept(before, *graph_of(vectors, 10))
    assert len(set(themes[:3].tolist())) == 1
    found = keep_topics(Told(before, np.ones(80, np.float32), before == UNKNOWN), *graph_of(vectors, 10), OPTIONS)
    assert len(set(found.topic_id[:3].tolist())) == 1


def kept(themes, past, gone, earlier, graph=None, topics=None):
    n = len(themes)
    if graph is None:
        # Everybody is near to the last text, which is not new.
        graph = np.full((n, 2), n - 1), np.ones((n, 2), np.float32)
    topics = np.arange(n) % 3 - 1 if topics is None else topics
    new = past == UNKNOWN
    told = Past(past, np.where(new, UNKNOWN, topics), np.full(n, 0.5, np.float32), new, new)
    since, found = topics_to_keep(themes, told, gone, earlier, *graph, OPTIONS)
    return since, found, topics


def test_topics_are_kept_until_a_fifth_has_come_or_left_since_they_were_found():
    assert MOST_CHANGED == 0.2
    themes, past = np.zeros(110, int), np.zeros(110, int)
    past[:10] = UNKNOWN
    none = np.empty(0, int)
    # Ten came tonight, after nine or eleven in the nights before.
    since, found, topics = kept(themes, past, none, [Since(100, 10, 0)])
    assert since == (Since(100, 20, 0),)
    assert (found.topic == np.where(past == UNKNOWN, UNKNOWN, topics)).all()
    since, found, _ = kept(themes, past, none, [Since(100, 11, 0)])
    assert since == (Since(110),)
    assert (found.topic == UNKNOWN).all()
    assert not found.strength.any()
    since, found, _ = kept(themes, past, np.zeros(7, int), [Since(100, 3, 14)])
    assert since == (Since(110),)
    since, found, _ = kept(themes, past, np.zeros(7, int), [Since(100, 3, 13)])
    assert since == (Since(100, 13, 20),)


def test_a_text_that_moves_between_themes_came_and_left():
    themes = np.repeat([0, 1], [105, 95])
    past = np.repeat([0, 1], [100, 100])
    since, found, topics = kept(themes, past, np.empty(0, int), [Since(100), Since(100)])
    assert since == (Since(100, 5, 0), Since(100, 0, 5))
    moved = np.arange(200) // 5 == 20
    assert (found.topic == np.where(moved, UNKNOWN, topics)).all()


def test_new_texts_that_could_be_a_topic_have_it_found():
    vectors, truth = blobs([90, 30], spread=1.0)
    past = np.where((truth == 1) & (np.cumsum(truth == 1) <= 12), UNKNOWN, 0)
    graph = graph_of(vectors, 12)
    themes = np.zeros(120, int)
    close = vectors.copy()
    close[past == UNKNOWN] = unit(vectors[past == UNKNOWN][0] + 0.01 * np.random.default_rng(0).normal(size=(12, 24)))
    _, found, _ = kept(themes, past, np.empty(0, int), [Since(110)], graph_of(close, 12))
    assert (found.topic == UNKNOWN).all()
    _, found, _ = kept(themes, past, np.empty(0, int), [Since(110)], graph)
    assert (found.topic[past == 0] != UNKNOWN).all()


@pytest.mark.parametrize(("left", "stays"), [(6, True), (5, False)])
def test_topics_are_found_anew_where_one_has_hardly_a_text_left(left, stays):
    # A topic needs twelve texts, of 107 seven went tonight. In the other theme nothing has changed.
    themes, topics = np.repeat([0, 1], 100), np.tile(np.repeat([-1, 0, 1], [20, 80 - left, left]), 2)
    topics[100:] = np.where(topics[100:] >= 0, 2, -1)
    since, found, _ = kept(themes, themes, np.zeros(7, int), [Since(107), Since(100)], topics=topics)
    assert since == (Since(107, 0, 7) if stays else Since(100), Since(100))
    assert (found.topic == np.where((themes == 1) | stays, topics, UNKNOWN)).all()


def test_what_is_noted_is_read(tmp_path):
    noted = Clustering(Since(100, 3, 4), (Since(60, 1, 0), Since(40)))
    path = write_clustering(str(tmp_path / "clustering.json"), noted).path
    assert read_clustering(path) == noted
    text = (tmp_path / "clustering.json").read_text()
    (tmp_path / "clustering.json").write_text(text.replace('"format": 1', '"format": 2').replace('"format":1', '"format":2'))
    assert read_clustering(path) is None
    (tmp_path / "clustering.json").write_text("{}")
    with pytest.raises(CorruptFileError, match="does not say how topics were found"):
        read_clustering(path)
