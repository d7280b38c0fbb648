import numpy as np
import pytest

from pipelines.rerank import rerank_hits
from transforms.corpus import InputError


class Letters:
    """A reranker whose logit is the number of letters that query and text share."""

    def logits(self, pairs):
        return np.array([len(set(query) & set(text)) for query, text in pairs], np.float32)


HITS = [
    {"rank": 1, "doc_id": "d1", "text": "xyz", "score": 0.9},
    {"rank": 2, "doc_id": "d3", "text": "abz", "score": 0.8},
    {"rank": 3, "doc_id": "d2", "text": "abx", "score": 0.8},
    {"rank": 4, "doc_id": "d0", "text": "abc", "score": 0.1},
]


def test_the_best_are_those_of_the_cross_encoder_and_keep_what_the_search_said():
    found = rerank_hits("abc", HITS, 3, Letters())
    assert [(hit["rank"], hit["doc_id"], hit["search_rank"]) for hit in found] == [(1, "d0", 4), (2, "d2", 3), (3, "d3", 2)]
    assert [hit["score"] for hit in found] == [0.1, 0.8, 0.8]
    assert [hit["rerank_logit"] for hit in found] == [3, 2, 2]
    assert found[0]["rerank_score"] == pytest.approx(1 / (1 + np.exp(-3)))
    assert all(hit["reranked"] for hit in found)


def test_without_one_the_order_is_the_searchs_and_says_so():
    found = rerank_hits("abc", HITS, 2, None)
    assert [hit["doc_id"] for hit in found] == ["d1", "d3"]
    assert all((hit["reranked"], hit["rerank_logit"], hit["rerank_score"]) == (False, None, None) for hit in found)


def test_a_generation_without_texts_is_refused():
    with pytest.raises(InputError, match="keeps no texts"):
        rerank_hits("abc", [{**HITS[0], "text": None}], 1, Letters())
