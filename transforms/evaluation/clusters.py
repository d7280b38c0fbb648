"""Quality of topics: how a clustering agrees with labels that people gave."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

NOISE = -1


@dataclass(frozen=True)
class ClusterMeasure:
    """From clusters and labels, int64 (n,) each, to how well they agree; the least value there is, the largest is 1."""

    score: Callable[[np.ndarray, np.ndarray], float]
    least: float


def v_measure(clusters: np.ndarray, labels: np.ndarray) -> float:
    """V-measure: harmonic mean of homogeneity and completeness (Rosenberg and Hirschberg, EMNLP 2007), by scikit-learn."""
    from sklearn.metrics import v_measure_score

    return float(v_measure_score(labels, clusters))


def adjusted_rand(clusters: np.ndarray, labels: np.ndarray) -> float:
    """Adjusted Rand index (Hubert and Arabie, Journal of Classification 1985), by scikit-learn."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(labels, clusters))


def noise_share(clusters: np.ndarray, labels: np.ndarray) -> float:
    """Share of the items that are noise; the labels do not matter."""
    return float((clusters == NOISE).mean())


CLUSTER_MEASURES = {
    "V-measure": ClusterMeasure(v_measure, 0.0),
    # Chacón and Rastrojo, Advances in Data Analysis and Classification 2023, prove the bound.
    "ARI": ClusterMeasure(adjusted_rand, -0.5),
    "noise": ClusterMeasure(noise_share, 0.0),
}
