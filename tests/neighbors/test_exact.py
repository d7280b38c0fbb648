import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.neighbors.helpers import brute_force, clumpy_vectors, make_ids, random_vectors, unit
from transforms.neighbors import exact, exact_cosines, nearest_others, snap
from transforms.neighbors.exact import _best_columns, nearest_start, search_chunk
from transforms.neighbors.screen import BF16, FP32


@given(clumpy_vectors(), st.integers(1, 40), st.integers(1, 5), st.data())
def test_lists_are_those_of_brute_force_for_every_margin_and_every_cut_into_chunks(vectors, k, margin, data):
    rows = len(vectors)
    ids = make_ids(rows)
    cuts = sorted(data.draw(st.sets(st.integers(1, rows - 1), max_size=4)))
    snapped = snap(vectors)
    chunks = zip(np.split(ids, cuts), np.split(snapped, cuts), strict=True)
    found = nearest_others(ids, snapped, chunks, min(k, rows - 1), margin)
    expected_ids, expected_cosines = brute_force(vectors, ids, k)
    assert np.array_equal(found.ids, expected_ids)
    assert np.array_equal(found.cosines, expected_cosines)


@pytest.mark.parametrize("spread", [0.0, 1e-7, 1e-5])
def test_hundreds_of_near_equal_texts_are_searched_exactly_and_counted(spread):
    generator = np.random.default_rng(0)
    clump = unit(generator.normal(size=32) + spread * generator.normal(size=(300, 32)))
    vectors = np.vstack([clump, random_vectors(200, 32)])
    ids, snapped = make_ids(500), snap(vectors)
    found, unproven = search_chunk(nearest_start(500, 8), ids, snapped, ids, snapped, margin=4)
    expected_ids, expected_cosines = brute_force(vectors, ids, 8)
    assert np.array_equal(found.ids, expected_ids)
    assert np.array_equal(found.cosines, expected_cosines)
    assert 300 <= len(unproven) < 400


def test_a_wide_gap_needs_no_second_search():
    vectors = random_vectors(2000, 64)
    ids, snapped = make_ids(2000), snap(vectors)
    _, unproven = search_chunk(nearest_start(2000, 8), ids, snapped, ids, snapped, margin=16)
    assert len(unproven) < 20


@pytest.mark.parametrize("precision", [FP32, BF16])
def test_later_chunks_are_excluded_by_a_bound_that_holds_for_what_they_lost(monkeypatch, precision):
    monkeypatch.setattr(exact, "precision_for", lambda _: precision)
    vectors = random_vectors(8000, 64)
    ids, snapped = make_ids(8000), snap(vectors)
    nearest, searched = nearest_start(256, 32), 0
    for low in range(0, 8000, 2000):
        chunk = slice(low, low + 2000)
        nearest, unproven = search_chunk(nearest, ids[:256], snapped[:256], ids[chunk], snapped[chunk], margin=96)
        searched += len(unproven)
    assert searched == 0
    cosines = exact_cosines(snapped[:256], snapped)
    cosines[np.arange(256), np.arange(256)] = -np.inf
    assert np.array_equal(nearest.cosines, -np.sort(-cosines, axis=1)[:, :32])


def test_rows_without_enough_others_keep_empty_places():
    vectors, ids = snap(random_vectors(3)), make_ids(3)
    found = nearest_others(ids, vectors, [(ids, vectors)], 5)
    assert (found.ids[:, 2:] == -1).all()
    assert np.isneginf(found.cosines[:, 2:]).all()
    assert (found.ids[:, :2] >= 0).all()


@given(st.lists(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), min_size=6, max_size=6), min_size=1), st.integers(1, 8))
def test_best_columns_are_those_of_a_stable_sort(scores, k):
    scores = np.array(scores, np.float32)
    expected = np.sort(np.argsort(-scores, axis=1, kind="stable")[:, :k], axis=1)
    assert np.array_equal(_best_columns(scores, k), expected)
