"""How sure a measured share is."""

from statistics import NormalDist

import numpy as np


def wilson_bounds(share: np.ndarray, trials: np.ndarray, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of a proportion of which so many trials, at least 1 each, gave the `share`, two-sided: float64 of their shape.

    The score interval of Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22, 209-212.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = share + z * z / (2 * trials)
    spread = z * np.sqrt(share * (1 - share) / trials + z * z / (4.0 * trials * trials))
    scale = 1 + z * z / trials
    # At 0 and at 1 a bound is the share itself: rounding must not carry it beyond.
    return np.clip((centre - spread) / scale, 0, share), np.clip((centre + spread) / scale, share, 1)


def recall_interval(shares: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean of the queries' shares of found neighbours, float (queries,) in 0 … 1; (0, 1) without queries.

    Wilson's score interval with the effective number of queries, as for proportions in surveys whose elements
    come in clusters (Franco, Little, Louis and Slud, J. Survey Statistics and Methodology 7, 2019): m·(1 - m)/s² instead of
    n for a mean m and a variance s²/n of it. At one neighbour for each query this is Wilson's interval itself. It never leaves
    0 … 1, and unlike a bootstrap it does not shrink to a point when every neighbour of every query was found, which 1,000
    queries do not prove of all others: then it takes the queries as independent yes or no and begins at n/(n + 3.84).
    """
    n = len(shares)
    if not n:
        return 0.0, 1.0
    mean = min(max(float(shares.mean()), 0.0), 1.0)
    variance = float(shares.var(ddof=1)) if n > 1 else 0.0
    binary = mean * (1 - mean)
    # Shares in 0 … 1 never vary more than yes or no with the same mean (Bhatia and Davis 2000), but for the n - 1.
    effective = n * max(binary / variance, 1.0) if variance > 0 and binary > 0 else float(n)
    low, high = wilson_bounds(np.array([mean]), np.array([effective]))
    return float(low[0]), float(high[0])
