import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from scipy.spatial.distance import cdist

from transforms.search import pairwise_similarity, rank_alike

# Not zero and not so small that their squares vanish.
VALUES = st.floats(-1e6, 1e6, width=32).filter(lambda value: abs(value) > 1e-6)
VECTORS = st.tuples(st.integers(0, 6), st.integers(1, 8)).flatmap(lambda shape: nps.arrays(np.float32, shape, elements=VALUES))


@given(vectors=VECTORS)
def test_all_pairs_are_those_of_scipy(vectors):
    pairs = pairwise_similarity(vectors)
    assert [(pair.a, pair.b) for pair in pairs] == [(i, j) for i in range(len(vectors)) for j in range(i + 1, len(vectors))]
    if not pairs:
        return
    exact = vectors.astype(np.float64)
    rows, columns = np.triu_indices(len(vectors), 1)
    size = np.linalg.norm(exact, axis=1)
    scale = size[rows] * size[columns]
    np.testing.assert_allclose([pair.cosine for pair in pairs], (1 - cdist(exact, exact, "cosine"))[rows, columns], atol=1e-12)
    np.testing.assert_allclose([pair.euclidean for pair in pairs], cdist(exact, exact)[rows, columns], rtol=1e-9, atol=1e-12)
    assert np.all(np.abs(np.array([pair.dot for pair in pairs]) - (exact @ exact.T)[rows, columns]) <= 1e-12 * scale)


@given(vectors=VECTORS)
def test_for_unit_vectors_the_three_agree(vectors):
    units = vectors.astype(np.float64) / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    for pair in pairwise_similarity(units):
        assert pair.dot == pytest.approx(pair.cosine, abs=1e-12)
        assert pair.euclidean**2 == pytest.approx(2 - 2 * pair.cosine, abs=1e-12)


@given(vectors=VECTORS)
def test_unit_vectors_are_ranked_alike_by_all_three(vectors):
    units = (vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)).astype(np.float32)
    assert rank_alike(pairwise_similarity(units))


def test_other_lengths_can_turn_the_order():
    vectors = np.array([[1, 0], [0.9, 0.1], [9, 9], [10, 9]], np.float32)
    assert not rank_alike(pairwise_similarity(vectors))
    assert rank_alike(pairwise_similarity(vectors[:2]))
    # The nearer by cosine is the farther by distance.
    assert not rank_alike(pairwise_similarity(np.array([[1, 0], [5, 0.1], [1, 0.3]], np.float32)))


def test_known_values():
    (pair,) = pairwise_similarity(np.array([[3, 0], [3, 4]], np.float32))
    assert (pair.a, pair.b, pair.dot, pair.cosine, pair.euclidean) == (0, 1, 9.0, 0.6, 4.0)


def test_float64_is_used_whatever_comes_in():
    """In float32 the difference of these two is nothing but rounding."""
    vectors = np.array([[1, 1e-4], [1, 1.0001e-4]], np.float32)
    (pair,) = pairwise_similarity(vectors)
    assert pair.euclidean == pytest.approx(float(vectors[1, 1]) - float(vectors[0, 1]), rel=1e-12)
    half, _, _ = pairwise_similarity(np.array([[100, 100], [300, 300], [0, 1]], np.float16))
    assert half.dot == 60000.0


def test_one_text_or_none_has_no_pairs():
    assert pairwise_similarity(np.ones((1, 4), np.float32)) == []
    assert pairwise_similarity(np.ones((0, 4), np.float32)) == []
