import numpy as np
from scipy.special import expit

from transforms.rerank import by_relevance


def test_large_logits_are_told_apart_and_equal_ones_go_by_id():
    logits = np.array([40, 41, -3, -3, 0.5, -1000], np.float32)
    found = by_relevance(logits, ["a", "b", "d", "c", "e", "f"])
    assert [one.place for one in found] == [1, 0, 4, 3, 2, 5]
    assert [one.logit for one in found] == sorted(logits.tolist(), reverse=True)
    np.testing.assert_allclose([one.sigmoid for one in found], expit([one.logit for one in found]))
