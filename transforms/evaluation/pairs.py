"""Quality of cosines on pairs of texts: how they agree with people's grades, and how well they tell the same from others."""

from collections.abc import Callable
from typing import Any

import numpy as np

from transforms.duplicates import Curve, curve_of
from transforms.evaluation.intervals import Statistic


def pearson(cosines: np.ndarray, grades: np.ndarray, axis: int = -1) -> Any:
    """Pearson's correlation along an axis; NaN where one side does not vary."""
    from scipy.stats import pearsonr

    return pearsonr(cosines, grades, axis=axis).statistic


def spearman(cosines: np.ndarray, grades: np.ndarray, axis: int = -1) -> Any:
    """Spearman's correlation: Pearson's of the ranks, equal values sharing the mean of theirs."""
    from scipy.stats import rankdata

    return pearson(rankdata(cosines, axis=axis), rankdata(grades, axis=axis), axis)


def average_precision(cosines: np.ndarray, labels: np.ndarray, axis: int = -1) -> Any:
    """Average precision, as `Curve` has it; NaN for a resample with one label only."""
    return _along(lambda curve: curve.average_precision, cosines, labels, axis)


def best_f1(cosines: np.ndarray, labels: np.ndarray, axis: int = -1) -> Any:
    """The largest F1 that a threshold gives; NaN for a resample with one label only."""
    return _along(lambda curve: curve.f1.max(), cosines, labels, axis)


def _along(read: Callable[[Curve], float], cosines: np.ndarray, labels: np.ndarray, axis: int) -> Any:
    rows = np.moveaxis(cosines, axis, -1)
    judged = np.moveaxis(np.broadcast_to(labels, cosines.shape), axis, -1) > 0
    flat = zip(rows.reshape(-1, rows.shape[-1]), judged.reshape(-1, rows.shape[-1]), strict=True)
    values = [np.nan if row.all() or not row.any() else read(curve_of(values, row)) for values, row in flat]
    return np.reshape(values, rows.shape[:-1])[()]


# Measures of pairs with grades and of pairs with labels. All but Pearson's depend on the order of the cosines alone.
GRADED: dict[str, Statistic] = {"Spearman": spearman, "Pearson": pearson}
BINARY: dict[str, Statistic] = {"average precision": average_precision, "best F1": best_f1}


def comparable(cosines: np.ndarray, measure: str) -> np.ndarray:
    """Cosines of one model, float64 (pairs,), on a scale that another model has too, without changing the measure.

    Ranks, or for Pearson's correlation standard deviations from the mean: one model's cosines may be from 0.7 to 1 and
    another's from 0 to 1, and a test that swaps them must not see that.
    """
    if measure != "Pearson":
        from scipy.stats import rankdata

        return rankdata(cosines)
    exact = cosines.astype(np.float64)
    return (exact - exact.mean()) / (exact.std() or 1.0)
