"""How well cosines agree with what people said of pairs of texts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.evaluated import Compared, Measured, Sampling, Section, compare_columns, measure_columns
from pipelines.evaluation_folder import TABLES
from pipelines.labelled import pair_cosines, reasons, texts_of
from pipelines.rankers import System
from transforms.corpus import InputError
from transforms.duplicates import curve_of, has_scores, read_labels, read_scores
from transforms.embedding import warnings_of
from transforms.evaluation import BINARY, GRADED, comparable

TASK = "pairs"


def evaluate_pairs(path: str, systems: Sequence[System], sampling: Sampling) -> Section:
    """Correlations for pairs with grades, average precision and best F1 for pairs with labels 0 and 1; each system is compared
    with the first.

    Texts are embedded as documents and compared by cosine, whatever the index's metric. Raises InputError for a file that
    cannot be understood, or has nothing to measure.
    """
    graded = has_scores(path)
    pairs, a, b = texts_of((read_scores if graded else read_labels)(path), systems[0].generation, path)
    if len(pairs.labels) < 2 or len(np.unique(pairs.labels)) < 2:
        raise InputError(
            f"pairs {path!r} have {len(pairs.labels)} that can be used{reasons(pairs)}, with {len(np.unique(pairs.labels))} "
            f"different {'scores' if graded else 'labels'}: at least two of each are needed"
        )
    statistics = GRADED if graded else BINARY
    judged = pairs.labels.astype(np.float64)
    facts: dict[str, Any] = {"pairs": len(judged), "left_out": pairs.left_out}
    rows: list[Measured] = []
    compared: list[Compared] = []
    findings: list[str] = []
    cosines: dict[str, np.ndarray] = {}
    for system in systems:
        found, cost = pair_cosines(a, b, system.generation, system.spec, system.options)
        cosines[system.name] = found
        rows += measure_columns(TASK, system.name, dict.fromkeys(statistics, (found, judged)), statistics, sampling)
        findings += warnings_of(system.spec, ["similarity"])
        facts.setdefault("truncated_texts", {})[system.name] = cost["texts_truncated"]
        if not graded:
            curve = curve_of(found, pairs.labels)
            facts.setdefault("best_f1_threshold", {})[system.name] = curve.decimal(curve.best_f1())
    first, *others = cosines
    for name in others:
        both = {measure: (comparable(cosines[first], measure), comparable(cosines[name], measure)) for measure in statistics}
        compared += compare_columns(TASK, (first, name), both, [judged], statistics, sampling)
    return Section(TASK, facts, rows, compared, list(dict.fromkeys(findings)), {"pairs": _table(cosines, judged)})


def _table(cosines: dict[str, np.ndarray], judged: np.ndarray) -> pa.Table:
    """One row for each pair and system."""
    count = len(judged)
    columns = {
        "system": pa.array([name for name in cosines for _ in range(count)], pa.string()),
        "pair": np.tile(np.arange(count), len(cosines)),
        "cosine": np.concatenate(list(cosines.values())),
        "judged": np.tile(judged, len(cosines)),
    }
    return pa.table(columns).cast(TABLES["pairs"])
