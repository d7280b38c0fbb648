"""Themes and their topics on files, against the pure functions and plain joins."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tests.topics.helpers import blobs, graph_of, scattered, unit
from tests.topics.test_stages import SUBJECTS, Corpus, run_beam
from transforms.files import read_table
from transforms.neighbors import read_neighbors
from transforms.topics import (
    THEMES_SCHEMA,
    Counted,
    TopicsOptions,
    cluster_themes,
    community_graph,
    describe_topics,
    find_inside_themes,
    find_layer,
    find_themes,
    graph_arrays,
    join_topics,
    lay_out_map,
    theme_stages,
    theme_uid,
    topic_uid,
    topics_of_theme,
)
from transforms.topics.clusters import divide
from transforms.vectors import gather_rows

COUNTED = (Counted("section", "value"),)
OPTIONS = TopicsOptions(method="themes+hdbscan", n_epochs=50, min_cluster_size=12)


class Outcome:
    """All steps of the method by plain calls on a corpus's files; what each was given, and what it left."""

    def __init__(self, corpus, out, options=OPTIONS):
        self.done = {}

        def job(step, tasks):
            # Not in the order of the tasks: workers finish when they finish.
            records = [step(task, options) for task in reversed(tasks)]
            self.done[step] = tasks, records[::-1]
            return records

        scratch, folder = f"{out}/work", f"{out}/topics"
        self.found = find_inside_themes(corpus.passages, corpus.neighbors, corpus.blocks, options, scratch, job)
        inputs = corpus.passages, corpus.blocks, corpus.documents
        self.published = describe_topics(self.found, *inputs, scratch, folder, job, COUNTED)

    @property
    def labels(self):
        return read_table(self.found.labels.path)

    @property
    def themes(self):
        """The theme of every text in the layer that topics are in, and in all layers."""
        layers = np.array(self.labels["layer_theme_ids"].to_pylist(), int)
        return layers[:, OPTIONS.layer if layers.shape[1] > 1 else 0], layers


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
    themes, layers = outcome.themes
    for layer, resolution in enumerate(OPTIONS.resolutions):
        np.testing.assert_array_equal(layers[:, layer], find_themes(graph, resolution, OPTIONS.seed, corpus.copies))
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
    found = outcome.found
    assert (found.distinct_texts, found.topics, found.noise_texts) == (190, topic_id.max() + 1, (topic_id < 0).sum())
    assert [layer.topics for layer in found.layers] == (layers.max(axis=0) + 1).tolist()


def test_themes_are_the_subjects_and_topics_lie_in_one_theme(corpus, outcome):
    table = read_table(outcome.published.themes.path)
    assert table.schema.equals(THEMES_SCHEMA)
    _, layers = outcome.themes
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
        assert row["theme_uid"] == theme_uid(OPTIONS.resolutions[row["layer"]], topic_uid([corpus.keys[i] for i in members]))
        assert {int(name[1:].split("-")[0]) for name in row["representative_doc_ids"]} <= set(members.tolist())
    assert len({row["theme_uid"] for row in rows}) == len(rows)
    topics = pl.read_parquet(outcome.published.topics.path)
    inside = topics.group_by("theme_id").len().to_dicts()
    assert {row["theme_id"]: row["topics"] for row in rows if row["layer"] == 1 and row["topics"]} == {
        row["theme_id"]: row["len"] for row in inside
    }
    assert {row["topics"] for row in rows if row["layer"] != 1} == {None}
    rows = pl.read_parquet(outcome.published.assignments.path)
    joined = rows.join(topics, left_on="assigned_topic_id", right_on="topic_id", suffix="_of_topic")
    assert (joined["theme_id"] == joined["theme_id_of_topic"]).all()
    assert joined.height == rows.height - outcome.published.unassigned_documents
    assert rows["theme_id"].null_count() == 0
    assert (rows["theme_id"] == rows["layer_theme_ids"].list.get(1)).all()
    assert rows.filter(pl.col("topic_id") >= 0)["assigned_score"].unique().to_list() == [1.0]


