"""PCA in front of an index of inner products: what is left of them, against exact products of vectors that have a mean."""

import faiss
import numpy as np
import pytest

from tests.index.helpers import clustered_vectors
from tests.neighbors.helpers import make_ids, unit
from transforms.index import index_from_bytes, trained_template


def vectors_with_a_mean(rows: int = 1500, dim: int = 32) -> np.ndarray:
    """Unit vectors in a cone, as sentence encoders give them: the mean has length 0.8."""
    away = np.eye(1, dim, 3) + np.eye(1, dim, 11)
    return unit(clustered_vectors(rows, dim) + away)


def scores_of(template: bytes, vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The score that the index gives each query with each vector: float32 (queries, vectors)."""
    index, ids = index_from_bytes(template), make_ids(len(vectors))
    index.add_with_ids(vectors, ids)
    faiss.extract_index_ivf(index).nprobe = 8
    scores, found = index.search(queries, len(vectors))
    order = np.argsort(found, axis=1)
    assert np.array_equal(np.take_along_axis(found, order, 1), np.tile(ids, (len(queries), 1)))
    return np.take_along_axis(scores, order, 1)


@pytest.mark.parametrize("length", [1.0, 7.0])
def test_with_all_dimensions_inner_products_are_exact(length):
    vectors = (length * vectors_with_a_mean()).astype(np.float32)
    scores = scores_of(trained_template("PCAR32,IVF8,Flat", vectors), vectors, vectors[:20])
    np.testing.assert_allclose(scores, vectors[:20] @ vectors.T, atol=1e-5 * length**2)


def test_faiss_itself_gives_other_products():
    """If this fails, FAISS has changed, and nothing of ours is needed any more."""
    vectors = vectors_with_a_mean()
    index = faiss.index_factory(32, "PCAR32,IVF8,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    scores = scores_of(faiss.serialize_index(index).tobytes(), vectors, vectors[:20])
    assert np.abs(scores - vectors[:20] @ vectors.T).max() > 0.1


def test_with_fewer_dimensions_products_are_the_best_of_that_rank():
    vectors = vectors_with_a_mean()
    scores = scores_of(trained_template("PCAR12,IVF8,Flat", vectors), vectors, vectors[:200])
    _, _, axes = np.linalg.svd(vectors.astype(np.float64), full_matrices=False)
    projected = vectors @ axes[:12].T
    np.testing.assert_allclose(scores, projected[:200] @ projected.T, atol=1e-4)


def test_a_large_sample_is_cut_before_vectors_lose_their_opposites():
    vectors = vectors_with_a_mean(3000, 4)
    vectors[:, 0] += np.arange(3000) / 100  # first rows are unlike the last
    template = index_from_bytes(trained_template("PCAR4,IVF4,Flat", vectors))
    transform = faiss.downcast_VectorTransform(template.chain.at(0))
    few = index_from_bytes(trained_template("PCAR4,IVF4,Flat", vectors[:2000]))
    expected = faiss.downcast_VectorTransform(few.chain.at(0))
    assert np.array_equal(faiss.vector_to_array(transform.A), faiss.vector_to_array(expected.A))
    assert not faiss.vector_to_array(transform.b).any()
