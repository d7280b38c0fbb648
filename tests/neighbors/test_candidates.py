"""One block of candidates alone; with real scores they are tested in test_tiles.py."""

import threading

import numpy as np
import pytest

from tests.neighbors.helpers import random_vectors
from transforms.neighbors import snap
from transforms.neighbors.candidates import ROWS, Candidates, Shortlist, merged
from transforms.neighbors.screen import BF16, FP32, key, make_screen, value


def candidates(rows=3, k=2, spare=2, precision=FP32):
    screen = make_screen(snap(random_vectors(rows, 8)), precision)
    some = Candidates(screen, k, spare)
    some.expect(screen)
    return some, screen


@pytest.mark.parametrize("for_columns", [False, True])
@pytest.mark.parametrize("precision", [FP32, BF16])
def test_of_any_number_at_once_the_best_are_kept_and_the_next_is_the_bound(precision, for_columns):
    some, screen = candidates(rows=ROWS + 2, precision=precision)
    generator = np.random.default_rng(0)
    # Far apart, so that the screen's error plays no part, in bf16 numbers.
    scores = generator.permutation(1000) / 1024
    if precision == BF16:
        scores = value(key(scores.astype(np.float32)) & ~0xFFFF)
    tile = (np.tile(key(scores.astype(np.float32)), (2, 1)) >> screen.shift).astype(screen.score_type)
    some.take(slice(ROWS, ROWS + 2), np.ascontiguousarray(tile.T) if for_columns else tile, 0, for_columns)
    found = some.shortlist()
    assert found.counts[:ROWS].tolist() == [0] * ROWS
    assert np.isneginf(found.left_out[:ROWS]).all()
    best = np.argsort(-scores, kind="stable")
    error = screen.error(float(screen.lost.max())).max() + 2.0**-8 * (precision == BF16)
    for row in (ROWS, ROWS + 1):
        own = found.rows(slice(row, row + 1))
        listed = scores[own.positions]
        assert (np.diff(listed) <= 0).all()
        assert listed[:2].tolist() == scores[best[:2]].tolist()
        others = np.delete(scores, own.positions)
        assert (others <= own.left_out).all()
        assert ((own.above >= listed) & (own.above <= listed + 2 * error + 1e-6)).all()
        assert own.needed(2) <= scores[best[1]]


def test_a_limit_that_another_thread_raises_meanwhile_is_not_lowered():
    some, _ = candidates()
    high, low = key(np.full(3, 0.9, np.float32)), key(np.full(3, 0.1, np.float32))
    with some._locks[0]:
        other = threading.Thread(target=some.exclude_by_scores, args=(slice(0, 3), low))
        other.start()
        other.join(0.2)
        assert other.is_alive()
        some._left_out[:] = high
    other.join()
    assert (some.limits(slice(0, 3)) == high + 1).all()


def test_lists_of_more_than_are_kept_lose_the_worst_and_say_so():
    def of(positions, above, left_out):
        arrays = np.array(positions, np.int64), np.array(above, np.float32), np.array([left_out], np.float32)
        return Shortlist(np.array([len(positions)]), *arrays, np.array([0.01], np.float32), 0.0)

    both = merged([of([1, 2], [0.9, 0.5], 0.1), of([3, 4], [0.7, 0.3], -np.inf)], keep=3)
    assert both.positions.tolist() == [1, 3, 2]
    assert both.left_out.tolist() == [np.float32(0.3)]
    assert merged([of([1], [0.9], 0.6), of([], [], -np.inf)], keep=3).left_out.tolist() == [np.float32(0.6)]
