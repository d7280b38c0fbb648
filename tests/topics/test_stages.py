"""The stages on files, through Beam, against the pure functions and plain joins."""

import hashlib
from collections import Counter
from itertools import pairwise

import apache_beam as beam
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from tests.topics.helpers import blobs, graph_of
from transforms.files import read_table, write_table
from transforms.neighbors import neighbors_schema
from transforms.topics import (
    ASSIGNMENTS_SCHEMA,
    TOPICS_SCHEMA,
    CountTask,
    FindTopicsTask,
    PlaceTask,
    TopicsOptions,
    assign_noise,
    cluster,
    count_texts,
    describe_topics,
    find_topics,
    lay_out,
    place_documents,
    plan,
    topic_uid,
)
from transforms.topics.beam import TopicsStep
from transforms.topics.naming import terms
from transforms.vectors import write_block

OPTIONS = TopicsOptions(n_epochs=50, min_cluster_size=20)
SUBJECTS = ["neural network layer training", "tomato soup kitchen recipe", "football league goal season"]


class Corpus:
    """Texts of three subjects, of which every fifth is the text of two documents and one of 100, as the files of a run."""

    def __init__(self, directory, sizes, parts, rows=slice(None)):
        self.directory = str(directory)
        vectors, truth = blobs(sizes)
        texts = [f"{' and '.join(np.random.default_rng(i).permutation(SUBJECTS[t].split()))} {i}" for i, t in enumerate(truth)]
        chosen = np.arange(len(texts))[rows]
        vectors, truth, texts = vectors[chosen], truth[chosen], [texts[i] for i in chosen]
        keys = [hashlib.sha256(text.encode()).digest() for text in texts]
        order = sorted(range(len(texts)), key=keys.__getitem__)
        self.vectors, self.truth = vectors[order], truth[order]
        self.keys, self.texts = [keys[i] for i in order], [texts[i] for i in order]
        self.ids = np.array([int.from_bytes(key[:8], "big") >> 1 for key in self.keys], np.int64)
        self.copies, self.stems = self.counted(), self.named()
        self.graph = graph_of(self.vectors)
        bounds = np.linspace(0, len(texts), parts + 1).astype(int).tolist()
        spans = list(pairwise(bounds))
        self.passages = tuple(self._passages(part, *span) for part, span in enumerate(spans))
        self.neighbors = tuple(self._neighbors(part, *span) for part, span in enumerate(spans))
        self.blocks = tuple(
            write_block(f"{directory}/v{part}.npy", f"{directory}/i{part}.npy", low, self.ids[low:high], self.vectors[low:high])
            for part, (low, high) in enumerate(spans)
        )
        self.documents = tuple(self._documents(part, parts) for part in range(parts))

    def counted(self):
        """How many documents have each text."""
        return np.array([100 if i == 7 else 1 + (i % 5 == 0) for i in range(len(self.texts))])

    def named(self):
        """How their ids begin."""
        return [f"d{i}" for i in range(len(self.texts))]

    def _passages(self, part, low, high):
        table = {
            "content_key": pa.array(self.keys[low:high], pa.binary(32)),
            "id": self.ids[low:high],
            "text": pa.array(self.texts[low:high], pa.string()),
            "doc_id": pa.array([f"{name}-0" for name in self.stems[low:high]], pa.string()),
            "passage_no": pa.array([0] * (high - low), pa.int32()),
            "n_documents": pa.array(self.copies[low:high], pa.int32()),
        }
        return write_table(f"{self.directory}/passages/part-{part:05d}.parquet", pa.table(table))

    def _neighbors(self, part, low, high):
        neighbors, cosines = self.graph
        rows = [self.ids[low:high], self.ids[neighbors[low:high]].tolist(), cosines[low:high].tolist()]
        table = pa.table([pa.array(c, f.type) for c, f in zip(rows, neighbors_schema(), strict=True)], neighbors_schema())
        return write_table(f"{self.directory}/neighbors/part-{part:05d}.parquet", table)

    def _documents(self, part, parts):
        rows = [(f"{self.stems[i]}-{copy}", self.keys[i]) for i in range(len(self.texts)) for copy in range(self.copies[i])]
        rows = sorted(rows, key=lambda row: hashlib.sha256(row[0].encode()).digest())[part::parts]
        table = {
            "doc_id": pa.array([row[0] for row in rows], pa.string()),
            "passage_no": pa.array([0] * len(rows), pa.int32()),
            "content_key": pa.array([row[1] for row in rows], pa.binary(32)),
            "section": pa.array([row[0][-1] if len(row[0]) % 2 else None for row in rows], pa.string()),
        }
        return write_table(f"{self.directory}/documents/part-{part:05d}.parquet", pa.table(table))


