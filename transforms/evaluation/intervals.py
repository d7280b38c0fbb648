"""How sure a measured quality is: intervals by resampling, and a randomization test of two systems on the same items."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

CONFIDENCE = 0.95
# Numbers of one batch of resamples: 80 MB.
_BATCH = 10_000_000
# Share of the resamples that must have a value.
_WITH_A_VALUE = 0.99
# Of fewer items a half says nothing about the whole.
_FEWEST_FOR_HALVES = 20

# From columns of items, each (…, items), to the quality of each: (…,). The last axis is that of the items.
Statistic = Callable[..., Any]


@dataclass(frozen=True)
class Estimate:
    """A measured value and the ends of its 95 % interval; NaN where there is too little to say."""

    value: float
    low: float
    high: float


def mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """The mean, as a `Statistic`."""
    return np.mean(values, axis=axis)


def estimate(columns: Sequence[np.ndarray], statistic: Statistic, resamples: int, seed: int) -> Estimate:
    """`statistic` of `columns`, each (items,), with its bootstrap interval: items are drawn with replacement, columns alike.

    Resamples that have no value, such as those of pairs with one label only, are left out; there is no interval where more
    than 1 % are.
    """
    from scipy.stats import DegenerateDataWarning, bootstrap

    value, items = float(statistic(*columns)), len(columns[0])
    if items < 2 or not np.isfinite(value):
        return Estimate(value, np.nan, np.nan)
    with warnings.catch_warnings():
        # scipy's own interval, which is not used, has no ends where one resample has no value.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        found = bootstrap(
            tuple(columns),
            statistic,
            n_resamples=resamples,
            paired=True,
            vectorized=True,
            batch=max(1, _BATCH // (items * len(columns))),
            method="percentile",
            rng=np.random.default_rng(seed),
        ).bootstrap_distribution
    found = found[np.isfinite(found)]
    if len(found) < _WITH_A_VALUE * resamples:
        return Estimate(value, np.nan, np.nan)
    low, high = np.quantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high))


def estimate_by_halves(
    columns: Sequence[np.ndarray],
    score: Callable[..., float],
    resamples: int,
    seed: int,
    *,
    least: float = -np.inf,
    largest: float = np.inf,
) -> Estimate:
    """`score` of `columns`, each (items,), with an interval from halves of the items, for scores of agreement.

    A bootstrap would draw items twice, which agree with each other. The deviation is that of the delete-d jackknife (Shao and
    Wu, Annals of Statistics 1989; d is half of the items), the interval normal around the value and cut at `least` and
    `largest`. It says how far the score of so many other items of the same kind may be: a score that depends on their number,
    as the V-measure does, is that of other items in this number.
    """
    value, items = float(score(*columns)), len(columns[0])
    if items < _FEWEST_FOR_HALVES:
        return Estimate(value, np.nan, np.nan)
    generator, kept = np.random.default_rng(seed), items // 2
    halves = []
    for _ in range(resamples):
        chosen = generator.permutation(items)[:kept]
        halves.append(score(*(column[chosen] for column in columns)))
    deviation = float(np.std(halves)) * np.sqrt(kept / (items - kept))
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * deviation
    return Estimate(value, max(value - reach, least), min(value + reach, largest))


@dataclass(frozen=True)
class Difference:
    """How much better b is than a: the difference with its bootstrap interval, and how often chance alone gives as much.

    `p` is two-sided, from a randomization test: for every item, a coin decides which result is whose.
    """

    value: float
    low: float
    high: float
    p: float


def difference(
    a: np.ndarray, b: np.ndarray, shared: Sequence[np.ndarray], statistic: Statistic, resamples: int, seed: int
) -> Difference:
    """Compare `statistic(b, *shared)` with `statistic(a, *shared)`; `a` and `b` (items,) are results of the same items.

    The randomization test is Fisher's, as Smucker, Allan and Carterette (CIKM 2007) recommend it for retrieval: under the
    hypothesis that both systems are alike, swapping their results of an item changes nothing. Both must have the same scale.
    """
    from scipy.stats import permutation_test

    def both(a: np.ndarray, b: np.ndarray, *others: np.ndarray, axis: int = -1) -> np.ndarray:
        return statistic(b, *others, axis=axis) - statistic(a, *others, axis=axis)

    found = estimate([a, b, *shared], both, resamples, seed)
    if len(a) < 2 or not np.isfinite(found.value):
        return Difference(found.value, found.low, found.high, np.nan)

    def swapped(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        others = [np.broadcast_to(column, a.shape) for column in shared]
        return both(a, b, *others, axis=axis)

    test = permutation_test(
        (a, b),
        swapped,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, _BATCH // (2 * len(a))),
        rng=np.random.default_rng(seed),
    )
    return Difference(found.value, found.low, found.high, float(test.pvalue))
