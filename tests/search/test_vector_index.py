"""Searches in every kind of index, against brute force over the same index: filters, batches, ties."""

import ctypes
import tracemalloc

import faiss
import numpy as np
import pytest

from tests.neighbors.helpers import unit
from transforms.search.vector_index import Only, VectorIndex

DIM, TEXTS = 16, 600
FAMILIES = ["IDMap2,Flat", "IVF16,Flat", "IVF16,SQ8", "IVF16,SQfp16", "IVF16,SQbf16", "IVF16,PQ4x4", "RR,IVF16,RaBitQ4"]
FAMILIES += ["PCAR8,IVF16,Flat", "IVF16_HNSW8,SQ8"]


@pytest.fixture(scope="module")
def vectors():
    return unit(np.random.default_rng(0).normal(size=(TEXTS, DIM))).astype(np.float32)


@pytest.fixture(scope="module")
def ids():
    return np.sort(np.random.default_rng(1).integers(0, 2**63 - 1, TEXTS))


@pytest.fixture(scope="module", params=FAMILIES)
def index(request, vectors, ids):
    made = faiss.index_factory(DIM, request.param, faiss.METRIC_INNER_PRODUCT)
    made.train(vectors)
    made.add_with_ids(vectors, ids)
    return made


def everything(index, queries):
    """All ids of the index by score, for each query: what it would answer if it were asked for all."""
    try:
        faiss.extract_index_ivf(index).nprobe = 16
    except RuntimeError:
        pass
    else:
        scores, ids = index.search(queries, TEXTS)
        faiss.extract_index_ivf(index).nprobe = 1
        return scores, ids
    return index.search(queries, TEXTS)


@pytest.mark.parametrize("share", [1, 7, 300, TEXTS])
def test_the_best_of_what_fits_is_found_whatever_the_index(index, vectors, ids, share):
    queries = unit(vectors[:5] + 0.3).astype(np.float32)
    fitting = np.sort(np.random.default_rng(share).choice(ids, share, replace=False))
    scores, all_ids = everything(index, queries)
    # As many as fit are asked for: with one list visited by default, most would be missed.
    found = VectorIndex(index, True).search(queries, share, Only(fitting))
    for row in range(len(queries)):
        fits = np.isin(all_ids[row], fitting)
        expected = np.sort(all_ids[row][fits])
        assert np.sort(found.ids[row]).tolist() == expected.tolist()
        np.testing.assert_allclose(found.scores[row], scores[row][fits], atol=1e-6)


def test_a_narrow_filter_visits_more_lists(vectors, ids):
    index = faiss.index_factory(DIM, "IVF16,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add_with_ids(vectors, ids)
    faiss.extract_index_ivf(index).nprobe = 2
    fitting = np.sort(np.random.default_rng(3).choice(ids, TEXTS // 10, replace=False))
    queries = unit(np.random.default_rng(4).normal(size=(50, DIM))).astype(np.float32)
    own = vectors[np.searchsorted(ids, fitting)]
    best = fitting[np.argmax(queries @ own.T, axis=1)]
    # 2 lists of 16 for all texts, 16 for a tenth of them: brute force.
    assert VectorIndex(index, True).search(queries, 1, Only(fitting)).ids[:, 0].tolist() == best.tolist()


def test_more_answers_than_the_visited_lists_have_are_found_in_the_others(index, vectors):
    found = VectorIndex(index, True).search(vectors[:3], 10 * TEXTS)
    assert found.ids.shape == (3, TEXTS)
    assert np.all(found.ids >= 0)
    assert np.all(np.isneginf(found.unseen))


def test_scores_do_not_depend_on_the_queries_beside_one(index):
    queries = unit(np.random.default_rng(5).normal(size=(64, DIM))).astype(np.float32)
    searched = VectorIndex(index, True)
    together = searched.search(queries, 9)
    for row in range(len(queries)):
        alone = searched.search(queries[row : row + 1], 9)
        assert alone.scores[0].tobytes() == together.scores[row].tobytes()
        assert alone.ids[0].tolist() == together.ids[row].tolist()


@pytest.mark.parametrize("unit_length", [True, False])
def test_an_exact_index_scores_as_float64_does_and_bounds_what_it_has_not_seen(ids, unit_length):
    vectors = np.random.default_rng(6).normal(size=(TEXTS, DIM)).astype(np.float32) * 50
    vectors = unit(vectors).astype(np.float32) if unit_length else vectors
    index = faiss.index_factory(DIM, "IDMap2,Flat", faiss.METRIC_INNER_PRODUCT)
    # Not in the order of their ids.
    mixed = np.random.default_rng(7).permutation(ids)
    index.add_with_ids(vectors, mixed)
    queries = vectors[::20] + 0.01
    found = VectorIndex(index, unit_length).search(queries, 5)
    exact = queries.astype(np.float64) @ vectors.astype(np.float64).T
    order = np.argsort(-exact, axis=1)
    assert found.ids.tolist() == mixed[order[:, :5]].tolist()
    np.testing.assert_array_equal(found.scores, np.take_along_axis(exact, order[:, :5], 1).astype(np.float32))
    rest = np.take_along_axis(exact, order[:, 5:6], 1)[:, 0]
    assert np.all(found.unseen >= rest)
    assert np.all(found.unseen - found.scores[:, -1] < 1e-3 * np.abs(exact).max())


def test_all_of_an_exact_index_cost_no_more_memory_than_a_few_at_a_time(monkeypatch):
    vectors = unit(np.random.default_rng(8).normal(size=(4000, 64))).astype(np.float32)
    index = faiss.index_factory(64, "IDMap2,Flat", faiss.METRIC_INNER_PRODUCT)
    index.add_with_ids(vectors, np.arange(4000))
    searched = VectorIndex(index, True)
    expected = searched.search(vectors[:2], 4000)
    monkeypatch.setattr("transforms.search.vector_index._NUMBERS", 64 * 100)
    tracemalloc.start()
    found = searched.search(vectors[:2], 4000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000  # 4 MB of float64 for one query's vectors and their products
    assert found.scores.tobytes() == expected.scores.tobytes()
    assert found.ids.tobytes() == expected.ids.tobytes()


def test_nothing_is_found_where_nothing_is(vectors):
    empty = VectorIndex(faiss.index_factory(DIM, "IDMap2,Flat", faiss.METRIC_INNER_PRODUCT), True)
    assert empty.search(vectors[:2], 3).ids.shape == (2, 0)


class Mallinfo(ctypes.Structure):
    """As <malloc.h> has it."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    ]


def test_the_memory_of_a_filter_is_that_of_its_set_too():
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is None:
        pytest.skip("the C library does not count what malloc has given")
    mallinfo.restype = Mallinfo

    def given() -> int:
        now = mallinfo()
        return now.uordblks + now.hblkhd

    ids = np.unique(np.random.default_rng(0).integers(0, 2**63 - 1, 200_000))
    before = given()
    only = Only(ids)
    assert only.nbytes == pytest.approx(ids.nbytes + given() - before, rel=0.2)
    assert Only(ids[:0]).nbytes == 0