def test_tables_add_up_to_topics_and_themes(outcome):
    table = pl.read_parquet(outcome.published.tables.path)
    for kind, file in (("topic", outcome.published.topics), ("theme", outcome.published.themes)):
        named = pl.read_parquet(file.path)
        sums = table.filter((pl.col("kind") == kind) & (pl.col("topic_id") >= 0)).group_by("uid").agg(
            pl.col("documents").sum(), pl.col("assigned_documents").sum(), pl.col("share").sum(), pl.col("topic_id").first()
        )  # fmt: skip
        joined = named.join(sums, left_on=f"{kind}_uid", right_on="uid", suffix="_summed")
        assert joined.height == named.height == sums.height
        assert (joined["documents"] == joined["documents_summed"]).all()
        assert (joined[f"{kind}_id"] == joined["topic_id_summed" if kind == "topic" else "topic_id"]).all()
        np.testing.assert_allclose(joined["share"], 1, rtol=1e-6)
        if kind == "topic":
            assert (joined["assigned_documents"] == joined["assigned_documents_summed"]).all()
    noise = table.filter((pl.col("kind") == "topic") & (pl.col("topic_id") == -1))
    assert noise["documents"].sum() == outcome.published.noise_documents
    assert noise["assigned_documents"].sum() == outcome.published.unassigned_documents


def test_output_does_not_depend_on_parts_bundles_or_on_when_it_runs(corpus, outcome, tmp_path, monkeypatch):
    monkeypatch.setattr(theme_stages, "_BUNDLE_ROWS", 1)
    other = Outcome(Corpus(tmp_path / "other", [90, 60, 40], 1), tmp_path / "out")
    assert len(other.done[cluster_themes][0]) > len(outcome.done[cluster_themes][0]) == 2
    assert other.found.labels.sha256 == outcome.found.labels.sha256
    assert other.published.topics.sha256 == outcome.published.topics.sha256
    assert other.published.themes.sha256 == outcome.published.themes.sha256
    assert other.published.tables.sha256 == outcome.published.tables.sha256
    # Rows are in the order of the parts of documents.
    one, two = (pl.read_parquet(run.published.assignments.path).sort("doc_id", "passage_no") for run in (other, outcome))
    assert one.equals(two)


@pytest.mark.parametrize("size", [0, 1, 2, 4])
def test_tiny_corpora_have_themes_and_no_topics(size, tmp_path):
    outcome = Outcome(Corpus(tmp_path, [size], 1), tmp_path / "out", TopicsOptions(method="themes+hdbscan"))
    found, published = outcome.found, outcome.published
    assert (found.topics, found.noise_texts, published.topics.rows) == (0, size, 0)
    table = pl.read_parquet(published.assignments.path)
    assert table.height == published.noise_documents
    assert table["theme_id"].null_count() == 0
    themes = pl.read_parquet(published.themes.path)
    assert themes.filter(pl.col("layer") == 1)["documents"].sum() == table.height


def test_one_layer_and_the_exact_cosines(corpus, tmp_path):
    options = TopicsOptions(
        method="themes+hdbscan", resolutions=[0.7], resolution=0.7, reduce="none", n_epochs=20, min_cluster_size=12
    )
    found = Outcome(corpus, tmp_path, options)
    neighbors, cosines = graph_of_corpus(corpus)
    themes, layers = found.themes
    assert layers.shape == (190, 1)
    members = np.flatnonzero(themes == 0)
    place = np.full(len(themes), -1)
    place[members] = np.arange(len(members))
    alone = topics_of_theme(place[neighbors[members]], cosines[members], options, corpus.vectors[members])
    np.testing.assert_array_equal(found.labels["topic_id"].to_numpy()[members] < 0, alone.topic_id < 0)
    np.testing.assert_array_equal(found.labels["strength"].to_numpy()[members], alone.strength)


