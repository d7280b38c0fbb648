import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve

from transforms.duplicates import Curve, curve_of, curve_table
from transforms.index import wilson_bounds

# Few different cosines, so that there are ties, two of them neighbours in float32.
COSINES = [np.float32(value) for value in (-0.5, 0.0, 0.25, 0.7, np.nextafter(np.float32(0.7), np.float32(1)), 0.71, 1.0)]


@st.composite
def labelled(draw) -> tuple[np.ndarray, np.ndarray]:
    pairs = draw(st.lists(st.tuples(st.sampled_from(COSINES), st.booleans()), min_size=2, max_size=40))
    cosines, labels = np.array([c for c, _ in pairs], np.float32), np.array([label for _, label in pairs])
    labels[0], labels[1] = True, False
    return cosines, labels


@given(labelled())
def test_the_curve_is_that_of_scikit_learn(pairs):
    cosines, labels = pairs
    curve = curve_of(cosines, labels)
    precision, recall, thresholds = precision_recall_curve(labels, cosines)
    # scikit-learn's begins with the lowest threshold and adds a last point for selecting nothing.
    np.testing.assert_allclose(curve.precision, precision[:-1][::-1])
    np.testing.assert_allclose(curve.recall, recall[:-1][::-1])
    np.testing.assert_array_equal(curve.cosines, thresholds[::-1].astype(np.float64))
    np.testing.assert_allclose(curve.average_precision, average_precision_score(labels, cosines))
    for place, threshold in enumerate(curve.cosines):
        assert curve.f1[place] == pytest.approx(f1_score(labels, cosines >= threshold))
        assert curve.at(threshold) == place


@given(labelled())
def test_a_short_decimal_selects_what_its_place_does(pairs):
    cosines, labels = pairs
    curve = curve_of(cosines, labels)
    for place in range(len(curve.cosines)):
        assert np.count_nonzero(cosines.astype(np.float64) >= curve.decimal(place)) == curve.selected[place]


def test_a_decimal_is_as_short_as_can_be():
    curve = Curve(np.array([0.90001, 0.6341, 0.6329, 0.1]), np.arange(1, 5), np.ones(4), 4, 1)
    assert [curve.decimal(place) for place in range(4)] == [0.9, 0.634, 0.6, 0.1]


def test_the_promise_is_kept_by_the_lower_bound_at_the_lowest_threshold():
    generator = np.random.default_rng(3)
    cosines = generator.random(500).astype(np.float32)
    labels = generator.random(500) < cosines
    curve = curve_of(cosines, labels)
    place = curve.promising(0.8)
    assert place is not None
    low, _ = wilson_bounds(curve.precision, curve.selected)
    assert low[place] >= 0.8
    assert np.all(low[place + 1 :] < 0.8)
    # Ten pairs, all right, promise 0.72 at most.
    few = curve_of(np.linspace(0, 1, 11), np.arange(11) > 0)
    assert few.promising(0.7) is not None
    assert few.promising(0.8) is None


def test_best_f1_takes_the_highest_of_equal_thresholds():
    curve = curve_of(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False]))
    assert curve.best_f1() == 2
    tied = curve_of(np.array([0.9, 0.8, 0.7, 0.6, 0.5]), np.array([True, False, False, True, False]))
    assert tied.f1[0] == tied.f1[3]
    assert tied.best_f1() == 0
    assert tied.at(0.95) is None


@pytest.mark.parametrize("labels", [[True, True], [False, False]])
def test_one_label_alone_is_refused(labels):
    with pytest.raises(ValueError, match="of 2 pairs are labelled 1"):
        curve_of(np.array([0.1, 0.2]), np.array(labels))


def test_the_table_has_described_columns():
    table = curve_table(curve_of(np.array([0.5, 0.5, 0.1]), np.array([True, False, True])))
    assert table["threshold"].to_pylist() == [0.5, 0.1]
    assert table["pairs"].to_pylist() == [2, 3]
    assert table["duplicates"].to_pylist() == [1, 2]
    assert all(b"description" in field.metadata for field in table.schema)
