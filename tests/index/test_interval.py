import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from transforms.index import recall_interval, wilson_bounds


@settings(deadline=None)
@given(st.integers(1, 300), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_interval_is_that_of_scipy(trials, data, confidence):
    successes = data.draw(st.integers(0, trials))
    low, high = wilson_bounds(np.array([successes / trials]), np.array([trials]), confidence)
    expected = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high))
    assert 0 <= low[0] <= successes / trials <= high[0] <= 1


@pytest.mark.parametrize(("found", "queries"), [(0, 10), (7, 10), (10, 10), (990, 1000), (1000, 1000), (1, 1)])
def test_at_one_neighbour_it_is_wilsons(found, queries):
    shares = np.repeat([1.0, 0.0], [found, queries - found])
    expected = binomtest(found, queries).proportion_ci(0.95, "wilson")
    # The sample's variance has n - 1 below it; with n the interval is Wilson's to the last digit.
    assert recall_interval(shares) == pytest.approx((expected.low, expected.high), abs=1e-6)


@given(st.lists(st.integers(0, 10), min_size=1, max_size=60))
def test_it_holds_the_mean_and_stays_between_0_and_1(tenths):
    shares = np.array(tenths) / 10
    low, high = recall_interval(shares)
    assert 0 <= low <= shares.mean() <= high <= 1
    assert low < high


def test_no_query_says_nothing():
    assert recall_interval(np.empty(0)) == (0.0, 1.0)


def test_it_is_narrower_where_queries_vary_less_than_yes_or_no():
    even = recall_interval(np.full(100, 0.9) + np.tile([0.1, -0.1], 50))
    binary = recall_interval(np.repeat([1.0, 0.0], [90, 10]))
    assert even[1] - even[0] < 0.4 * (binary[1] - binary[0])


def test_it_agrees_with_a_bootstrap_where_that_works():
    generator = np.random.default_rng(5)
    shares = generator.binomial(10, generator.beta(6, 2, 800)) / 10
    resampled = [generator.choice(shares, len(shares)).mean() for _ in range(4000)]
    assert recall_interval(shares) == pytest.approx(np.percentile(resampled, [2.5, 97.5]), abs=2e-3)


@pytest.mark.parametrize("recall", [0.9, 0.99, 0.997])
def test_it_covers_the_true_recall_about_as_often_as_it_says(recall):
    """Queries whose recall is all or nothing in clumps, as hard ones are: a bootstrap misses too often near 1."""
    generator = np.random.default_rng(11)
    covered = 0
    for _ in range(1000):
        hard = generator.random(300) < 4 * (1 - recall)
        shares = np.where(hard, generator.binomial(10, 0.75, 300), 10) / 10
        low, high = recall_interval(shares)
        covered += low <= recall <= high
    assert covered >= 930
