import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import average_precision_score, f1_score

from transforms.evaluation import BINARY, GRADED, comparable, estimate


@pytest.fixture
def pairs():
    generator = np.random.default_rng(0)
    grades = generator.integers(0, 6, 80).astype(float)
    return np.round(grades / 10 + generator.normal(scale=0.2, size=80), 1), grades


def test_correlations_are_those_of_scipy_row_by_row(pairs):
    cosines, grades = pairs
    rows = np.stack([cosines, cosines[::-1]])
    for name, expected in (("Spearman", spearmanr), ("Pearson", pearsonr)):
        assert GRADED[name](cosines, grades) == pytest.approx(expected(cosines, grades).statistic)
        found = GRADED[name](rows, np.stack([grades, grades]), axis=-1)
        assert found == pytest.approx([expected(row, grades).statistic for row in rows])


def test_classification_is_that_of_scikit_learn_row_by_row(pairs):
    cosines, grades = pairs
    labels = (grades > 2).astype(float)
    rows = np.stack([cosines, cosines[::-1]])
    found = BINARY["average precision"](rows, np.stack([labels, labels]), axis=-1)
    assert found == pytest.approx([average_precision_score(labels, row) for row in rows])
    best = [max(f1_score(labels, row >= threshold) for threshold in row) for row in rows]
    assert BINARY["best F1"](rows, np.stack([labels, labels]), axis=-1) == pytest.approx(best)
    assert np.isnan(BINARY["best F1"](cosines, np.ones(80)))


@pytest.mark.parametrize("measure", [*GRADED, *BINARY])
def test_another_scale_changes_no_measure(pairs, measure):
    cosines, grades = pairs
    judged = grades if measure in GRADED else (grades > 2).astype(float)
    statistic = (GRADED | BINARY)[measure]
    assert statistic(comparable(cosines, measure), judged) == pytest.approx(statistic(cosines, judged))
    assert comparable(0.7 + cosines / 100, measure) == pytest.approx(comparable(cosines, measure))


@pytest.mark.filterwarnings("error")
def test_a_resample_with_one_label_costs_no_interval():
    """With six pairs of a hundred that are the same, one resample in five hundred has none of them."""
    labels = (np.arange(100) < 6).astype(float)
    cosines = np.random.default_rng(0).normal(labels)
    for seed in range(5):
        found = estimate([cosines, labels], BINARY["best F1"], 500, seed)
        assert 0 < found.low < found.value < found.high <= 1
    assert np.isnan(estimate([cosines, (np.arange(100) < 1).astype(float)], BINARY["best F1"], 500, 0).low)
