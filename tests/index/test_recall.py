import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.index.helpers import clustered_vectors, find_all_exact, make_corpus
from tests.neighbors.helpers import clumpy_vectors, make_blocks, make_ids
from transforms.index import (
    IndexOptions,
    RecallMeter,
    TrainTask,
    best_of,
    exact_top,
    index_from_bytes,
    smallest_nprobe,
    train_index,
    trained_template,
)
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


@settings(max_examples=50)
@given(clumpy_vectors(max_rows=40), st.integers(0, 2**32 - 1))
def test_recall_is_that_of_the_definition_with_ties(tmp_path_factory, vectors, seed):
    folder = tmp_path_factory.mktemp("recall")
    rows, ids, generator = len(vectors), make_ids(len(vectors)), np.random.default_rng(seed)
    blocks = make_blocks(folder, vectors, ids, 9)
    chosen = np.sort(generator.choice(rows, min(5, rows), replace=False))
    (queries,) = make_blocks(folder / "queries", vectors[chosen], ids[chosen], rows)
    meter = RecallMeter(queries, blocks, exact_top(queries, blocks, 100))
    answers = np.stack([generator.permutation(ids) for _ in chosen])
    measured = meter.measure(FixedAnswers(answers), meter.ranks())
    without = [answer[answer != ids[query]] for query, answer in zip(chosen, answers, strict=True)]
    assert measured == pytest.approx([naive_recall(vectors, ids, chosen, without, min(k, rows - 1)) for k in (1, 10, 100)])


@given(clumpy_vectors(max_rows=40), st.integers(1, 50))
def test_exact_answers_by_parts_are_those_of_all_blocks(tmp_path_factory, vectors, depth):
    folder, ids = tmp_path_factory.mktemp("exact"), make_ids(len(vectors))
    blocks = make_blocks(folder, vectors, ids, 7)
    (queries,) = make_blocks(folder / "queries", vectors, ids, 100)
    whole = exact_top(queries, blocks, depth)
    parts = best_of([exact_top(queries, [block], depth) for block in blocks])
    assert np.array_equal(whole.ids, parts.ids)
    assert np.array_equal(whole.scores, parts.scores)
    exact = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    np.fill_diagonal(exact, -np.inf)
    others = min(depth, len(ids) - 1)
    assert np.allclose(whole.scores[:, :others], -np.sort(-exact, axis=1)[:, :others], atol=1e-6)
    assert (whole.ids[:, others:] == -1).all()
    assert not (whole.ids == ids[:, None]).any()


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    corpus = make_corpus(tmp_path_factory.mktemp("corpus"), clustered_vectors(3000), rows_per_block=1000)
    options = IndexOptions(type="IVF64,SQ8", recall_queries=200)
    training = train_index(TrainTask(corpus.blocks, f"{corpus.folder}/work"), options)
    exact = find_all_exact(corpus, training)
    meter = RecallMeter(training.queries, corpus.blocks, exact_top(training.queries, corpus.blocks, 100))
    assert len(exact) == 2
    index = index_from_bytes(trained_template("IVF64,SQ8", corpus.vectors))
    index.add_with_ids(corpus.vectors, corpus.ids)
    return index, meter


@pytest.mark.parametrize("target", [0.3, 0.8, 0.9, 0.97])
def test_nprobe_is_the_smallest_that_reaches_the_target(measured, target):
    index, meter = measured
    nprobe = smallest_nprobe(index, meter, target)
    assert index.nprobe == nprobe
    assert meter.measure(index, [10])[0] >= target
    if nprobe > 1:
        index.nprobe = nprobe - 1
        assert meter.measure(index, [10])[0] < target


def test_a_target_out_of_reach_takes_all_lists(measured):
    index, meter = measured
    coarse = index_from_bytes(trained_template("IVF64,RaBitQ", clustered_vectors(3000)))
    for i in range(64):  # the same texts in one-bit codes
        lists = index.invlists
        ids = faiss.rev_swig_ptr(lists.get_ids(i), lists.list_size(i)).copy()
        if len(ids):
            vectors = np.stack([meter._blocks[p // 1000].vectors()[p % 1000] for p in np.searchsorted(meter._ids, ids)])
            coarse.add_with_ids(vectors, ids)
    assert coarse.ntotal == 3000
    assert smallest_nprobe(coarse, meter, 1.0) == 64
    assert meter.measure(coarse, [10])[0] < 1


def test_an_index_without_lists_has_no_nprobe(measured):
    _, meter = measured
    assert smallest_nprobe(faiss.IndexIDMap2(faiss.IndexFlatIP(32)), meter, 0.9) == 0