def run_all(corpus, out, options=OPTIONS, job=None):
    """All steps, by plain calls unless a `job` does them; returns the found and the published record."""

    def plainly(step, tasks):
        # Not in the order of the tasks: workers finish when they finish.
        return [step(task, options) for task in reversed(tasks)]

    found = find_topics(FindTopicsTask(corpus.passages, corpus.neighbors, f"{out}/labels.parquet"), options)
    inputs = corpus.passages, corpus.blocks, corpus.documents
    return found, describe_topics(found, *inputs, f"{out}/work", f"{out}/topics", job or plainly)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return Corpus(tmp_path_factory.mktemp("corpus"), [90, 60, 40], 3)


@pytest.fixture(scope="module")
def outcome(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return run_all(corpus, out)


def test_labels_are_those_of_the_pure_functions(corpus, outcome):
    found, _ = outcome
    labels = read_table(found.labels.path)
    layouts = lay_out(*corpus.graph, OPTIONS)
    clusters = cluster(layouts.coordinates, OPTIONS, corpus.copies)
    np.testing.assert_array_equal(labels["topic_id"].to_numpy(), clusters.topic_id)
    np.testing.assert_array_equal(labels["assigned_topic_id"].to_numpy(), assign_noise(clusters.topic_id, *corpus.graph)[0])
    np.testing.assert_array_equal(np.column_stack([labels["x"], labels["y"]]), layouts.xy)
    assert labels["content_key"].to_pylist() == corpus.keys
    assert (found.distinct_texts, found.topics) == (190, clusters.topics)
    assert found.noise_texts == (clusters.topic_id < 0).sum()


def test_topics_are_the_subjects(corpus, outcome):
    found, published = outcome
    table = read_table(published.topics.path)
    assert table.schema.equals(TOPICS_SCHEMA)
    rows = table.to_pylist()
    assert len(rows) == found.topics == 3
    labels = read_table(found.labels.path)["topic_id"].to_numpy()
    for row in rows:
        members = np.flatnonzero(labels == row["topic_id"])
        subject = SUBJECTS[Counter(corpus.truth[members]).most_common(1)[0][0]]
        assert set(row["terms"]) == set(subject.split())  # the numbers and the joining word are no terms
        assert row["title"] == ", ".join(row["terms"][:3])
        assert row["documents"] == corpus.copies[members].sum()
        assert row["topic_uid"] == topic_uid([corpus.keys[i] for i in members])
        chosen = [int(name[1:].split("-")[0]) for name in row["representative_doc_ids"]]
        assert len(chosen) == 3
        assert set(chosen) <= set(members.tolist())
        check_border(corpus, labels, row)
    documents = [row["documents"] for row in rows]
    assert documents == sorted(documents, reverse=True)
    assert sum(row["assigned_documents"] for row in rows) == corpus.copies.sum()


def check_border(corpus, labels, row):
    """The first is the member of the smallest margin, both have what dense cosines with the centroids of all topics say."""
    topics = labels.max() + 1
    centres = np.array([corpus.vectors[labels == topic].sum(axis=0, dtype=np.float64) for topic in range(topics)])
    cosines = corpus.vectors @ (centres / np.linalg.norm(centres, axis=1, keepdims=True)).T
    members = np.flatnonzero(labels == row["topic_id"])
    others = np.delete(cosines[members], row["topic_id"], axis=1)
    margins = cosines[members, row["topic_id"]] - others.max(axis=1)
    first, second = (int(name[1:].split("-")[0]) for name in row["boundary_doc_ids"])
    assert first == members[np.argmin(margins)]
    for document, other, margin in zip((first, second), row["boundary_other_ids"], row["boundary_margins"], strict=True):
        at = int(np.flatnonzero(members == document)[0])
        assert other == np.argmax(np.where(np.arange(topics) == row["topic_id"], -np.inf, cosines[document]))
        assert margin == pytest.approx(margins[at], abs=1e-6)
    assert row["boundary_passage_nos"] == [0, 0]


def test_every_document_gets_the_topic_of_its_text(corpus, outcome):
    found, published = outcome
    table = pl.read_parquet(published.assignments.path)
    assert table.height == published.assignments.rows == corpus.copies.sum()
    assert read_table(published.assignments.path).schema.equals(ASSIGNMENTS_SCHEMA)
    documents = pl.concat([pl.read_parquet(ref.path) for ref in corpus.documents])
    assert table["doc_id"].to_list() == documents["doc_id"].to_list()
    labels = pl.read_parquet(found.labels.path)
    uids = pl.read_parquet(published.topics.path).select(pl.col("topic_id").alias("assigned_topic_id"), "topic_uid")
    expected = documents.join(labels, "content_key", maintain_order="left").join(
        uids, "assigned_topic_id", how="left", maintain_order="left"
    )
    expected = expected.with_columns(theme_id=pl.lit(None, pl.Int32))
    assert table.equals(expected.select(table.columns))
    assert published.noise_documents == (table["topic_id"] == -1).sum()
    assert published.unassigned_documents == table["topic_uid"].null_count()


def test_output_does_not_depend_on_parts_or_on_when_it_runs(corpus, outcome, tmp_path):
    other = Corpus(tmp_path / "other", [90, 60, 40], 1)
    found, published = run_all(other, tmp_path / "out")
    assert found.labels.sha256 == outcome[0].labels.sha256
    assert published.topics.sha256 == outcome[1].topics.sha256
    key = ["doc_id", "passage_no"]  # their order is that of the documents parts
    assert pl.read_parquet(published.assignments.path).sort(key).equals(pl.read_parquet(outcome[1].assignments.path).sort(key))


@pytest.mark.parametrize("size", [0, 1, 2, 4])
def test_tiny_corpora_have_no_topics(size, tmp_path):
    found, published = run_all(Corpus(tmp_path, [size], 1), tmp_path / "out", TopicsOptions())
    assert (found.topics, found.noise_texts, published.topics.rows) == (0, size, 0)
    table = pl.read_parquet(published.assignments.path)
    assert table.height == published.noise_documents == published.unassigned_documents
    assert set(table["topic_id"]) | set(table["assigned_topic_id"]) <= {-1}
    assert table["topic_uid"].null_count() == table.height


def test_no_parts_at_all(tmp_path):
    found = find_topics(FindTopicsTask((), (), f"{tmp_path}/labels.parquet"), OPTIONS)

    def job(step, tasks):
        return [step(task, OPTIONS) for task in tasks]

    published = describe_topics(found, (), (), (), f"{tmp_path}/work", f"{tmp_path}/topics", job)
    assert (found.distinct_texts, published.topics.rows, published.assignments.rows) == (0, 0, 0)


def test_files_of_another_run_are_refused(corpus, outcome, tmp_path):
    other = Corpus(tmp_path, [10, 8, 3], 1)
    found, _ = outcome
    with pytest.raises(ValueError, match="does not label the texts"):
        count_texts(CountTask(0, other.passages, other.blocks, found.labellings, str(tmp_path)), OPTIONS)
    with pytest.raises(ValueError, match=r"the text of document d\d+-\d+ in .* has no label"):
        place_documents(PlaceTask(0, other.documents, found.labels, found.topics, str(tmp_path)), OPTIONS)
    with pytest.raises(ValueError, match="neighbour graph"):
        find_topics(FindTopicsTask(other.passages, corpus.neighbors, f"{tmp_path}/labels.parquet"), OPTIONS)


def test_counts_are_the_same_bytes_however_few_texts_are_split_at_a_time(corpus, outcome, tmp_path, monkeypatch):
    def counted(folder):
        task = CountTask(0, corpus.passages, corpus.blocks, outcome[0].labellings, f"{tmp_path}/{folder}")
        return [record.counts.sha256 for record in count_texts(task, OPTIONS).of_labellings]

    whole = counted("whole")
    monkeypatch.setattr(terms, "_CHARACTERS", 100)
    assert counted("few") == whole


@pytest.mark.parametrize("least", [1, 64])
def test_tables_do_not_depend_on_how_the_work_is_cut(least, corpus, outcome, tmp_path, monkeypatch):
    """One task for all parts or one for each, few terms in a range, few topics in a task: the same bytes."""
    tasks = {}

    def job(step, some):
        tasks[step.__name__] = len(some)
        return [step(task, OPTIONS) for task in some]

    for name, value in {"_TASKS": least, "COUNTS_PER_TASK": 2, "_TEXTS_PER_NAMING": 70}.items():
        monkeypatch.setattr(plan, name, value)
    monkeypatch.setattr("transforms.topics.assigning._ROWS", 7)
    monkeypatch.setattr("transforms.topics.naming.naming._ROWS", 5)
    _, published = run_all(corpus, tmp_path, job=job)
    assert tasks.pop("weigh_terms") >= 4
    parts = 1 if least == 1 else 3
    assert tasks.pop("publish_topics") == 1
    assert set(tasks.values()) == {parts}
    assert published.topics.sha256 == outcome[1].topics.sha256
    assert published.assignments.sha256 == outcome[1].assignments.sha256


def run_beam(step, tasks, expected, options=OPTIONS):
    with TestPipeline(runner="FnApiRunner") as pipeline:
        assert_that(pipeline | beam.Create(tasks) | TopicsStep(step, options), equal_to(expected))


def test_transforms_give_the_records_of_the_functions(corpus, outcome, tmp_path):
    found, published = outcome
    # Once more: the files are written again with the same bytes.
    run_beam(find_topics, [FindTopicsTask(corpus.passages, corpus.neighbors, found.labels.path)], [found])

    def job(step, tasks):
        records = [step(task, OPTIONS) for task in tasks]
        if step in (count_texts, place_documents):  # the transform of all steps is the same
            run_beam(step, tasks, records)
        return records

    _, again = run_all(corpus, tmp_path, job=job)
    assert (again.topics.sha256, again.assignments.sha256) == (published.topics.sha256, published.assignments.sha256)


class SplitCorpus(Corpus):
    """The same texts as passages of documents: text i is passage i // 50 of document i % 50."""

    def __init__(self, directory, sizes, parts):
        super().__init__(directory, sizes, parts)
        self.copies = np.ones(len(self.texts), int)
        self.names = [(f"d{i % 50:02d}", i // 50) for i in range(len(self.texts))]
        bounds = np.linspace(0, len(self.texts), parts + 1).astype(int).tolist()
        self.passages = tuple(self._passages(part, *span) for part, span in enumerate(pairwise(bounds)))
        self.documents = tuple(self._split_documents(part, parts) for part in range(parts))

    def counted(self):
        """How many documents have each text."""
        return np.array([100 if i == 7 else 1 + (i % 5 == 0) for i in range(len(self.texts))])

    def named(self):
        """How their ids begin."""
        return [f"d{i}" for i in range(len(self.texts))]

    def _passages(self, part, low, high):
        ref = super()._passages(part, low, high)
        names = getattr(self, "names", [("", 0)] * high)[low:high]
        table = read_table(ref.path).drop_columns(["doc_id", "passage_no"])
        table = table.append_column("doc_id", pa.array([name for name, _ in names], pa.string()))
        return write_table(ref.path, table.append_column("passage_no", pa.array([number for _, number in names], pa.int32())))

    def _split_documents(self, part, parts):
        rows = [
            (*name, key) for name, key in sorted(zip(self.names, self.keys, strict=True)) if int(name[0][1:]) % parts == part
        ]
        names, numbers, keys = zip(*rows, strict=True)
        columns = [pa.array(names), pa.array(numbers, pa.int32()), pa.array(keys, pa.binary(32))]
        table = pa.table(columns, ["doc_id", "passage_no", "content_key"])
        return write_table(f"{self.directory}/documents/part-{part:05d}.parquet", table)


def test_counts_named_documents_count_documents(tmp_path):
    corpus = SplitCorpus(tmp_path, [90, 60, 40], 3)
    found, published = run_all(corpus, tmp_path / "out", TopicsOptions(n_epochs=50, min_cluster_size=20, min_samples=10))
    rows = pl.read_parquet(published.assignments.path).to_dicts()
    assert len(rows) == 190
    in_topic = {row["doc_id"] for row in rows if row["topic_id"] >= 0}
    near_topic = {row["doc_id"] for row in rows if row["assigned_topic_id"] >= 0}
    assert (published.noise_documents, published.unassigned_documents) == (50 - len(in_topic), 50 - len(near_topic))
    name_of = dict(zip(corpus.names, corpus.texts, strict=True))
    for topic in read_table(published.topics.path).to_pylist():
        for column, counted in (("topic_id", "documents"), ("assigned_topic_id", "assigned_documents")):
            assert topic[counted] == len({row["doc_id"] for row in rows if row[column] == topic["topic_id"]})
        passages = list(zip(topic["representative_doc_ids"], topic["representative_passage_nos"], strict=True))
        assert len({doc_id for doc_id, _ in passages}) == len(passages) == 3
        members = {(row["doc_id"], row["passage_no"]) for row in rows if row["topic_id"] == topic["topic_id"]}
        assert set(passages) <= members <= set(name_of)
        assert topic["documents"] < len(members)
    assert found.topics == 3
