import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import transforms.index.truth as truth_module
from tests.index.helpers import clustered_vectors
from tests.neighbors.helpers import clumpy_vectors, make_blocks, make_ids
from transforms.index import best_of, exact_top


def brute_force(query_ids, queries, vectors, ids, depth):
    """Exact scores, in Python's order of (score, id)."""
    scores = np.array([[np.dot(q.astype(np.float64), v.astype(np.float64)) for v in vectors] for q in queries])
    scores = scores.astype(np.float32)
    scores[ids[None, :] == query_ids[:, None]] = -np.inf
    order = np.stack([np.lexsort((ids, -row)) for row in scores])[:, :depth]
    best = np.take_along_axis(scores, order, 1)
    return np.where(np.isneginf(best), -1, ids[order]), best


def use_bf16(monkeypatch):
    for name in ("_WORTH_LOADING", "_WORTH_TRYING"):
        monkeypatch.setattr(truth_module, name, 0)
    monkeypatch.setattr(truth_module, "_fastest", lambda screens, vectors: screens[1])


@pytest.fixture(params=["single", "bf16"])
def screen(request, monkeypatch):
    """Each arithmetic of the screen, whatever this machine is faster at."""
    if request.param == "bf16":
        use_bf16(monkeypatch)
    return request.param


@settings(max_examples=40)
@given(vectors=clumpy_vectors(max_rows=40), depth=st.integers(1, 50), power=st.integers(-20, 20), seed=st.integers(0, 99))
def test_answers_by_parts_are_those_of_brute_force(tmp_path_factory, vectors, depth, power, seed):
    generator = np.random.default_rng(seed)
    vectors = (vectors * 2.0**power * generator.choice([0.5, 1, 64], (len(vectors), 1))).astype(np.float32)
    folder, ids = tmp_path_factory.mktemp("exact"), make_ids(len(vectors))
    blocks = make_blocks(folder, vectors, ids, 7)
    whole = exact_top(ids, vectors, blocks, depth)
    parts = best_of([exact_top(ids, vectors, [block], depth) for block in blocks])
    expected_ids, expected_scores = brute_force(ids, vectors, vectors, ids, depth)
    for found in (whole, parts):
        assert np.array_equal(found.ids[:, : len(ids)], expected_ids)
        np.testing.assert_allclose(found.scores[:, : len(ids)], expected_scores, rtol=1e-6)
        assert (found.ids[:, len(ids) - 1 :] == -1).all()


def test_each_arithmetic_gives_the_same_answers(tmp_path, screen):
    vectors, ids = clustered_vectors(2000, dim=48), make_ids(2000)
    vectors[500:560] = vectors[7]  # ties
    chosen = np.arange(0, 2000, 25)
    blocks = make_blocks(tmp_path, vectors, ids, 300)
    found = exact_top(ids[chosen], vectors[chosen], blocks, 100)
    expected_ids, expected_scores = brute_force(ids[chosen], vectors[chosen], vectors, ids, 100)
    assert np.array_equal(found.ids, expected_ids)
    for threads in (2, 20):
        shared = exact_top(ids[chosen], vectors[chosen], blocks, 100, threads)
        assert np.array_equal(shared.ids, found.ids)
        assert np.array_equal(shared.scores, found.scores)
    np.testing.assert_allclose(found.scores, expected_scores, rtol=1e-6)


def test_low_precision_is_within_its_bound(screen):
    """With factors that round as badly as they can."""
    worst = np.float32(1 + 2.0**-8)  # between two numbers of bfloat16
    generator = np.random.default_rng(0)
    rows = np.concatenate([np.full((50, 384), worst), generator.normal(size=(50, 384))]).astype(np.float32)
    products, bound = truth_module._choose_screen(rows, rows, 10**9)(rows)
    exact, lengths = rows.astype(np.float64), np.linalg.norm(rows.astype(np.float64), axis=1)
    errors = np.abs(truth_module._as_single(products) - exact @ exact.T) / np.outer(lengths, lengths)
    assert errors.max() <= bound
    if screen == "bf16":
        assert errors.max() > 1e-3  # or it was not low precision


def test_low_precision_that_does_not_keep_its_bound_is_not_used(monkeypatch):
    use_bf16(monkeypatch)
    rows = clustered_vectors(100)
    assert truth_module._choose_screen(rows, rows, 10**9)(rows)[0].dtype == np.int16
    monkeypatch.setattr(truth_module, "_BOUND_BF16", 1e-5)
    assert truth_module._choose_screen(rows, rows, 10**9)(rows)[0].dtype == np.float32


def test_queries_that_are_no_texts_of_the_corpus_have_all_texts_as_others(tmp_path):
    vectors, ids = clustered_vectors(50), make_ids(50)
    blocks = make_blocks(tmp_path, vectors, ids, 20)
    found = exact_top(np.array([-3, -2]), vectors[[4, 9]], blocks, 50)
    assert found.ids[:, 0].tolist() == ids[[4, 9]].tolist()
    assert (found.ids >= 0).all()


def test_memory_does_not_grow_with_the_number_of_queries(tmp_path, monkeypatch):
    vectors, ids = clustered_vectors(3000), make_ids(3000)
    blocks = make_blocks(tmp_path, vectors, ids, 1000)
    whole = exact_top(ids, vectors, blocks, 10)
    peaks = []
    monkeypatch.setattr(truth_module, "QUERIES", 200)
    for queries in (200, 3000):
        tracemalloc.start()
        found = exact_top(ids[:queries], vectors[:queries], blocks, 10)
        peaks.append(tracemalloc.get_traced_memory()[1] - 2 * (found.ids.nbytes + found.scores.nbytes))
        tracemalloc.stop()
        assert np.array_equal(found.ids, whole.ids[:queries])
        assert np.array_equal(found.scores, whole.scores[:queries])
    assert peaks[1] < 1.5 * peaks[0]


def test_parts_are_joined_in_batches_of_queries(tmp_path, monkeypatch):
    vectors, ids = clustered_vectors(300), make_ids(300)
    blocks = make_blocks(tmp_path, vectors, ids, 100)
    whole = exact_top(ids, vectors, blocks, 10)
    monkeypatch.setattr(truth_module, "QUERIES", 7)
    parts = best_of([exact_top(ids, vectors, [block], 10) for block in blocks])
    assert np.array_equal(parts.ids, whole.ids)
    assert np.array_equal(parts.scores, whole.scores)


def test_no_query_has_no_answer(tmp_path):
    blocks = make_blocks(tmp_path, clustered_vectors(50), make_ids(50), 20)
    assert exact_top(np.empty(0, np.int64), np.empty((0, 32), np.float32), blocks, 7).ids.shape == (0, 7)


def test_products_of_a_whole_block_must_keep_the_bound():
    rows = clustered_vectors(1100, 16)[:1100]

    def screen(vectors):
        products = (rows @ vectors.T).astype(np.float32)
        # As a library that takes a worse way for large shapes only.
        return products + np.float32(0.1 * (len(vectors) > 600)), truth_module._BOUND_BF16

    assert truth_module._keeps_bound(screen, rows, rows[:600])
    assert not truth_module._keeps_bound(screen, rows, rows)
