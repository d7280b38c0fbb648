import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, v_measure_score

from transforms.evaluation import CLUSTER_MEASURES, estimate


def test_measures_are_those_of_scikit_learn_row_by_row():
    generator = np.random.default_rng(0)
    labels, clusters = generator.integers(0, 4, (2, 3, 50))
    clusters -= 1
    for name, expected in (("V-measure", v_measure_score), ("ARI", adjusted_rand_score)):
        found = CLUSTER_MEASURES[name](clusters, labels, axis=-1)
        assert found == pytest.approx([expected(*row) for row in zip(labels, clusters, strict=True)])
    assert CLUSTER_MEASURES["noise"](clusters, labels, axis=-1) == pytest.approx((clusters == -1).mean(1))


def test_an_interval_is_around_its_value_though_resamples_are_better():
    """Many small clusters: items that are drawn twice agree with each other."""
    generator = np.random.default_rng(1)
    labels, clusters = generator.integers(0, 10, 400), generator.integers(0, 60, 400)
    statistic = CLUSTER_MEASURES["V-measure"]
    found = estimate([clusters, labels], statistic, 200, 0, method="basic")
    drawn = generator.integers(0, 400, 400)
    assert statistic(clusters[drawn], labels[drawn]) > found.value
    assert found.low < found.high
