import itertools

import numpy as np
import pytest

from transforms.evaluation import difference, estimate, mean

RESAMPLES = 500


def test_an_interval_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        found = estimate([generator.normal(size=60)], mean, RESAMPLES, trial)
        covered += found.low <= 0 <= found.high
    assert 180 <= covered <= 198  # 190 expected, standard deviation 3


def test_an_interval_of_a_mean_is_as_wide_as_theory_says():
    values = np.random.default_rng(1).random(400)
    found = estimate([values], mean, 4000, 0)
    assert found.value == values.mean()
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.05)


def test_the_same_seed_gives_the_same_and_another_one_not():
    values = np.random.default_rng(1).random(50)
    assert estimate([values], mean, RESAMPLES, 3) == estimate([values], mean, RESAMPLES, 3)
    assert estimate([values], mean, RESAMPLES, 3) != estimate([values], mean, RESAMPLES, 4)
    assert difference(values, values[::-1], [], mean, RESAMPLES, 3) == difference(values, values[::-1], [], mean, RESAMPLES, 3)


def test_one_item_has_no_interval():
    found = estimate([np.array([0.5])], mean, RESAMPLES, 0)
    assert found.value == 0.5
    assert np.isnan([found.low, found.high]).all()
    assert np.isnan(difference(np.array([0.5]), np.array([0.7]), [], mean, RESAMPLES, 0).p)


def test_p_is_that_of_all_ways_to_swap():
    generator = np.random.default_rng(2)
    a, b = generator.random((2, 8))
    found = difference(a, b, [], mean, RESAMPLES, 0)
    observed = (b - a).mean()
    swaps = [((b - a) * signs).mean() for signs in itertools.product([1, -1], repeat=8)]
    # Two-sided as scipy has it: twice the smaller tail.
    tails = [np.mean(np.array(swaps) >= observed - 1e-12), np.mean(np.array(swaps) <= observed + 1e-12)]
    assert found.value == pytest.approx(observed)
    assert found.p == pytest.approx(min(1, 2 * min(tails)))


def test_a_difference_is_paired():
    generator = np.random.default_rng(3)
    hard = generator.random(200)
    a, b = hard, hard + 0.01 + generator.normal(scale=0.01, size=200)
    found = difference(a, b, [], mean, RESAMPLES, 0)
    assert 0 < found.low < found.value < found.high
    assert found.p < 0.01
    alone = estimate([b], mean, RESAMPLES, 0)
    assert alone.low < a.mean() < alone.high


def test_systems_that_are_alike_are_rarely_told_apart():
    generator = np.random.default_rng(4)
    small = sum(difference(*generator.normal(size=(2, 40)), [], mean, 200, trial).p <= 0.05 for trial in range(200))
    assert small <= 20  # 10 expected
