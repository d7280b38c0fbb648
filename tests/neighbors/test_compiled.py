"""The compiled loops beside the same in plain Python."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.neighbors.helpers  # noqa: F401  (hypothesis without a deadline)
from transforms.neighbors.compiled import NOBODY, pair_dots, take


@pytest.mark.parametrize(("score_type", "shift"), [(np.int16, 16), (np.int32, 0)])
@pytest.mark.parametrize("for_columns", [False, True])
def test_lists_are_those_of_taking_one_after_the_other(score_type, shift, for_columns):
    @given(st.integers(1, 12), st.integers(1, 150), st.integers(1, 9), st.integers(1, 60), st.integers(0, 2**32 - 1))
    def run(rows, columns, places, spread, seed):
        generator = np.random.default_rng(seed)
        scores = generator.integers(-spread, spread, (rows, columns), dtype=score_type)
        lists = columns if for_columns else rows
        least = generator.integers(-spread, spread + 1, lists, dtype=score_type)
        entries, counts = np.full((lists, places), NOBODY), np.zeros(lists, np.int32)
        before = generator.integers(-spread << shift, spread << shift, lists, dtype=np.int32)
        left_out = before.copy()
        # From tile to tile: what the first leaves is what the second finds.
        cut = columns // 2
        tiles = [(scores, 100)] if for_columns else [(scores[:, :cut].copy(), 100), (scores[:, cut:].copy(), 100 + cut)]
        for tile, first in tiles:
            take(tile, least, for_columns, first, shift, entries, counts, left_out)

        for own, line in enumerate(scores.T if for_columns else scores):
            wide = line.astype(np.int64)
            keys = (wide << shift) | np.where(wide < 0, (1 << shift) - 1, 0)
            wanted = np.flatnonzero((line >= least[own]) & (keys > before[own]))
            found = entries[own, : counts[own]]
            assert (entries[own, counts[own] :] == NOBODY).all()
            assert len(found) == min(len(wanted), places)
            places_of = (found & 0xFFFFFFFF) - 100
            assert len(set(places_of)) == len(found)
            assert set(places_of) <= set(wanted)
            assert (found >> 32 == keys[places_of]).all()
            # The best are there, and the bound is the key of the best of the others, no more.
            rest = np.setdiff1d(wanted, places_of)
            assert left_out[own] == max([before[own], *keys[rest]])
            assert all(key <= (found >> 32).min() for key in keys[rest])

    run()


@given(st.integers(0, 20), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_dot_products_of_whole_numbers_are_exact(pairs, dim, seed):
    generator = np.random.default_rng(seed)
    a, b = (generator.integers(-(2**23), 2**23, (5, dim)).astype(np.float32) for _ in range(2))
    rows, columns = (generator.integers(0, 5, pairs) for _ in range(2))
    dots = np.empty(pairs)
    pair_dots(a, b, rows, columns, dots)
    exact = [sum(int(x) * int(y) for x, y in zip(a[i], b[j], strict=True)) for i, j in zip(rows, columns, strict=True)]
    assert dots.tolist() == [float(value) for value in exact]
