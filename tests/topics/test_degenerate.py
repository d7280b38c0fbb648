"""Inputs that break others, with every method, on files: what comes out is whole, finite and the same however it is cut."""

import numpy as np
import polars as pl
import pytest

from tests.topics.helpers import scattered, unit
from tests.topics.test_stages import Corpus
from transforms.topics import FindTopicsTask, TopicsOptions, describe_topics, find_inside_themes, find_topics

METHODS = {
    "themes": {"method": "themes+hdbscan"},
    "themes, exact": {"method": "themes+hdbscan", "reduce": "none"},
    "hdbscan": {"method": "hdbscan"},
    "hdbscan, exact": {"method": "hdbscan", "reduce": "none"},
    "kmeans": {"method": "kmeans"},
}


def equal(n):
    return np.repeat(unit(np.ones((1, 24))), n, axis=0)


SETS = {
    "two texts": lambda: scattered(2),
    "equal vectors": lambda: equal(120),
    "orthogonal": lambda: np.eye(24, dtype=np.float32),
    "nothing alike": lambda: scattered(150),
    "many equal among others": lambda: np.vstack([equal(100), scattered(300)]),
    "one cluster": lambda: unit(np.ones((200, 24)) + 0.2 * scattered(200)),
    "opposite": lambda: np.vstack([equal(40), -equal(40)]),
}


class Given(Corpus):
    """A corpus whose vectors are given."""

    def __init__(self, directory, vectors, parts):
        self.given = vectors
        super().__init__(directory, [len(vectors)], parts)

    def __setattr__(self, name, value):
        # In the order of the content keys, which has nothing to do with the vectors.
        super().__setattr__(name, self.given if name == "vectors" else value)


def run_all(corpus, out, options):
    def job(step, tasks):
        return [step(task, options) for task in tasks]

    if options.layers:
        found = find_inside_themes(corpus.passages, corpus.neighbors, corpus.blocks, options, f"{out}/work", job)
    else:
        task = FindTopicsTask(corpus.passages, corpus.neighbors, f"{out}/work/labels.parquet", corpus.blocks)
        found = find_topics(task, options)
    return found, describe_topics(found, corpus.passages, corpus.blocks, corpus.documents, f"{out}/work", f"{out}/out", job)


# Every method in two sets, every set with the default method, and the rest where there is time.
OFTEN = [(method, name) for method in METHODS for name in SETS if method == "themes" or name in ("two texts", "equal vectors")]
REST = [(method, name) for method in METHODS for name in SETS if (method, name) not in OFTEN]


@pytest.mark.parametrize(("method", "name"), [*OFTEN, *(pytest.param(*pair, marks=pytest.mark.long) for pair in REST)])
def test_tables_are_whole(method, name, tmp_path):
    options, vectors = TopicsOptions(n_epochs=11, **METHODS[method]), SETS[name]()
    found, published = run_all(Given(tmp_path / "a", vectors, 3), tmp_path / "a", options)
    rows = pl.read_parquet(published.assignments.path)
    assert rows.height == published.assignments.rows >= len(vectors)
    for column in ("strength", "assigned_score"):
        assert rows[column].is_between(0, 1).all()
    assert rows["x"].is_finite().all()
    assert rows["y"].is_finite().all()
    assert (rows["assigned_topic_id"] >= rows["topic_id"]).all()
    assert set(rows["topic_id"]) - {-1} == set(range(found.topics))
    if options.layers:
        assert rows["theme_id"].null_count() == 0
        themes = pl.read_parquet(published.themes.path)
        assert themes.group_by("layer").agg(pl.col("documents").sum())["documents"].to_list() == [rows.height] * 3
    # Cut otherwise, and once more.
    _, other = run_all(Given(tmp_path / "b", vectors, 1), tmp_path / "b", options)
    assert other.topics.sha256 == published.topics.sha256
    key = ["doc_id", "passage_no"]
    assert pl.read_parquet(other.assignments.path).sort(key).equals(rows.sort(key))


# The two that lay out give equal vectors different places: what they share is not a matter of distances there.
@pytest.mark.parametrize("method", ["themes", "hdbscan", "hdbscan, exact", "kmeans"])
@pytest.mark.parametrize("name", ["many equal among others", "equal vectors"])
def test_equal_vectors_share_a_topic(method, name, tmp_path):
    options = TopicsOptions(n_epochs=11, **METHODS[method])
    corpus = Given(tmp_path, SETS[name](), 2)
    found, published = run_all(corpus, tmp_path, options)
    rows = pl.read_parquet(published.assignments.path).filter(pl.col("doc_id").is_in([f"d{i}-0" for i in range(100)]))
    assert found.topics >= 1
    assert rows["topic_id"].n_unique() == 1
    assert rows["topic_id"][0] >= 0
    for layer in rows["layer_theme_ids"].to_list():
        assert layer == rows["layer_theme_ids"][0].to_list()
