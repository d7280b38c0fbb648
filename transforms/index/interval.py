"""How sure a measured recall is."""

import math

import numpy as np

# Two-sided 95 % of the normal distribution.
_Z = 1.959963984540054


def recall_interval(shares: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean of the queries' shares of found neighbours, float (queries,) in 0 … 1; (0, 1) without queries.

    Wilson's score interval (JASA 22, 1927) with the effective number of queries, as for proportions in surveys whose elements
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
    centre = (mean + _Z**2 / (2 * effective)) / (1 + _Z**2 / effective)
    half = _Z / (1 + _Z**2 / effective) * math.sqrt(binary / effective + _Z**2 / (4 * effective**2))
    # The interval contains the mean; rounding must not say otherwise.
    return min(max(centre - half, 0.0), mean), max(min(centre + half, 1.0), mean)
