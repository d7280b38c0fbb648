"""What a threshold does to pairs that people have labelled: precision, recall, F1, and which threshold keeps a promise."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.files import describe
from transforms.index import wilson_bounds


@dataclass(frozen=True)
class Curve:
    """What every possible threshold selects of labelled pairs, from the highest cosine to the lowest; equal ones are one place.

    `cosines` float64 (n,), strictly descending: taking one as the threshold selects `selected` int64 (n,) pairs, of which
    `duplicates` int64 (n,) are labelled 1. Of all `pairs`, `positives` are.
    """

    cosines: np.ndarray
    selected: np.ndarray
    duplicates: np.ndarray
    pairs: int
    positives: int

    @property
    def precision(self) -> np.ndarray:
        """Share of the selected pairs that are duplicates, float64 (n,)."""
        return self.duplicates / self.selected

    @property
    def recall(self) -> np.ndarray:
        """Share of the duplicates that are selected, float64 (n,)."""
        return self.duplicates / self.positives

    @property
    def f1(self) -> np.ndarray:
        """Harmonic mean of precision and recall, float64 (n,)."""
        return 2 * self.duplicates / (self.selected + self.positives)

    @property
    def average_precision(self) -> float:
        """Σ (Rᵢ − Rᵢ₋₁)·Pᵢ over the places, without interpolation, as in scikit-learn."""
        return float(np.diff(self.recall, prepend=0.0) @ self.precision)

    def best_f1(self) -> int:
        """The place with the largest F1; of equal ones the highest threshold."""
        return int(np.argmax(self.f1))

    def promising(self, precision: float, confidence: float = 0.95) -> int | None:
        """The lowest threshold where even the lower bound of the precision's interval is `precision`; None where none is."""
        low, _ = wilson_bounds(self.precision, self.selected, confidence)
        kept = np.flatnonzero(low >= precision)
        return int(kept[-1]) if len(kept) else None

    def at(self, threshold: float) -> int | None:
        """The place that selects what `threshold` selects; None where that is nothing."""
        selecting = int(np.count_nonzero(self.cosines >= threshold))
        return selecting - 1 if selecting else None

    def decimal(self, place: int) -> float:
        """The decimal number with the fewest digits that, as a threshold, selects exactly what this place selects.

        It is above the next lower cosine and at most this place's.
        """
        high = float(self.cosines[place])
        low = float(self.cosines[place + 1]) if place + 1 < len(self.cosines) else -np.inf
        for digits in range(1, 17):
            rounded = np.floor(high * 10**digits) / 10**digits
            if low < (shortest := round(float(rounded), digits)) <= high:
                return shortest
        return high


def curve_of(cosines: np.ndarray, labels: np.ndarray) -> Curve:
    """The curve of pairs with `cosines` (pairs,) and `labels` bool (pairs,), in any order.

    Raises ValueError unless there is a pair of either label: without one, recall or precision means nothing.
    """
    if not labels.any() or labels.all():
        raise ValueError(f"{int(labels.sum())} of {len(labels)} pairs are labelled 1: calibration needs pairs of both labels")
    order = np.argsort(-cosines, kind="stable")
    ranked = cosines[order].astype(np.float64)
    # A threshold selects all pairs of one cosine or none of them: only the last of each counts.
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    duplicates = np.cumsum(labels[order], dtype=np.int64)[last]
    return Curve(ranked[last], last + 1, duplicates, len(labels), int(labels.sum()))


def curve_table(curve: Curve, confidence: float = 0.95) -> pa.Table:
    """One row for each place of the curve, highest threshold first."""
    low, high = wilson_bounds(curve.precision, curve.selected, confidence)
    columns = {
        "threshold": curve.cosines,
        "pairs": curve.selected,
        "duplicates": curve.duplicates,
        "precision": curve.precision,
        "precision_low": low,
        "precision_high": high,
        "recall": curve.recall,
        "f1": curve.f1,
    }
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    descriptions = {
        "threshold": "Cosine of a pair, or of several, which are selected together. Rows are sorted by it, descending.",
        "pairs": "Labelled pairs with at least this cosine.",
        "duplicates": "Those of them that are labelled 1.",
        "precision": "Their share.",
        "precision_low": f"Lower bound of its Wilson interval at confidence {confidence:g}.",
        "precision_high": "Upper bound of it.",
        "recall": "Share of all pairs labelled 1 that are selected.",
        "f1": "Harmonic mean of precision and recall.",
    }
    return table.cast(describe(table.schema, descriptions))
