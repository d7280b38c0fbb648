import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.neighbors.helpers import clumpy_vectors, integer_cosines, make_ids, random_vectors
from transforms.duplicates.between import pairs_between
from transforms.duplicates.pairs import Pairs
from transforms.neighbors import Nearest, nearest_others, snap


def chunked(ids: np.ndarray, vectors: np.ndarray, rows: int):
    return [(ids[i : i + rows], vectors[i : i + rows]) for i in range(0, len(ids), rows)]


def find(a: tuple, b: tuple, threshold: float, cap: int = 10_000, k: int = 3, rows: int = 50) -> Pairs:
    """All pairs of `a` with `b`, both ids and vectors, by lists of `k` and what these leave open."""
    (ids, queries), chunks = a, chunked(*b, rows)
    nearest = nearest_others(ids, queries, chunks, min(k, len(b[0])))
    return pairs_between(ids, queries, nearest, np.flatnonzero(np.isin(ids, b[0])), lambda: chunks, threshold, cap)


def brute(a: np.ndarray, b: np.ndarray, ids_a: np.ndarray, ids_b: np.ndarray) -> np.ndarray:
    """Cosines of all pairs in whole numbers; 1 for equal ids."""
    cosines = integer_cosines(np.concatenate([a, b]))[: len(a), len(a) :]
    return np.where(ids_a[:, None] == ids_b, np.float32(1), cosines)


@given(clumpy_vectors(), st.data())
def test_pairs_are_those_of_brute_force(vectors, data):
    ids = make_ids(len(vectors))
    sides = np.array(data.draw(st.lists(st.sampled_from("ab2"), min_size=len(ids), max_size=len(ids))))
    a, b = np.flatnonzero(sides != "b"), np.flatnonzero(sides != "a")
    snapped = snap(vectors)
    expected = brute(vectors[a], vectors[b], ids[a], ids[b])
    # A cosine that occurs, or one between.
    threshold = data.draw(st.sampled_from([*map(float, expected.ravel()[:9]), 0.5, -1.0, 1.0]))
    k, width = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 70))
    pairs = find((ids[a], snapped[a]), (ids[b], snapped[b]), threshold, k=k, rows=width)
    rows, columns = np.nonzero(expected.astype(np.float64) >= threshold)
    cosines = expected[rows, columns]
    order = np.lexsort((ids[b][columns], -cosines, rows))
    np.testing.assert_array_equal(pairs.rows, rows[order])
    np.testing.assert_array_equal(pairs.others, ids[b][columns][order])
    np.testing.assert_array_equal(pairs.cosines, cosines[order])
    assert not pairs.dropped.any()


def test_neither_tiles_nor_lists_matter(monkeypatch):
    vectors = random_vectors(300, dim=6)
    ids = make_ids(300)
    a, b = (ids[:130], snap(vectors[:130])), (ids[130:], snap(vectors[130:]))
    whole = find(a, b, 0.6, cap=5, k=100)
    monkeypatch.setattr("transforms.duplicates.pairs._ROWS", 17)
    monkeypatch.setattr("transforms.duplicates.pairs._COLUMNS", 23)
    monkeypatch.setattr("transforms.duplicates.pairs._PENDING", 50)
    tiled = find(a, b, 0.6, cap=5, k=1)
    for name in ("rows", "others", "cosines", "dropped"):
        np.testing.assert_array_equal(getattr(tiled, name), getattr(whole, name))
    assert whole.dropped.any()


def test_a_cap_keeps_the_best_and_counts_the_others():
    vectors = random_vectors(60, dim=3)
    a, b = vectors[:20], vectors[20:]
    ids = make_ids(60)
    pairs = find((ids[:20], snap(a)), (ids[20:], snap(b)), 0.3, cap=4)
    cosines = brute(a, b, ids[:20], ids[20:])
    counts = (cosines >= 0.3).sum(axis=1)
    assert counts.max() > 4
    np.testing.assert_array_equal(pairs.dropped, np.maximum(counts - 4, 0))
    np.testing.assert_array_equal(np.bincount(pairs.rows, minlength=20), np.minimum(counts, 4))
    for row in range(20):
        np.testing.assert_array_equal(pairs.cosines[pairs.rows == row], np.sort(cosines[row])[::-1][: min(counts[row], 4)])


@pytest.mark.parametrize("length", [0.9995, 1.0005])
def test_the_same_text_is_a_pair_whatever_its_vector(length):
    vectors = snap(random_vectors(5) * np.float32(length))
    ids = make_ids(5)
    pairs = find((ids[:3], vectors[:3]), (ids[2:], vectors[2:]), 1.0)
    assert (pairs.rows.tolist(), pairs.others.tolist(), pairs.cosines.tolist()) == ([2], [ids[2]], [1.0])


def test_blocks_without_a_pair_cost_no_memory(monkeypatch):
    """4,096 blocks, of which each could keep a value for every row: 134 MB."""
    monkeypatch.setattr("transforms.duplicates.pairs._ROWS", 64)
    monkeypatch.setattr("transforms.duplicates.pairs._COLUMNS", 64)
    vectors, ids = snap(np.tile(np.eye(2, dtype=np.float32), (4096, 1))), make_ids(8192)
    # All lists end at the threshold, as for a text of which there are more than k others.
    nearest = Nearest(np.zeros((4096, 1), np.int64), np.ones((4096, 1), np.float32))
    other = [(ids[4096:], -vectors[4096:])]
    tracemalloc.start()
    try:
        pairs = pairs_between(ids[:4096], vectors[:4096], nearest, np.empty(0, np.int64), lambda: other, 0.5, 10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert not len(pairs.rows)
    assert peak < 10e6
