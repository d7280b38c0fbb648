"""How sure a measured quality is: bootstrap intervals, and a randomization test of two systems on the same items."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

CONFIDENCE = 0.95
# Numbers of one batch of resamples: 80 MB.
_BATCH = 10_000_000

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


def estimate(
    columns: Sequence[np.ndarray], statistic: Statistic, resamples: int, seed: int, *, method: str = "percentile"
) -> Estimate:
    """`statistic` of `columns`, each (items,), with its bootstrap interval: items are drawn with replacement, columns alike.

    `method` is one of scipy's: percentile, or basic for a statistic that is larger in a resample than in the items, because
    items are in it twice.
    """
    from scipy.stats import bootstrap

    value, items = float(statistic(*columns)), len(columns[0])
    if items < 2 or not np.isfinite(value):
        return Estimate(value, np.nan, np.nan)
    found = bootstrap(
        tuple(columns),
        statistic,
        n_resamples=resamples,
        paired=True,
        vectorized=True,
        batch=max(1, _BATCH // (items * len(columns))),
        confidence_level=CONFIDENCE,
        method=method,
        rng=np.random.default_rng(seed),
    )
    return Estimate(value, float(found.confidence_interval.low), float(found.confidence_interval.high))


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
