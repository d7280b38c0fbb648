"""Fusion against the formulas written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.search.fusion import by_ranks, by_scores

RANKING = st.lists(st.integers(0, 20), unique=True, max_size=12)


def best_first(scores: dict[int, float]) -> list[int]:
    return sorted(scores, key=lambda one: (-scores[one], one))


@given(RANKING, RANKING)
def test_ranks_are_fused_by_reciprocals(first, second):
    scores: dict[int, float] = {}
    for ranking in (first, second):
        for rank, one in enumerate(ranking, 1):
            scores[one] = scores.get(one, 0.0) + 1 / (60 + rank)
    ids, found = by_ranks(np.array(first, np.int64), np.array(second, np.int64))
    assert ids.tolist() == best_first(scores)
    np.testing.assert_allclose(found, [scores[one] for one in ids.tolist()])


TEXTS = st.dictionaries(st.integers(0, 50), st.tuples(st.floats(-1, 1, width=32), st.floats(0, 30, width=32)), max_size=10)


@given(TEXTS, st.floats(0, 1), st.booleans())
def test_scores_are_weighed_as_shares(texts, weight, cosine):
    ids = np.array(list(texts), np.int64)
    similarity, lexical = (np.array([both[side] for both in texts.values()], np.float32) for side in (0, 1))
    found, scores = by_scores(ids, similarity, lexical, weight, cosine=cosine)
    most = max((both[1] for both in texts.values()), default=0)
    low, high = (min(both[0] for both in texts.values()), max(both[0] for both in texts.values())) if texts else (0, 0)
    expected = {}
    for one, (near, words) in texts.items():
        share = (1 + near) / 2 if cosine else ((near - low) / (high - low) if high > low else 1.0)
        expected[one] = weight * share + (1 - weight) * (words / most if most else 0.0)
    assert sorted(found.tolist()) == sorted(expected)
    np.testing.assert_allclose(scores, [expected[one] for one in found.tolist()], atol=1e-12)
    assert [(-score, one) for score, one in zip(scores, found, strict=True)] == sorted(zip(-scores, found, strict=True))


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_whole_weight_is_one_of_the_parts(weight):
    ids, similarity, lexical = np.arange(4), np.array([0.1, 0.9, 0.5, -1], np.float32), np.array([3, 0, 2, 9], np.float32)
    order = np.argsort(-(similarity if weight else lexical))
    assert by_scores(ids, similarity, lexical, weight, cosine=True)[0].tolist() == order.tolist()
