"""Vectors of any length under inner product: the published index against brute force over the same vectors."""

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.index.helpers import at_10, build, clustered_vectors, make_corpus
from tests.index.test_recall import FixedAnswers, means, meter_of
from tests.neighbors.helpers import clumpy_vectors, make_ids
from transforms.index import IndexOptions
from transforms.index.recall import TIE

TYPES = ["auto", "IVF16,Flat", "IVF16,SQfp16", "IVF16,SQ8", "RR,IVF16,RaBitQ8"]


def lengthy_vectors(rows: int, spread: float = 0.5, seed: int = 3) -> np.ndarray:
    """Clustered directions with log-normal lengths, as dot-product models give them, only more so."""
    lengths = 6 * np.exp(spread * np.random.default_rng(seed).normal(size=(rows, 1)))
    return (clustered_vectors(rows) * lengths).astype(np.float32)


@pytest.mark.parametrize("kind", TYPES)
def test_answers_are_brute_force_by_inner_product(tmp_path, kind):
    vectors = lengthy_vectors(2000)
    corpus = make_corpus(tmp_path, vectors, rows_per_block=300)
    built = build(corpus, IndexOptions(type=kind, recall_queries=200, rows_per_shard=700), unit=False)
    index = faiss.read_index(built.recall.index.path)
    queries = lengthy_vectors(50, seed=9)
    exact = queries.astype(np.float64) @ vectors.astype(np.float64).T
    best = np.argsort(-exact, axis=1)[:, :10]
    scores, ids = index.search(queries, 10)
    shared = np.mean([len(set(a) & set(corpus.ids[b])) / 10 for a, b in zip(ids.tolist(), best, strict=True)])
    by_cosine = np.argsort(-exact / np.linalg.norm(vectors, axis=1), axis=1)[:, :10]
    other = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(best.tolist(), by_cosine.tolist(), strict=True)])
    assert other < 0.9  # or cosine would pass for dot
    if kind == "auto":
        assert np.array_equal(ids, corpus.ids[best])
        np.testing.assert_allclose(scores, np.take_along_axis(exact, best, 1), rtol=1e-4)
    assert at_10(built.recall) >= 0.97
    assert shared >= 0.93


@pytest.mark.parametrize("kind", ["auto", "IVF16,Flat"])
def test_measured_recall_is_that_of_brute_force(tmp_path, kind):
    vectors = lengthy_vectors(1500)
    corpus = make_corpus(tmp_path, vectors, rows_per_block=300)
    options = IndexOptions(type=kind, recall_queries=100, recall_target=0.9)
    built = build(corpus, options, unit=False)
    index = faiss.read_index(built.recall.index.path)
    rows = np.searchsorted(corpus.ids, built.training.queries.ids())
    exact = vectors[rows].astype(np.float64) @ vectors.astype(np.float64).T
    exact[np.arange(len(rows)), rows] = -np.inf
    best = np.argsort(-exact, axis=1)[:, :10]
    _, ids = index.search(vectors[rows], 11)
    found = [[i for i in answer if i != corpus.ids[row]][:10] for answer, row in zip(ids.tolist(), rows, strict=True)]
    recall = np.mean([len(set(a) & set(corpus.ids[b])) / 10 for a, b in zip(found, best, strict=True)])
    assert at_10(built.recall) == pytest.approx(recall, abs=1e-9)
    assert (recall < 1) == (kind != "auto")


@pytest.mark.parametrize("kind", ["auto", "IVF8,Flat"])
def test_a_long_vector_wins_where_dot_product_says_so_and_cosine_does_not(tmp_path, kind):
    vectors = clustered_vectors(500)
    query = vectors[7]
    oblique = np.eye(1, 32, int(np.argmin(np.abs(query))))[0]
    oblique = (0.6 * query + 0.8 * (oblique - (oblique @ query) * query)).astype(np.float32)
    vectors[100] = 5 * oblique  # cosine about 0.6, inner product about 3
    corpus = make_corpus(tmp_path, vectors)
    built = build(corpus, IndexOptions(type=kind, recall_queries=500), unit=False)
    scores, ids = faiss.read_index(built.recall.index.path).search(query[None], 2)
    cosines = vectors @ query / np.linalg.norm(vectors, axis=1)
    assert ids[0].tolist() == corpus.ids[[100, 7]].tolist()
    assert scores[0, 0] > 2.5
    assert int(np.argmax(cosines)) == 7


# --- ties ------------------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(clumpy_vectors(max_rows=40), st.integers(0, 2**32 - 1), st.integers(-20, 20))
def test_recall_is_that_of_the_definition_whatever_the_lengths(tmp_path_factory, vectors, seed, power):
    rows, generator = len(vectors), np.random.default_rng(seed)
    vectors = (vectors * 2.0**power * generator.choice([0.5, 1, 2, 64], (rows, 1))).astype(np.float32)
    chosen = np.sort(generator.choice(rows, min(5, rows), replace=False))
    meter = meter_of(tmp_path_factory.mktemp("recall"), vectors, chosen, unit=False)
    answers = np.stack([generator.permutation(rows) for _ in chosen])
    measured = means(meter, FixedAnswers(make_ids(rows)[answers]))
    exact, lengths = vectors.astype(np.float64), np.linalg.norm(vectors.astype(np.float64), axis=1)
    for k, recall in zip([min(k, rows - 1) for k in (1, 10, 100)], measured, strict=True):
        # Scores that are nearly a tie away may fall to either side.
        low, high = (
            np.mean([share(exact, lengths, q, answer, k, TIE * factor) for q, answer in zip(chosen, answers, strict=True)])
            for factor in (0.5, 2)
        )
        assert low - 1e-12 <= recall <= high + 1e-12


def share(vectors, lengths, query, answer, k, tie) -> float:
    scores = vectors @ vectors[query]
    last = np.sort(np.delete(scores, query))[::-1][k - 1]
    kept = [i for i in answer if i != query][:k]
    return float(np.mean([scores[i] >= last - tie * lengths[query] * lengths[i] for i in kept]))


@pytest.mark.parametrize("length", [1e-4, 1, 1e4])
def test_wrong_answers_are_wrong_and_right_ones_right_at_any_length(tmp_path, length):
    """With one tolerance for all, short vectors would all be ties, and long ones miss true neighbours by rounding."""
    vectors = (clustered_vectors(400) * length).astype(np.float32)
    chosen = np.arange(0, 400, 20)
    meter = meter_of(tmp_path, vectors, chosen, unit=False)
    exact = vectors[chosen].astype(np.float64) @ vectors.astype(np.float64).T
    exact[np.arange(len(chosen)), chosen] = -np.inf
    order = make_ids(400)[np.argsort(-exact, axis=1)[:, :399]]
    assert means(meter, FixedAnswers(order))[1] == 1.0
    assert means(meter, FixedAnswers(order[:, ::-1]))[1] == 0.0
