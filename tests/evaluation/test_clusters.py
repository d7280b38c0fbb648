import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, v_measure_score

from transforms.evaluation import CLUSTER_MEASURES, estimate_by_halves

LABELS = 20


def draw(generator, items):
    """Clusters that are the label half the time, else any."""
    labels = generator.integers(0, LABELS, items)
    return np.where(generator.random(items) < 0.5, labels, generator.integers(0, LABELS, items)), labels


def interval(name, columns, seed, halves=50):
    measure = CLUSTER_MEASURES[name]
    return estimate_by_halves(columns, measure.score, halves, seed, least=measure.least, largest=1.0)


def test_measures_are_those_of_scikit_learn():
    labels, clusters = np.random.default_rng(0).integers(0, 4, (2, 50))
    clusters -= 1
    assert CLUSTER_MEASURES["V-measure"].score(clusters, labels) == v_measure_score(labels, clusters)
    assert CLUSTER_MEASURES["ARI"].score(clusters, labels) == adjusted_rand_score(labels, clusters)
    assert CLUSTER_MEASURES["noise"].score(clusters, labels) == pytest.approx((clusters == -1).mean())


@pytest.mark.parametrize("name", ["V-measure", "ARI"])
def test_intervals_cover_what_other_items_would_have(name):
    """The mean over other items in the same number; of ARI, which is adjusted, the value of all of them."""
    generator = np.random.default_rng(1)
    score = CLUSTER_MEASURES[name].score
    truth = np.mean([score(*draw(generator, 300)) for _ in range(150)])
    if name == "ARI":
        truth = score(*draw(generator, 100_000))
    found = [interval(name, draw(generator, 300), trial) for trial in range(40)]
    assert all(one.low < one.value < one.high for one in found)
    assert sum(one.low <= truth <= one.high for one in found) >= 34  # 38 expected, standard deviation 1.4


def test_an_interval_is_within_what_can_be():
    labels = np.arange(24) % 2
    clusters = labels.copy()
    clusters[:2] = 7
    for name in CLUSTER_MEASURES:
        found = interval(name, [clusters, labels], 0)
        assert CLUSTER_MEASURES[name].least <= found.low <= found.value <= found.high <= 1
    assert np.isnan(interval("ARI", [clusters[:19], labels[:19]], 0).low)


def test_the_deviation_of_a_mean_is_known():
    values = np.random.default_rng(2).normal(size=400)
    found = estimate_by_halves([values], np.mean, 2000, 0)
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.05)
