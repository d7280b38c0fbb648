import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import transforms.index.truth as truth_module
from tests.neighbors.helpers import clumpy_vectors, make_blocks, make_ids, random_vectors
from transforms.index import QuerySet, RecallMeter, exact_top
from transforms.index.recall import TIE


def naive_recall(vectors, ids, queries, answers, k):
    """By its definition, one query at a time: `answers` are ids without the query itself."""
    shares = []
    for query, answer in zip(queries, answers, strict=True):
        scores = vectors.astype(np.float64) @ vectors[query].astype(np.float64)
        others = np.delete(scores, query)
        limit = np.sort(others)[::-1][k - 1] - TIE
        good = [i for i in answer[:k] if i >= 0 and scores[np.searchsorted(ids, i)] >= limit]
        shares.append(len(good) / k)
    return np.mean(shares)


class FixedAnswers:
    """An index that gives the answers it is told to."""

    def __init__(self, answers):
        self.answers = answers

    def search(self, queries, k):
        ids = np.full((len(queries), k), -1, np.int64)
        ids[:, : self.answers.shape[1]] = self.answers[:, :k]
        scores = np.where(ids >= 0, -np.arange(k), -np.inf).astype(np.float32)
        return scores, ids


def meter_of(folder, vectors, chosen, rows_per_block=9, **arguments) -> RecallMeter:
    """A meter whose queries are the rows `chosen` of the corpus."""
    ids = make_ids(len(vectors))
    blocks = make_blocks(folder, vectors, ids, rows_per_block)
    (queries,) = make_blocks(folder / "queries", vectors[chosen], ids[chosen], len(vectors))
    truth = exact_top(queries.ids(), queries.vectors(), blocks, 100)
    return RecallMeter([QuerySet("corpus", queries)], blocks, truth, **arguments)


def means(meter: RecallMeter, index, name: str = "corpus") -> list[float]:
    """Mean recall at 1, 10 and 100 of what an index answers."""
    return [float(shares.mean()) for shares in meter.shares(meter.search(index))[name]]


@settings(max_examples=50)
@given(clumpy_vectors(max_rows=40), st.integers(0, 2**32 - 1))
def test_recall_is_that_of_the_definition_with_ties(tmp_path_factory, vectors, seed):
    rows, ids, generator = len(vectors), make_ids(len(vectors)), np.random.default_rng(seed)
    chosen = np.sort(generator.choice(rows, min(5, rows), replace=False))
    meter = meter_of(tmp_path_factory.mktemp("recall"), vectors, chosen)
    answers = np.stack([generator.permutation(ids) for _ in chosen])
    without = [answer[answer != ids[query]] for query, answer in zip(chosen, answers, strict=True)]
    expected = [naive_recall(vectors, ids, chosen, without, min(k, rows - 1)) for k in (1, 10, 100)]
    assert means(meter, FixedAnswers(answers)) == pytest.approx(expected)
    assert meter.recall(meter.search(FixedAnswers(answers))) == pytest.approx(expected[1])


def test_texts_beyond_the_known_neighbours_that_tie_count_as_found(tmp_path):
    """150 equal texts, of which exact search names 100."""
    vectors = np.concatenate([np.repeat(random_vectors(1), 150, axis=0), random_vectors(50, seed=1)])
    meter = meter_of(tmp_path, vectors, np.array([3]), rows_per_block=40)
    ids, named = make_ids(200), set(meter.truth.ids[0].tolist())
    others = np.array([[i for i in ids[:150] if i not in named and i != ids[3]]])
    assert others.shape == (1, 49)
    assert means(meter, FixedAnswers(others)) == [1.0, 1.0, 0.49]
    assert means(meter, FixedAnswers(ids[None, 150:])) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("unit", [True, False])
def test_batches_of_queries_give_what_all_at_once_give(tmp_path, monkeypatch, unit):
    vectors = random_vectors(300) if unit else random_vectors(300) * np.linspace(0.5, 2, 300, dtype=np.float32)[:, None]
    meter = meter_of(tmp_path, vectors, np.arange(0, 300, 7), 50, unit=unit)
    index = faiss.IndexIDMap2(faiss.index_factory(vectors.shape[1], "SQ4", faiss.METRIC_INNER_PRODUCT))
    index.train(vectors)
    index.add_with_ids(vectors, make_ids(300))
    whole = meter.search(index, 120)
    good = meter.good(whole, 10, 120)
    assert 0.3 < good[:, :10].mean() < 1
    monkeypatch.setattr(truth_module, "QUERIES", 5)
    found = meter.search(index, 120)
    assert np.array_equal(found.ids, whole.ids)
    assert np.array_equal(found.scores, whole.scores)
    assert np.array_equal(meter.good(found, 10, 120), good)


def test_each_set_of_queries_has_its_own_recall_and_the_lower_one_counts(tmp_path):
    vectors, ids = random_vectors(300), make_ids(300)
    blocks = make_blocks(tmp_path, vectors, ids, 100)
    (own,) = make_blocks(tmp_path / "own", vectors[:4], ids[:4], 4)
    (asked,) = make_blocks(tmp_path / "asked", random_vectors(3, seed=8), np.array([-4, -3, -2]), 3)
    sets = [QuerySet("corpus", own), QuerySet("file", asked)]
    queries = np.concatenate([own.vectors(), asked.vectors()])
    truth = exact_top(np.concatenate([own.ids(), asked.ids()]), queries, blocks, 100)
    meter = RecallMeter(sets, blocks, truth)
    scores = queries.astype(np.float64) @ vectors.astype(np.float64).T
    order = ids[np.argsort(-scores, axis=1)]
    assert (order[:4, 0] == ids[:4]).all()
    assert means(meter, FixedAnswers(order), "corpus") == means(meter, FixedAnswers(order), "file") == [1.0, 1.0, 1.0]
    half = order.copy()
    half[4:, 5:10] = order[4:, 295:]
    assert means(meter, FixedAnswers(half), "corpus") == [1.0, 1.0, 1.0]
    assert means(meter, FixedAnswers(half), "file") == pytest.approx([1.0, 0.5, 0.95])
    assert meter.recall(meter.search(FixedAnswers(half))) == 0.5
    # An index of 10 texts has 9 others for one of its own, and 10 for a query from outside.
    few = RecallMeter(sets, make_blocks(tmp_path / "few", vectors[:10], ids[:10], 10), truth)
    assert (few.ranks("corpus"), few.ranks("file")) == ([1, 9, 9], [1, 10, 10])
