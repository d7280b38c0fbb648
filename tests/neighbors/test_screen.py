import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import transforms.neighbors.screen as screen
from tests.neighbors.helpers import random_vectors, unit
from transforms.neighbors import snap
from transforms.neighbors.screen import BF16, FP32, NOTHING, in_order, key, make_screen, value

numbers = st.floats(-2, 2, width=32)


@given(st.lists(numbers, min_size=1, max_size=50))
def test_keys_are_in_the_order_of_the_numbers_and_back(values):
    values = np.array(values, np.float32)
    keys = key(values)
    assert np.array_equal(value(keys), values)
    assert np.array_equal(values[np.argsort(keys)], np.sort(values))
    assert (keys > NOTHING).all()


@given(st.lists(numbers, min_size=1, max_size=50), st.integers(-(2**31), 2**31 - 2**17), st.sampled_from([FP32, BF16]))
def test_the_least_score_above_a_key_divides_the_scores(values, limit, precision):
    some = make_screen(np.ones((1, 1), np.float32), precision)
    bits = np.array(values, np.float32).view(np.int32) >> some.shift
    scores = bits.astype(some.score_type)
    in_order(scores)
    keys = some.keys(scores)
    assert np.array_equal(value(keys).view(np.int32) >> some.shift, bits)
    least = some.least_score(np.array([limit], np.int32))
    assert np.array_equal(scores >= least, keys > limit)


