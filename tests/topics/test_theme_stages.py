"""Themes and their topics on files, against the pure functions and plain joins."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tests.topics.helpers import blobs
from tests.topics.test_stages import SUBJECTS, Corpus, run_beam
from transforms.files import read_table
from transforms.neighbors import read_neighbors
from transforms.topics import (
    THEMES_SCHEMA,
    AssignTopicsTask,
    ClusterThemesTask,
    CountTermsTask,
    DescribeThemesTask,
    DescribeTopicsTask,
    FindThemesTask,
    JoinTopicsTask,
    TopicsOptions,
    assign_topics,
    cluster_themes,
    community_graph,
    count_part,
    describe_themes,
    describe_topics,
    find_layer,
    find_themes,
    graph_arrays,
    join_topics,
    lay_out_map,
    theme_stages,
    theme_uid,
    topics_of_theme,
)
from transforms.topics.beam import ClusterThemes, DescribeThemes, FindThemes, JoinTopics

OPTIONS = TopicsOptions(method="themes+hdbscan", n_epochs=50, min_cluster_size=12)


class Outcome:
    """All stages of the method as plain calls, on a corpus's files."""

    def __init__(self, corpus, out, options=OPTIONS):
        out = str(out)
        self.layer_tasks = [
            FindThemesTask(layer, corpus.passages, corpus.neighbors, out) for layer in range(len(options.layers))
        ]
        self.layers = tuple(find_layer(task, options) for task in self.layer_tasks)
        bundles = self.layers[options.layer].bundles
        self.cluster_tasks = [
            ClusterThemesTask(f"{out}/map.npy", passages=corpus.passages, neighbors=corpus.neighbors),
            *(ClusterThemesTask(f"{out}/c{bundle.number}.parquet", bundle, blocks=corpus.blocks) for bundle in bundles),
        ]
        self.map, *self.clustered = (cluster_themes(task, options) for task in self.cluster_tasks)
        self.join_task = JoinTopicsTask(
            corpus.passages, self.layers, tuple(self.clustered), self.map.file, f"{out}/labels.parquet"
        )
        self.joined = join_topics(self.join_task, options)
        labels = self.joined.labels
        counts = [count_part(CountTermsTask(i, ref, labels, f"{out}/n"), options) for i, ref in enumerate(corpus.passages)]
        of_layers = tuple(zip(*(record.layers for record in counts), strict=True)) or ((),) * len(options.layers)
        topic_counts = tuple(record.counts for record in counts)
        files = (corpus.passages, corpus.documents, corpus.blocks)
        self.themes_task = DescribeThemesTask(labels, of_layers, *files, f"{out}/themes.parquet")
        self.themes = describe_themes(self.themes_task, options).themes
        self.topics = describe_topics(DescribeTopicsTask(labels, topic_counts, *files, f"{out}/topics.parquet"), options).topics
        assigning = AssignTopicsTask(corpus.documents, labels, self.topics, f"{out}/assignments.parquet")
        self.assigned = assign_topics(assigning)

    @property
    def labels(self):
        return read_table(self.joined.labels.path)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return Corpus(tmp_path_factory.mktemp("corpus"), [90, 60, 40], 3)


@pytest.fixture(scope="module")
def outcome(corpus, tmp_path_factory):
    return Outcome(corpus, tmp_path_factory.mktemp("out"))


def graph_of_corpus(corpus):
    return graph_arrays((read_neighbors(ref.path) for ref in corpus.neighbors), corpus.ids)


