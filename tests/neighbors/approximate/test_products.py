import threading

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.neighbors.helpers import random_vectors, unit
from transforms.neighbors.approximate.products import NOBODY, Against, alone, best_keys, columns_of, keys_of, scores_of


@given(st.integers(1, 20), st.integers(1, 50), st.integers(0, 2**32 - 1), st.data())
def test_keys_are_the_best_scores_with_their_columns(rows, columns, seed, data):
    scores = np.random.default_rng(seed).uniform(-1, 1, (rows, columns)).astype(np.float32)
    scores[0, :] = np.float32(1.0000001)
    kept = data.draw(st.integers(1, columns))
    keys = keys_of(scores.copy(), kept)
    fixed = np.rint(scores.astype(np.float64) * 2**18).astype(int)
    for row in range(rows):
        found = sorted(zip(scores_of(keys[row]).tolist(), columns_of(keys[row]).tolist(), strict=True))
        expected = sorted(zip(fixed[row].tolist(), range(columns), strict=True))[columns - kept :]
        # Halves may be rounded either way by one addition in float32.
        assert [column for _, column in found] == [column for _, column in expected] or kept < columns
        assert all(abs(a - b) <= 1 for (a, _), (b, _) in zip(found, expected, strict=True))


@given(st.integers(1, 6), st.integers(500, 2000), st.integers(1, 120), st.integers(1, 400), st.integers(0, 2**32 - 1))
def test_of_many_columns_the_best_are_found_too(rows, columns, kept, different, seed):
    # Few different scores: as many as one likes are equal to the last of the best.
    scores = np.random.default_rng(seed).integers(0, different, (rows, columns)).astype(np.float32) / 512
    keys = keys_of(scores.copy(), kept, itself=3)
    scores[np.arange(rows), 3 + np.arange(rows)] = -2
    for row in range(rows):
        expected = np.lexsort((np.arange(columns), scores[row]))[columns - kept :]
        np.testing.assert_array_equal(np.sort(columns_of(keys[row])), np.sort(expected))


@pytest.mark.parametrize("apart", [1.0, 0.2])
def test_products_err_less_where_the_columns_are_alike(apart):
    generator = np.random.default_rng(0)
    vectors = unit(np.ones(384) / 384**0.5 + apart * unit(generator.normal(size=(700, 384))))
    errors = Against(vectors).scores(vectors[:100]) - vectors[:100].astype(np.float64) @ vectors.astype(np.float64).T
    # Each factor and the result are rounded to 8 bits: of numbers as large as the columns without their mean.
    assert np.abs(errors).max() < 3 * 2**-8 * min(apart, 1)
    assert np.abs(errors).mean() < 2**-9 * min(apart, 1)


def test_nobody_is_its_own_candidate():
    vectors = random_vectors(30)
    for low in (0, 12):
        keys = best_keys(vectors[low : low + 10], Against(vectors), 29, itself=low)
        assert [sorted(row) for row in columns_of(keys).tolist()] == [
            [column for column in range(30) if column != low + row] for row in range(10)
        ]
    assert keys_of(np.full((1, 1), -1, np.float32), 1)[0, 0] > NOBODY


def test_more_columns_than_a_key_can_name_are_refused():
    with pytest.raises(ValueError, match="5000 columns do not fit into a key, at most 4096"):
        keys_of(np.zeros((1, 5000), np.float32), 3)


def test_candidates_that_bf16_cannot_tell_apart_are_told_apart():
    generator = np.random.default_rng(0)
    vectors = unit(np.ones(64) / 8 + 0.1 * unit(generator.normal(size=(600, 64))))
    exact = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    np.fill_diagonal(exact, -2)
    expected = np.argsort(-exact, axis=1)[:, :10]
    with alone(1):
        keys = best_keys(vectors[:256], Against(vectors), 10, itself=0)
    shared = [len(set(a) & set(b)) for a, b in zip(columns_of(keys).tolist(), expected[:256].tolist(), strict=True)]
    assert np.mean(shared) > 9.9


@pytest.mark.parametrize("threads", [1, 3])
def test_every_thread_is_alone_and_all_is_as_before(threads):
    before = torch.get_num_threads(), torch.get_float32_matmul_precision(), faiss.omp_get_max_threads()
    barrier = threading.Barrier(threads, timeout=60)

    def look(task):
        barrier.wait()
        return task, torch.get_num_threads(), faiss.omp_get_max_threads(), threading.get_ident()

    with alone(threads) as each:
        found = list(each(look, range(6 * threads)))
    assert [task for task, *_ in found] == list(range(6 * threads))
    assert {row[1:3] for row in found} == {(1, 1)}
    assert len({row[3] for row in found}) == threads
    assert (torch.get_num_threads(), torch.get_float32_matmul_precision(), faiss.omp_get_max_threads()) == before


def test_an_error_in_a_thread_is_raised_and_all_is_as_before():
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    with pytest.raises(ZeroDivisionError), alone(2) as each:
        list(each(lambda task: 1 // task, [1, 0, 2]))
    assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == before