@st.composite
def hard_to_round(draw, dim):
    """Two vectors that bf16 rounds as badly as it can, with all errors of one sign: components between two numbers."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    direction = draw(st.sampled_from([-1, 1]))
    # One unit above or below the middle of two bf16 numbers, near a power of two, where the places are widest for the size.
    steps = draw(st.integers(0, 3)) if draw(st.booleans()) else generator.integers(0, 128, dim)
    middle = 1 + (np.broadcast_to(steps, dim) + 0.5) * 2.0**-7
    components = (middle + direction * 2.0**-15) * 2.0 ** -draw(st.integers(0, 3))
    signs = generator.choice([-1.0, 1.0], dim) if draw(st.booleans()) else np.ones(dim)
    vector = components * signs
    # Scaling by powers of two keeps the bits; what is missing in the length is one more component.
    scale = 2.0 ** np.floor(np.log2(1 / np.linalg.norm(vector)))
    vector = vector * scale
    rest = 1 - (vector @ vector)
    extra = np.sqrt(rest) if rest > 0 else 0.0
    a = np.append(vector, [extra, 0.0])
    b = np.append(vector * draw(st.sampled_from([-1, 1])), [0.0, extra] if draw(st.booleans()) else [extra, 0.0])
    return np.stack([a, b]).astype(np.float32)


def bounds(vectors, precision):
    """Scores of all pairs, and what the screen says about their exact dot products."""
    snapped = snap(vectors)
    some = make_screen(snapped, precision)
    everybody = slice(0, len(vectors))
    scores = some.scores(everybody, some, everybody, some.buffer(len(vectors), len(vectors)))
    in_order(scores)
    keys = some.keys(scores)
    error = some.error(float(some.lost.max()))[:, None]
    exact = snapped.astype(np.float64) @ snapped.T.astype(np.float64)
    return exact, value(keys - some.half_place) - error, value(keys + some.half_place) + error, some


@given(st.sampled_from([1, 2, 7, 64, 384]).flatmap(hard_to_round), st.sampled_from([FP32, BF16]))
def test_exact_products_of_vectors_that_round_badly_are_within_the_bound(vectors, precision):
    exact, below, above, some = bounds(vectors, precision)
    assert (below <= exact).all()
    assert (exact <= above).all()
    if precision == FP32:
        assert not some.lost.any()


def test_the_bound_is_not_much_larger_than_what_happens():
    """Vectors whose roundings all add up: a bound of half the size would be broken."""
    middle = (1 + 0.5 * 2.0**-7 - 2.0**-15) / 32
    vectors = np.full((2, 1001), middle, np.float32)
    vectors[:, -1] = np.sqrt(1 - np.square(vectors[0, :-1].astype(np.float64)).sum())
    snapped = snap(vectors)
    some = make_screen(snapped, BF16)
    low = some.low.double().numpy()
    happened = abs(float(low[0] @ low[1]) - float(snapped[0].astype(np.float64) @ snapped[1].astype(np.float64)))
    assert some.error(float(some.lost.max()))[0] / 2 < happened < some.error(float(some.lost.max()))[0]


@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 64, 384, 1024]), st.sampled_from([FP32, BF16]))
def test_exact_products_of_random_vectors_are_within_the_bound(seed, dim, precision):
    vectors = random_vectors(40, dim, seed)
    vectors = np.vstack([vectors, -vectors[:5], unit(np.abs(vectors[:5]))])
    exact, below, above, _ = bounds(vectors, precision)
    assert (below <= exact).all()
    assert (exact <= above).all()


def test_what_rounding_loses_is_measured():
    vectors = snap(random_vectors(300, 384))
    some = make_screen(vectors, BF16)
    lost = np.linalg.norm(vectors.astype(np.float64) - some.low.double().numpy(), axis=1)
    assert (some.lost >= lost).all()
    assert some.lost == pytest.approx(lost, rel=1e-3)


@pytest.fixture
def measured_anew():
    screen.fastest_precision.cache_clear()
    yield
    screen.fastest_precision.cache_clear()


@pytest.mark.parametrize(("fp32", "bf16", "chosen"), [(3.0, 1.0, BF16), (1.4, 1.0, FP32), (1.0, 30.0, FP32)])
def test_the_faster_precision_is_chosen(monkeypatch, measured_anew, fp32, bf16, chosen):
    seconds = {FP32: fp32, BF16: bf16}
    monkeypatch.setattr(screen, "_seconds", lambda some, _: seconds[some.precision])
    assert screen.fastest_precision() == chosen


def test_sums_that_are_not_float32_are_noticed(monkeypatch, measured_anew):
    monkeypatch.setattr(screen, "_seconds", lambda some, _: float(some.precision == FP32))
    assert screen.fastest_precision() == BF16
    screen.fastest_precision.cache_clear()
    monkeypatch.setattr(screen.Screen, "scores", sums_in_bf16)
    assert screen.fastest_precision() == FP32


@pytest.mark.parametrize(("rows", "columns"), [(1, 1024), (512, 1), (33, 17)])
def test_also_when_only_a_small_product_takes_the_bad_way(monkeypatch, measured_anew, rows, columns):
    monkeypatch.setattr(screen, "_seconds", lambda some, _: float(some.precision == FP32))
    scores = screen.Screen.scores

    def some_badly(self, own, other, others, buffer):
        small = (len(self.low[own]), len(other.low[others])) == (rows, columns)
        return (sums_in_bf16 if small else scores)(self, own, other, others, buffer)

    monkeypatch.setattr(screen.Screen, "scores", some_badly)
    assert screen.fastest_precision() == FP32


def sums_in_bf16(self, rows, other, columns, buffer):
    """A processor that rounds every partial sum."""
    import torch

    a, b = self.low[rows], other.low[columns]
    total = torch.zeros(len(a), len(b), dtype=torch.bfloat16)
    for i in range(0, self.dim, 8):
        total += a[:, i : i + 8] @ b[:, i : i + 8].T
    buffer[: total.numel()] = total.view(torch.int16).numpy().ravel()
    return buffer[: total.numel()].reshape(total.shape)


def test_little_work_does_not_wait_for_a_choice(monkeypatch):
    monkeypatch.setattr(screen, "fastest_precision", lambda: pytest.fail("measured"))
    assert screen.precision_for(1000 * 1000) == FP32