def test_labels_are_those_of_the_pure_functions(corpus, outcome):
    neighbors, cosines = graph_of_corpus(corpus)
    graph = community_graph(neighbors, cosines)
    labels = outcome.labels
    layers = np.array(labels["layer_theme_ids"].to_pylist())
    for layer, resolution in enumerate(OPTIONS.resolutions):
        np.testing.assert_array_equal(layers[:, layer], find_themes(graph, resolution, OPTIONS.seed, corpus.copies))
    themes = labels["theme_id"].to_numpy()
    np.testing.assert_array_equal(themes, layers[:, 1])
    topic_id, assigned = labels["topic_id"].to_numpy(), labels["assigned_topic_id"].to_numpy()
    for theme in range(themes.max() + 1):
        members = np.flatnonzero(themes == theme)
        place = np.full(len(themes), -1)
        place[members] = np.arange(len(members))
        found = topics_of_theme(place[neighbors[members]], cosines[members], OPTIONS)
        # Equal up to the numbers: one to one, noise to noise.
        for ours, theirs in ((topic_id, found.topic_id), (assigned, found.assigned_topic_id)):
            pairs = set(zip(ours[members].tolist(), theirs.tolist(), strict=True))
            assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
            assert all((a == -1) == (b == -1) for a, b in pairs)
        np.testing.assert_array_equal(labels["strength"].to_numpy()[members], found.strength)
        np.testing.assert_array_equal(labels["assigned_score"].to_numpy()[members], found.assigned_score)
    sizes = np.bincount(topic_id[topic_id >= 0], corpus.copies[topic_id >= 0])
    assert (np.diff(sizes) <= 0).all()
    np.testing.assert_array_equal(np.column_stack([labels["x"], labels["y"]]), lay_out_map(neighbors, cosines, OPTIONS))
    counted = (outcome.joined.distinct_texts, outcome.joined.themes, outcome.joined.topics, outcome.joined.noise_texts)
    assert counted == (190, themes.max() + 1, topic_id.max() + 1, (topic_id < 0).sum())


def test_themes_are_the_subjects_and_topics_lie_in_one_theme(corpus, outcome):
    table = read_table(outcome.themes.path)
    assert table.schema.equals(THEMES_SCHEMA)
    layers = np.array(outcome.labels["layer_theme_ids"].to_pylist())
    rows = table.to_pylist()
    assert [(row["layer"], row["theme_id"]) for row in rows] == [
        (layer, theme) for layer in range(3) for theme in range(layers[:, layer].max() + 1)
    ]
    for row in rows:
        members = np.flatnonzero(layers[:, row["layer"]] == row["theme_id"])
        (subject,) = {corpus.truth[member] for member in members}
        assert set(row["terms"]) <= set(SUBJECTS[subject].split())
        assert row["title"] == ", ".join(row["terms"][:3])
        assert row["documents"] == corpus.copies[members].sum()
        assert row["theme_uid"] == theme_uid(OPTIONS.resolutions[row["layer"]], [corpus.keys[i] for i in members])
        assert {int(name[1:].split("-")[0]) for name in row["representative_doc_ids"]} <= set(members.tolist())
    assert len({row["theme_uid"] for row in rows}) == len(rows)
    topics = pl.read_parquet(outcome.topics.path)
    inside = topics.group_by("theme_id").len().to_dicts()
    assert {row["theme_id"]: row["topics"] for row in rows if row["layer"] == 1 and row["topics"]} == {
        row["theme_id"]: row["len"] for row in inside
    }
    assert {row["topics"] for row in rows if row["layer"] != 1} == {None}
    rows = pl.read_parquet(outcome.assigned.assignments.path)
    joined = rows.join(topics, left_on="assigned_topic_id", right_on="topic_id", suffix="_of_topic")
    assert (joined["theme_id"] == joined["theme_id_of_topic"]).all()
    assert joined.height == rows.height - outcome.assigned.unassigned_documents
    assert rows["theme_id"].null_count() == 0
    assert (rows["theme_id"] == rows["layer_theme_ids"].list.get(1)).all()
    assert rows.filter(pl.col("topic_id") >= 0)["assigned_score"].unique().to_list() == [1.0]


def test_output_does_not_depend_on_parts_bundles_or_on_when_it_runs(corpus, outcome, tmp_path, monkeypatch):
    monkeypatch.setattr(theme_stages, "_BUNDLE_ROWS", 1)
    other = Outcome(Corpus(tmp_path / "other", [90, 60, 40], 1), tmp_path / "out")
    assert len(other.clustered) > len(outcome.clustered) == 1
    assert other.joined.labels.sha256 == outcome.joined.labels.sha256
    assert other.topics.sha256 == outcome.topics.sha256
    assert other.themes.sha256 == outcome.themes.sha256


@pytest.mark.parametrize("size", [0, 1, 2, 4])
def test_tiny_corpora_have_themes_and_no_topics(size, tmp_path):
    found = Outcome(Corpus(tmp_path, [size], 1), tmp_path / "out", TopicsOptions(method="themes+hdbscan"))
    assert (found.joined.topics, found.joined.noise_texts, found.topics.rows) == (0, size, 0)
    assert found.labels["theme_id"].null_count == 0
    table = pl.read_parquet(found.assigned.assignments.path)
    assert table.height == found.assigned.noise_documents
    themes = pl.read_parquet(found.themes.path)
    assert themes.filter(pl.col("layer") == 1)["documents"].sum() == table.height


