"""One generation after another, on files: what is carried on, what has changed, and what is found anew."""

from collections import Counter
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tests.topics.helpers import blobs
from tests.topics.test_stages import Corpus
from transforms.files import file_ref, read_table
from transforms.topics import (
    DRIFT_SCHEMA,
    EVENTS_SCHEMA,
    PUBLISHED_FLOW_SCHEMA,
    FindTopicsTask,
    FlowTask,
    ParentTopics,
    Since,
    TopicsOptions,
    continue_parent,
    count_flow,
    describe_topics,
    find_inside_themes,
    find_topics,
    remember_parent,
)
from transforms.topics.clusters import themes

OPTIONS = TopicsOptions(n_epochs=30, min_cluster_size=12)
SIZES = [90, 60, 40]


class Nightly(Corpus):
    """Documents are called by their texts, so that they are the same whatever else there is."""

    def counted(self):
        return np.array([1 + key[0] % 3 for key in self.keys], int)

    def named(self):
        return [key.hex() for key in self.keys]


class Published:
    """A generation: the tables, and what the next one needs."""

    def __init__(self, corpus, out, options=OPTIONS, before=None, keep=True):
        def job(step, tasks):
            # Not in the order of the tasks: workers finish when they finish.
            return [step(task, options) for task in reversed(tasks)]

        work = f"{out}/work"
        remembered = None if before is None else remember_parent(before.parent, corpus.passages, work, job)
        clustering = before.found.clustering if before is not None and keep else None
        if options.layers:
            inputs = corpus.passages, corpus.neighbors, corpus.blocks
            self.found = find_inside_themes(*inputs, options, work, job, remembered, clustering)
        else:
            self.found = find_topics(FindTopicsTask(corpus.passages, corpus.neighbors, f"{out}/labels.parquet"), options)
        inputs = corpus.passages, corpus.blocks, corpus.documents
        self.record = describe_topics(self.found, *inputs, work, f"{out}/topics", job, (), ["en"], remembered, options.layers)
        documents = tuple(file_ref(file.path, file.rows) for file in corpus.documents)
        record, layers = self.record, options.layers
        self.parent = ParentTopics(
            "parent", documents, record.assignments, record.topics, record.themes, layers, record.centroids
        )
        self.job = job

    def table(self, name):
        return pl.read_parquet(getattr(self.record, name).path)

    def change(self, name):
        return pl.read_parquet(getattr(self.record.changed, name).path)

    @property
    def bytes_of_all(self):
        files = self.record.topics, self.record.themes, self.record.changed.events, self.record.changed.flow
        return [file.sha256 for file in (*files, self.record.changed.drift)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("generations")


@pytest.fixture(scope="module")
def first(folder):
    return Published(Nightly(folder / "first", SIZES, 3, slice(0, 170)), folder / "out-first")


@pytest.fixture(scope="module")
def changed(folder):
    """Ten texts are gone, ten are new."""
    return Nightly(folder / "changed", SIZES, 2, slice(10, 180))


@pytest.fixture(scope="module")
def second(folder, first, changed):
    return Published(changed, folder / "out-second", before=first)


def test_a_first_generation_is_compared_with_nothing(first):
    assert first.record.changed is None
    topics = first.table("topics")
    assert topics["first_seen"].null_count() == topics.height > 0
    assert set(topics["generations"]) == set(first.table("themes")["generations"]) == {1}
    assert first.found.clustering.themes == Since(170)
    assert sum(since.texts for since in first.found.clustering.topics) == 170


def test_texts_that_are_the_same_stay_where_they_were(first, second):
    both = first.table("assignments").join(second.table("assignments"), on=["doc_id", "passage_no"], suffix="_now")
    assert (both["topic_id"] >= 0).sum() > 100
    clustered = both.filter(pl.col("topic_id") >= 0)
    assert (clustered["topic_uid"] == clustered["topic_uid_now"]).all()
    assert (clustered["strength"] == clustered["strength_now"]).all()
    assert ((both["topic_id"] < 0) == (both["topic_id_now"] < 0)).all()
    topics = second.table("topics")
    assert set(topics["topic_uid"]) == set(first.table("topics")["topic_uid"])
    assert set(topics["generations"]) == {2}
    assert set(topics["first_seen"]) == {"parent"}
    assert second.found.themes_found == 0
    assert second.found.clustering.themes == Since(170, 10, 10)
    assert sum(since.came for since in second.found.clustering.topics) == 10


def test_what_has_changed_adds_up(first, second):
    for name, schema in (("events", EVENTS_SCHEMA), ("flow", PUBLISHED_FLOW_SCHEMA), ("drift", DRIFT_SCHEMA)):
        written = read_table(getattr(second.record.changed, name).path).schema
        assert written.equals(schema)
        assert all(field.metadata[b"description"] for field in written)
    events = second.change("events").filter(pl.col("kind") == "topic")
    assert set(events["event"]) <= {"continued", "grown", "shrunk"}
    # Each document has one passage here, hence the sizes are those of the topics table.
    then, now = first.table("topics"), second.table("topics")
    assert dict(events.select("uid", "documents").iter_rows()) == dict(now.select("topic_uid", "documents").iter_rows())
    assert dict(events.select("uid", "documents_before").iter_rows()) == dict(then.select("topic_uid", "documents").iter_rows())
    # Every flow, document by document.
    old, new = first.table("assignments"), second.table("assignments")
    joined = old.join(new, on="doc_id", how="full", suffix="_now")

    def state(topic, uid, absent):
        return (absent, None) if topic is None else ("in", uid) if topic >= 0 else ("noise", None)

    counted = Counter(
        (*state(row["topic_id"], row["topic_uid"], "new"), *state(row["topic_id_now"], row["topic_uid_now"], "gone"))
        for row in joined.to_dicts()
    )
    flow = second.change("flow").filter(pl.col("kind") == "topic")
    assert {row[3:7]: row[7] for row in flow.iter_rows()} == counted
    for drift in second.change("drift").to_dicts():
        assert (drift["documents_before"], drift["documents"]) == (old.height, new.height)
        assert drift["moved"] == 0
    assert second.change("drift")["kind"].to_list() == ["topic", "theme", "theme", "theme"]
    assert second.record.changed.counts["share_stayed"] == 1


def test_it_does_not_depend_on_parts_or_on_when_tasks_are_done(folder, first, changed, second):
    other = Nightly(folder / "other", SIZES, 5, slice(10, 180))
    again = Published(other, folder / "out-other", before=first)
    assert again.bytes_of_all == second.bytes_of_all


def test_always_gives_the_labels_of_a_run_from_nothing(folder, first, changed):
    nothing = Published(changed, folder / "out-nothing")
    always = Published(changed, folder / "out-always", before=first, keep=False)
    own = ["topic_uid", "title", "found_title", "first_seen", "generations", "x", "y"]
    for name in ("topics", "assignments"):
        one, other = (run.table(name).drop(own, strict=False) for run in (nothing, always))
        assert one.equals(other)
    carried = set(always.table("topics")["topic_uid"]) & set(first.table("topics")["topic_uid"])
    assert carried
    assert carried >= set(always.table("topics").filter(pl.col("generations") == 2)["topic_uid"])


def test_too_much_change_finds_all_anew(folder, first, monkeypatch):
    # Without the weight of the past nothing of it is left.
    monkeypatch.setattr(themes, "_LEAN", 1.0)
    corpus = Nightly(folder / "much", SIZES, 2, slice(60, 190))
    found = Published(corpus, folder / "out-much", before=first)
    assert found.found.clustering.themes == Since(130)
    assert found.found.themes_found == found.found.layers[1].topics
    nothing = Published(corpus, folder / "out-much-nothing")
    own = ["topic_uid", "x", "y"]
    assert found.table("assignments").drop(own).equals(nothing.table("assignments").drop(own))


def test_a_new_subject_is_a_theme_with_topics_of_its_own(folder):
    sizes = [90, 60, 20]
    known = np.flatnonzero(blobs(sizes)[1] < 2)
    options = OPTIONS.model_copy(update={"min_cluster_size": 8})
    before = Published(Nightly(folder / "old", sizes, 1, known), folder / "out-old", options)
    after = Published(Nightly(folder / "whole", sizes, 1), folder / "out-whole", options, before)
    assert after.found.clustering.themes.came == 20
    new = after.change("events").filter((pl.col("kind") == "theme") & (pl.col("layer") == 1) & (pl.col("event") == "new"))
    assert new["from_new"].to_list() == new["documents"].to_list()
    assert new.height == 1
    assert after.change("events")["event"][0] == "new"


def test_a_new_subject_that_comes_a_few_texts_a_night_is_seen_as_well(folder):
    sizes = [120, 90, 27]
    truth = blobs(sizes)[1]
    known, coming = np.flatnonzero(truth < 2), np.split(np.flatnonzero(truth == 2), 3)
    before = Published(Nightly(folder / "drip", sizes, 1, known), folder / "out-drip")
    seen = []
    for night in range(3):
        corpus = Nightly(folder / f"drip-{night}", sizes, 2, np.sort(np.concatenate([known, *coming[: night + 1]])))
        before = Published(corpus, folder / f"out-drip-{night}", before=before)
        assert before.found.clustering.themes == Since(210, 9 * (night + 1), 0)
        labels, subject = read_table(before.found.labels.path), corpus.truth == 2
        themes = np.array(labels["layer_theme_ids"].to_pylist())[:, OPTIONS.layer]
        topics = labels["topic_id"].to_numpy()
        own = set(topics[subject]) - {-1}
        assert not own & set(topics[~subject]), "nobody is in a topic about something else"
        assert labels["theme_followed"].to_pylist() == subject.tolist()
        followers = labels["topic_followed"].to_numpy(zero_copy_only=False)
        assert not followers[~subject].any()
        seen.append((not set(themes[subject]) & set(themes[~subject]), len(own), int(followers.sum())))
    # Nine are not enough. On the night on which there are eighteen they are a theme, whose topics are found; nine more are more
    # than a fifth of it, so that they are found again.
    assert seen == [(False, 0, 9), (True, 1, 0), (True, 1, 0)]


def test_without_themes_uids_are_carried_too(folder, first, changed):
    options = OPTIONS.model_copy(update={"method": "hdbscan"})
    before = Published(Nightly(folder / "h", SIZES, 2, slice(0, 170)), folder / "out-h", options)
    after = Published(changed, folder / "out-h2", options, before)
    assert set(after.table("topics")["topic_uid"]) == set(before.table("topics")["topic_uid"])
    assert after.change("drift")["kind"].to_list() == ["topic"]
    # From themes to none: topics are carried on, there are no themes to speak of.
    other = Published(changed, folder / "out-h3", options, first)
    assert set(other.table("topics")["generations"]) <= {1, 2}
    assert other.change("drift")["kind"].to_list() == ["topic"]
    back = Published(changed, folder / "out-h4", OPTIONS, after, keep=False)
    assert back.change("drift")["kind"].to_list() == ["topic"]
    assert set(back.table("themes")["generations"]) == {1}


def test_layers_are_compared_with_those_of_the_same_resolution(folder, first, changed):
    options = OPTIONS.model_copy(update={"resolutions": (1.0, 3.0), "resolution": 1.0})
    found = Published(changed, folder / "out-layers", options, first, keep=False)
    assert found.change("drift").filter(pl.col("kind") == "theme")["resolution"].to_list() == [1.0]
    themes = found.table("themes")
    assert set(themes.filter(pl.col("layer") == 1)["generations"]) == {1}
    assert 2 in set(themes.filter(pl.col("layer") == 0)["generations"])


def test_the_same_texts_are_continued_without_finding_anything(folder, first):
    corpus = Nightly(folder / "first", SIZES, 3, slice(0, 170))
    remembered = remember_parent(first.parent, corpus.passages, f"{folder}/same", first.job)
    record = continue_parent(remembered, f"{folder}/same", f"{folder}/same-out", first.job)
    again = Published(corpus, folder / "out-again", before=first)
    for name in ("topics", "themes"):
        # The map may have moved.
        assert pl.read_parquet(getattr(record, name).path).drop("x", "y").equals(again.table(name).drop("x", "y"))
    for name in ("events", "flow", "drift"):
        assert getattr(record.changed, name).sha256 == getattr(again.record.changed, name).sha256
    assert record.changed.counts["topics_continued"] == first.found.topics
    assert first.table("assignments").drop("x", "y").equals(again.table("assignments").drop("x", "y"))


def test_nothing_is_left_and_then_something_comes_back(folder, first, changed):
    empty = Nightly(folder / "empty", [0], 1)
    gone = Published(empty, folder / "out-empty", before=first, keep=False)
    assert set(gone.change("events").filter(pl.col("kind") == "topic")["event"]) == {"vanished"}
    assert gone.change("drift")["jensen_shannon"].to_list() == [1.0] * 4
    back = Published(changed, folder / "out-back", before=gone, keep=False)
    assert set(back.change("events")["event"]) == {"new"}


def test_topics_whose_texts_were_all_replaced_are_carried_on_by_their_centroids(folder):
    before = Published(Nightly(folder / "half", [50, 50, 50], 1, slice(0, 75)), folder / "out-half")
    corpus = Nightly(folder / "other-half", [50, 50, 50], 1, slice(75, 150))
    after = Published(corpus, folder / "out-other-half", before=before)
    uids = {run: set(run.table("topics")["topic_uid"]) for run in (before, after)}
    assert uids[after] == uids[before]
    assert len(uids[after]) == 3
    assert after.change("drift")["stayed"].to_list() == [0] * 4
    vectors = dict(after.table("centroids").filter(pl.col("kind") == "topic").select("uid", "centroid").iter_rows())
    topics = after.table("topics")
    for number, uid in topics.select("topic_id", "topic_uid").iter_rows():
        members = np.flatnonzero(read_table(after.found.labels.path)["topic_id"].to_numpy() == number)
        mean = corpus.vectors[members].sum(axis=0)
        np.testing.assert_allclose(vectors[uid], mean / np.linalg.norm(mean), atol=1e-6)
    # Another encoder's centroids say nothing.
    before.parent = replace(before.parent, centroids=None)
    other = Published(corpus, folder / "out-other-encoder", before=before)
    assert not set(other.table("topics")["topic_uid"]) & uids[before]


def test_labels_of_other_texts_are_refused(folder, first, changed, second):
    remembered = remember_parent(first.parent, changed.passages, f"{folder}/refused", first.job)
    task = FlowTask(0, remembered.joined[0], (first.found.labels,), (), str(folder))
    with pytest.raises(ValueError, match="does not label the texts"):
        count_flow(task, OPTIONS)
