"""Quality of topics: how a clustering agrees with labels that people gave."""

from typing import Any

import numpy as np

from transforms.evaluation.intervals import Statistic

NOISE = -1


def v_measure(clusters: np.ndarray, labels: np.ndarray, axis: int = -1) -> Any:
    """V-measure: harmonic mean of homogeneity and completeness (Rosenberg and Hirschberg, EMNLP 2007), by scikit-learn."""
    from sklearn.metrics import v_measure_score

    return _along(v_measure_score, clusters, labels, axis)


def adjusted_rand(clusters: np.ndarray, labels: np.ndarray, axis: int = -1) -> Any:
    """Adjusted Rand index (Hubert and Arabie, Journal of Classification 1985), by scikit-learn."""
    from sklearn.metrics import adjusted_rand_score

    return _along(adjusted_rand_score, clusters, labels, axis)


def noise_share(clusters: np.ndarray, labels: np.ndarray, axis: int = -1) -> Any:
    """Share of the items that are noise; the labels do not matter."""
    return (clusters == NOISE).mean(axis=axis)


CLUSTER_MEASURES: dict[str, Statistic] = {"V-measure": v_measure, "ARI": adjusted_rand, "noise": noise_share}


def _along(score: Any, clusters: np.ndarray, labels: np.ndarray, axis: int) -> Any:
    both = [np.moveaxis(values, axis, -1) for values in (clusters, labels)]
    rows = [values.reshape(-1, values.shape[-1]) for values in both]
    return np.reshape([score(judged, found) for found, judged in zip(*rows, strict=True)], both[0].shape[:-1])[()]