def test_one_layer_and_the_exact_cosines(corpus, tmp_path):
    options = TopicsOptions(
        method="themes+hdbscan", resolutions=[0.7], resolution=0.7, reduce="none", n_epochs=20, min_cluster_size=12
    )
    found = Outcome(corpus, tmp_path, options)
    neighbors, cosines = graph_of_corpus(corpus)
    themes = found.labels["theme_id"].to_numpy()
    assert found.labels["layer_theme_ids"].to_pylist() == [[theme] for theme in themes]
    members = np.flatnonzero(themes == 0)
    place = np.full(len(themes), -1)
    place[members] = np.arange(len(members))
    alone = topics_of_theme(place[neighbors[members]], cosines[members], options, corpus.vectors[members])
    np.testing.assert_array_equal(found.labels["topic_id"].to_numpy()[members] < 0, alone.topic_id < 0)
    np.testing.assert_array_equal(found.labels["strength"].to_numpy()[members], alone.strength)


def test_bundles_that_miss_a_theme_are_refused(outcome):
    with pytest.raises(ValueError, match="the bundles of themes have 0 texts, the corpus has 190"):
        join_topics(replace(outcome.join_task, clustered=()), OPTIONS)


def test_transforms_give_the_records_of_the_functions(outcome):
    # Once more: the files are written again with the same bytes.
    run_beam(outcome.layer_tasks, FindThemes(OPTIONS), list(outcome.layers))
    run_beam(outcome.cluster_tasks, ClusterThemes(OPTIONS), [outcome.map, *outcome.clustered])
    run_beam([outcome.join_task], JoinTopics(OPTIONS), [outcome.joined])
    run_beam([outcome.themes_task], DescribeThemes(OPTIONS), [describe_themes(outcome.themes_task, OPTIONS)])


def theme(sizes, spread=0.25, seed=0, dim=24):
    from tests.topics.helpers import graph_of

    vectors, truth = blobs(sizes, dim, spread, seed)
    return *graph_of(vectors), vectors, truth


def test_a_theme_too_small_to_divide_is_one_topic_and_a_smaller_one_is_noise():
    neighbors, cosines, _, _ = theme([20])
    inside = np.where(neighbors < 15, neighbors, -1)
    found = topics_of_theme(inside, cosines, TopicsOptions(min_cluster_size=12))
    assert found.topic_id.tolist() == [0] * 20
    weights = np.maximum(cosines, 0).astype(float)
    np.testing.assert_allclose(found.strength, np.where(inside >= 0, weights, 0).sum(1) / weights.sum(1), rtol=1e-6)
    none = topics_of_theme(neighbors, cosines, TopicsOptions(min_cluster_size=21))
    assert set(none.topic_id) == set(none.assigned_topic_id) == {-1}
    assert not none.strength.any()


@pytest.mark.parametrize("reduce", ["umap", "none"])
def test_a_theme_that_is_all_noise_or_one_giant_is_divided_by_leaf_or_stays_whole(reduce):
    neighbors, cosines, vectors, _ = theme([200], spread=3.0)
    found = topics_of_theme(neighbors, cosines, TopicsOptions(reduce=reduce, min_cluster_size=90, n_epochs=20), vectors)
    assert found.topics >= 1
    sizes = np.bincount(found.topic_id[found.topic_id >= 0])
    assert sizes.max() <= 160 or (found.topics == 1 and sizes.max() == 200)
    # One giant with a small satellite far away: eom calls the giant one topic, more than four fifths of the theme.
    neighbors, cosines, vectors, _ = theme([180, 20])
    found = topics_of_theme(neighbors, cosines, TopicsOptions(reduce=reduce, min_cluster_size=10, n_epochs=50), vectors)
    sizes = np.bincount(found.topic_id[found.topic_id >= 0])
    assert sizes.max() <= 160 or (found.topics == 1 and sizes.max() == 200)


def test_many_equal_texts_share_a_topic():
    vectors, _ = blobs([1000, 1000], spread=1.0)
    vectors[:250] = vectors[0]
    from tests.topics.helpers import graph_of

    found = topics_of_theme(*graph_of(vectors), TopicsOptions(n_epochs=20, reduce="none", min_cluster_size=20), vectors)
    assert len(set(found.topic_id[:250].tolist())) == 1
    assert np.isfinite(found.strength).all()
