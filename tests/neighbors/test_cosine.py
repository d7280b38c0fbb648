import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.neighbors.helpers import clumpy_vectors, integer_cosines, random_vectors
from transforms.neighbors import exact_cosines, exact_pair_cosines, screening_error, snap
from transforms.neighbors.cosine import exact_candidate_cosines


@given(clumpy_vectors())
def test_snapped_vectors_are_multiples_of_the_grid_and_near(vectors):
    snapped = snap(vectors)
    whole = snapped.astype(np.float64) * 2**26
    assert np.array_equal(whole, np.rint(vectors.astype(np.float64) * 2**26))
    assert np.array_equal(snap(snapped), snapped)


@given(clumpy_vectors())
def test_cosines_are_those_of_integer_arithmetic(vectors):
    snapped = snap(vectors)
    expected = integer_cosines(vectors)
    assert np.array_equal(exact_cosines(snapped, snapped), expected)
    rows, columns = np.divmod(np.arange(len(vectors) ** 2), len(vectors))
    assert np.array_equal(exact_pair_cosines(snapped, snapped, rows, columns), expected.ravel())
    assert np.array_equal(
        exact_candidate_cosines(snapped, snapped, np.tile(np.arange(len(vectors)), (len(vectors), 1))), expected
    )


def test_cosines_do_not_depend_on_the_order_of_summation_or_the_shape_of_blocks():
    vectors = snap(random_vectors(5000, 384))
    permutation = np.random.default_rng(1).permutation(384)
    cosines = exact_cosines(vectors[:50], vectors)
    assert np.array_equal(exact_cosines(vectors[:50, permutation], vectors[:, permutation]), cosines)
    assert np.array_equal(np.hstack([exact_cosines(vectors[:50], vectors[i : i + 37]) for i in range(0, 5000, 37)]), cosines)
    products = vectors[:50].astype(np.float64)[:, None, :] * vectors[None, :200].astype(np.float64)
    reverse = np.cumsum(products[:, :, ::-1], axis=2)[:, :, -1]
    assert np.array_equal(np.clip(reverse.astype(np.float32), -1, 1), cosines[:, :200])


@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 64, 384, 1024]))
def test_float32_products_stay_within_the_screening_error(seed, dim):
    vectors = snap(random_vectors(40, dim, seed))
    vectors = np.vstack([vectors, vectors[:5]])
    error = np.abs((vectors @ vectors.T).astype(np.float64) - exact_cosines(vectors, vectors))
    assert error.max() <= screening_error(dim)


@pytest.mark.parametrize("bad", [0.0, 2.0, np.nan, np.inf])
def test_vectors_that_are_not_unit_are_refused_with_their_row(bad):
    vectors = random_vectors(5)
    vectors[3] *= bad
    with pytest.raises(ValueError, match="row 3 has norm"):
        snap(vectors)