@pytest.mark.parametrize("reduce", ["umap", "none"])
def test_themes_above_the_limit_are_clustered_by_landmarks_and_each_block_is_read_once(corpus, tmp_path, monkeypatch, reduce):
    options = OPTIONS.model_copy(update={"landmarks": 50, "reduce": reduce})
    reads = []
    monkeypatch.setattr(theme_stages, "gather_rows", lambda *args: reads.append(args) or gather_rows(*args))
    found = Outcome(corpus, tmp_path, options)
    assert len(reads) == len(found.done[cluster_themes][0]) - 1  # without the map's task
    neighbors, cosines = graph_of_corpus(corpus)
    themes, _ = found.themes
    assert np.bincount(themes).max() > 50
    for theme in range(themes.max() + 1):
        members = np.flatnonzero(themes == theme)
        place = np.full(len(themes), -1)
        place[members] = np.arange(len(members))
        alone = topics_of_theme(place[neighbors[members]], cosines[members], options, corpus.vectors[members])
        np.testing.assert_array_equal(found.labels["topic_id"].to_numpy()[members] < 0, alone.topic_id < 0)
        np.testing.assert_array_equal(found.labels["strength"].to_numpy()[members], alone.strength)


def test_bundles_that_miss_a_theme_are_refused(outcome):
    ((task,), _) = outcome.done[join_topics]
    with pytest.raises(ValueError, match="the bundles of themes have 0 texts, the corpus has 190"):
        join_topics(replace(task, clustered=()), OPTIONS)


def test_transforms_give_the_records_of_the_functions(outcome):
    for step in (find_layer, cluster_themes, join_topics):  # once more: the files are written again with the same bytes
        run_beam(step, *outcome.done[step], OPTIONS)


def theme(sizes, spread=0.25, seed=0, dim=24):
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


def sizes_of(topic_id):
    """Texts that are noise, then those of every topic."""
    return np.bincount(topic_id + 1).tolist()


@pytest.mark.parametrize("reduce", ["umap", "none"])
@pytest.mark.parametrize(
    ("halves", "eom", "leaf", "expected"),
    [
        # A giant of two halves with a satellite: only leaf divides the giant; one without halves stays whole.
        (0.25, [0, 180, 20], [0, 90, 90, 20], [0, 90, 90, 20]),
        (0.0, [0, 180, 20], [0, 180, 20], [0, 200]),
        # Nothing alike: all noise.
        (None, [200], [200], [0, 200]),
    ],
)
def test_a_theme_that_is_all_noise_or_one_giant_is_divided_by_leaf_or_stays_whole(
    reduce, halves, eom, leaf, expected, monkeypatch
):
    rng = np.random.default_rng(0)
    giant, apart, satellite = unit(rng.normal(size=(3, 24)))
    centres = np.vstack([giant + (halves or 0) * apart, giant - (halves or 0) * apart, satellite])
    vectors = unit(np.repeat(centres, [90, 90, 20], axis=0) + 0.25 * rng.normal(size=(200, 24)) / np.sqrt(24))
    if halves is None:
        vectors = scattered(200)
    # HDBSCAN sees what the set says, not what a layout makes of it.
    monkeypatch.setattr(divide, "reduced", lambda *_: vectors)
    neighbors, cosines = graph_of(vectors)
    options = TopicsOptions(reduce=reduce, min_cluster_size=10 if halves is not None else 90)
    find = divide.divider(neighbors, cosines, options, vectors)
    for method, sizes in (("eom", eom), ("leaf", leaf)):
        assert sizes_of(find(options.model_copy(update={"cluster_selection_method": method})).topic_id) == sizes
    found = topics_of_theme(neighbors, cosines, options, vectors)
    assert sizes_of(found.topic_id) == expected
    if found.topics == 1:
        np.testing.assert_allclose(found.strength, 1)  # all neighbours are inside


def test_many_equal_texts_share_a_topic():
    vectors, _ = blobs([1000, 1000], spread=1.0)
    vectors[:250] = vectors[0]
    found = topics_of_theme(*graph_of(vectors), TopicsOptions(n_epochs=20, reduce="none", min_cluster_size=20), vectors)
    assert len(set(found.topic_id[:250].tolist())) == 1
    assert np.isfinite(found.strength).all()
