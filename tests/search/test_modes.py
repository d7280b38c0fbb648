"""Search by words and by both, against brute force over all texts."""

from types import SimpleNamespace

import faiss
import numpy as np
import pytest

from tests.lexical.test_index import build, corpus, open_built
from tests.neighbors.helpers import unit
from transforms.embedding import EmbeddingOptions
from transforms.search import QueryError
from transforms.search.nearest import nearest
from transforms.search.rankers import HybridRanker, LexicalRanker
from transforms.search.searcher import GenerationSearcher, check_mode
from transforms.search.vector_index import Found, Only, VectorIndex

DIM, QUERIES = 6, np.array(["w1x w2x", "running w3x", "unknown", "w7x"], object)
TEXTS = corpus(300)


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    build(folder, TEXTS)
    return open_built(folder)


@pytest.fixture(scope="module")
def vectors():
    return unit(np.random.default_rng(0).normal(size=(len(TEXTS), DIM)))


@pytest.fixture(scope="module")
def encoded():
    return unit(np.random.default_rng(1).normal(size=(len(QUERIES), DIM)))


@pytest.fixture(scope="module")
def index(vectors, words):
    flat = faiss.IndexIDMap2(faiss.IndexFlatIP(DIM))
    flat.add_with_ids(vectors, np.array(words.ids))
    return VectorIndex(flat, True)


def owners(ids):
    """Two texts of three belong to one document each, every third to that of the text before."""
    return {one: [(f"d{one // 10 - (one // 10 % 3 == 2):04d}", one // 10 % 3)] for one in ids.tolist()}


def documents(scores: dict[int, float], k: int) -> list[str]:
    best: dict[str, float] = {}
    for one, score in scores.items():
        ((doc_id, _),) = owners(np.array([one]))[one]
        best[doc_id] = max(best.get(doc_id, -np.inf), float(np.float32(score)))
    return sorted(best, key=lambda doc_id: (-best[doc_id], doc_id))[:k]


def answers(found) -> list[list[str]]:
    return [[one.passage[0] for one in row] for row in found]


@pytest.mark.parametrize("k", [1, 7, 1000])
@pytest.mark.parametrize("some", [None, np.arange(0, 3000, 30)], ids=["all", "filtered"])
def test_documents_by_words_are_those_of_all_scores(words, k, some):
    ranker = LexicalRanker(words, None if some is None else Only(some))
    found = nearest(len(QUERIES), k, lambda rows, wanted: ranker.search(QUERIES[rows], wanted), owners)
    expected = []
    for query in QUERIES:
        scores = dict(zip(words.ids.tolist(), words.scores(query).tolist(), strict=True))
        kept = {one: score for one, score in scores.items() if score > 0 and (some is None or one in some)}
        expected.append(documents(kept, k))
    assert answers(found) == expected
    assert expected[2] == []  # no text has the word


@pytest.mark.parametrize("weight", [None, 0.3])
@pytest.mark.parametrize("k", [5, 150, 1000])
@pytest.mark.parametrize("some", [None, np.arange(0, 3000, 20)], ids=["all", "filtered"])
def test_documents_by_both_are_those_of_the_fused_rankings(words, index, vectors, encoded, weight, k, some):
    ranker = HybridRanker(index, words, weight, True, None if some is None else Only(some))
    found = nearest(len(QUERIES), k, lambda rows, wanted: ranker.search(QUERIES[rows], encoded[rows], wanted), owners)
    for row, query in enumerate(QUERIES):
        fused: dict[int, float] = {}
        wanted = k + 1
        while len(documents(fused, k)) < k and wanted < 4 * len(TEXTS):
            fused, wanted = brute_force(words, vectors, query, encoded[row], weight, max(100, wanted), some), 2 * wanted
        assert answers(found)[row] == documents(fused, k), query


def brute_force(words, vectors, query, vector, weight, depth, some):
    ids = words.ids.tolist()
    allowed = [place for place, one in enumerate(ids) if some is None or one in some]
    near = {ids[place]: float(vectors[place].astype(np.float64) @ vector.astype(np.float64)) for place in allowed}
    worded = {ids[place]: float(words.scores(query)[place]) for place in allowed}
    rankings = [
        sorted(near, key=lambda one: (-np.float32(near[one]), one))[:depth],
        sorted((one for one in worded if worded[one] > 0), key=lambda one: (-worded[one], one))[:depth],
    ]
    candidates = sorted({*rankings[0], *rankings[1]})
    if weight is None:
        return {one: sum(1 / (61 + ranking.index(one)) for ranking in rankings if one in ranking) for one in candidates}
    most = max(worded[one] for one in candidates) or 1.0
    return {one: weight * (1 + np.float32(near[one])) / 2 + (1 - weight) * worded[one] / most for one in candidates}


@pytest.mark.parametrize(
    ("mode", "weight"), [("dense", 0.5), ("lexical", 0.5), ("hybrid", -0.1), ("hybrid", 1.5), ("hybrid", float("nan"))]
)
def test_a_weight_that_cannot_be_used_is_refused(mode, weight):
    with pytest.raises(QueryError, match="weight"):
        check_mode(mode, weight)


def test_what_is_no_mode_is_refused():
    with pytest.raises(QueryError, match="mode is one of dense, lexical, hybrid, got 'sparse'"):
        check_mode("sparse", None)


def test_no_text_is_looked_up_twice_though_many_tie():
    ids, asked = np.arange(300), []

    def search(rows, k):
        k = min(k, len(ids))
        unseen = np.full(len(rows), -np.inf if k == len(ids) else 1.0, np.float32)
        return Found(np.ones((len(rows), k), np.float32), np.tile(ids[:k], (len(rows), 1)), unseen)

    def owners(ids):
        asked.extend(ids.tolist())
        return {one: [(f"d{one:03d}", 0)] for one in ids.tolist() if one % 2}

    found = nearest(2, 3, search, owners)
    assert answers(found) == [["d001", "d003", "d005"]] * 2
    assert sorted(asked) == ids.tolist()


def test_by_words_nobody_asks_for_the_model(monkeypatch, words):
    searcher = GenerationSearcher(SimpleNamespace(id="g"), EmbeddingOptions(model="no/such-model"))
    monkeypatch.setitem(searcher.__dict__, "_words", words)
    monkeypatch.setitem(searcher.__dict__, "_owners", SimpleNamespace(of=owners))
    assert [len(found) for found in searcher.places(["w1x"], 3, mode="lexical")] == [3]
    with pytest.raises(AttributeError, match="manifest"):
        searcher.load()
