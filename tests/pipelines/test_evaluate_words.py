"""Which weight is recommended for hybrid search."""

import numpy as np

from pipelines.evaluate_words import WEIGHTS, _cross_chosen, _recommended


def test_weights_that_find_alike_are_no_reason_to_go_by_words():
    values = np.full((len(WEIGHTS), 2), 0.5)
    assert _recommended("s", values, {"vectors": 0.4, "words": 0.3})[0] == 0.5
    values[[0, 6, 7, 8]] = 0.75
    weight, finding = _recommended("s", values, {"vectors": 0.4, "words": 0.3})
    assert weight == WEIGHTS[6] == 0.7
    assert finding.startswith("s: over 2 queries of the weights")
    assert finding.endswith("--weight 0.7")
    assert _cross_chosen(values, np.array([0, 1])) == [6, 6]
    assert _cross_chosen(np.zeros((len(WEIGHTS), 3)), np.array([0, 1, 1])) == [4, 4, 4]


def test_no_weight_is_recommended_that_finds_no_better_than_a_part_alone():
    values = np.full((len(WEIGHTS), 3), 0.5)
    for parts, better in (({"vectors": 0.5, "words": 0.1}, "vectors"), ({"vectors": 0.1, "words": 0.6}, "words")):
        weight, finding = _recommended("s", values, parts)
        assert weight is None
        assert finding == f"s: over 3 queries no weight that was tried for hybrid search finds better than {better} alone"


def test_each_half_goes_by_the_other():
    values = np.zeros((len(WEIGHTS), 4))
    values[1, :2], values[7, 2:] = 1, 1
    assert _cross_chosen(values, np.array([0, 0, 1, 1])) == [7, 7, 1, 1]
