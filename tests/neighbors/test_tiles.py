"""What tiles leave is checked against exact products: everybody is listed, or proven to be too far away."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.neighbors.helpers import clumpy_vectors, random_vectors
from transforms.neighbors import candidates as candidates_module
from transforms.neighbors import snap, tiles
from transforms.neighbors.candidates import Candidates, joined, merged
from transforms.neighbors.lists import load_lists, save_lists
from transforms.neighbors.screen import BF16, FP32, make_screen
from transforms.neighbors.tiles import Side, compare, compare_within


@pytest.fixture
def small_tiles(monkeypatch):
    for module in (tiles, candidates_module):
        monkeypatch.setattr(module, "ROWS", 8)
    monkeypatch.setattr(candidates_module, "_ROOM", 5)


def side(vectors, start, k, spare, precision):
    screen = make_screen(vectors, precision)
    return Side(screen, start, Candidates(screen, k, spare))


def check(shortlist, exact, first, compared, k):
    """`exact` float64 (rows, n) dot products; `compared` bool (rows, n) who was met; row 0 is at position `first`."""
    met = compared.copy()
    own = np.arange(len(exact)) + first
    met[np.arange(len(exact))[own < met.shape[1]], own[own < met.shape[1]]] = False
    row, positions = shortlist.row_numbers(), shortlist.positions
    listed = np.zeros_like(met)
    listed[row, positions] = True
    assert listed.sum() == len(row) == len(positions) == len(shortlist.above)
    assert not (listed & ~met).any()
    assert (exact[row, positions] <= shortlist.above).all()
    assert (np.diff(shortlist.above)[np.diff(row) == 0] <= 0).all()
    left_out = np.where(met & ~listed, exact, -np.inf).max(axis=1)
    assert (left_out <= shortlist.left_out).all()
    # Nobody is dropped for being below what is needed who ties with the last place, or comes before it.
    cosines = np.where(met, np.clip(exact.astype(np.float32), -1, 1), -np.inf)
    last = np.sort(cosines, axis=1)[:, -k] if k <= cosines.shape[1] else np.full(len(exact), -np.inf)
    worthy = met & (cosines >= last[:, None])
    assert (np.where(worthy, exact, np.inf).min(axis=1) >= shortlist.needed(k)).all()


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("precision", [FP32, BF16])
def test_everybody_is_listed_or_proven_to_be_left_out(precision, tmp_path):
    @settings(max_examples=40)
    @given(clumpy_vectors(50), st.integers(1, 12), st.sampled_from([1, 4, 40]), st.integers(1, 2), st.data())
    def run(vectors, k, spare, threads, data):
        vectors = snap(vectors * np.float32(data.draw(st.sampled_from([0.9995, 1.0, 1.0005]))))
        rows = len(vectors)
        exact = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
        everybody = np.ones((rows, rows), bool)
        alone = side(vectors, 0, k, spare, precision)
        compare_within(alone, k, threads)
        whole = alone.candidates.shortlist()
        check(whole, exact, 0, everybody, k)

        cut = data.draw(st.integers(1, rows - 1))
        a, b = side(vectors[:cut], 0, k, spare, precision), side(vectors[cut:], cut, k, spare, precision)
        part = slice(data.draw(st.integers(0, cut - 1)), None)
        compare(a, b, k, threads, rows=part)
        in_part = np.arange(cut) >= part.start
        met = np.zeros((cut, rows), bool)
        met[in_part, cut:] = True
        check(a.candidates.shortlist(), exact[:cut], 0, met, k)
        met = np.zeros((rows - cut, rows), bool)
        met[:, :cut] = in_part
        check(b.candidates.shortlist(), exact[cut:], cut, met, k)

        # Lists over different others, merged after a stay in a file.
        across = side(vectors[:cut], 0, k, spare, precision), side(vectors[cut:], cut, k, spare, precision)
        compare(*across, k, threads)
        within = side(vectors[:cut], 0, k, spare, precision)
        compare_within(within, k, threads)
        lists = []
        for number, some in enumerate((across[0], within)):
            save_lists(f"{tmp_path}/{number}.npz", some.candidates.shortlist())
            lists.append(load_lists(f"{tmp_path}/{number}.npz"))
        both = merged(lists, k + spare)
        check(both, exact[:cut], 0, everybody[:cut], k)
        halves = [both.rows(slice(0, cut // 2)), both.rows(slice(cut // 2, None))]
        check(joined(halves), exact[:cut], 0, everybody[:cut], k)

    run()


@pytest.mark.parametrize("precision", [FP32, BF16])
def test_few_are_listed_beyond_those_that_belong_there(precision):
    vectors = snap(random_vectors(2500, 64))
    alone = side(vectors, 0, 10, 50, precision)
    compare_within(alone, 10, 2)
    shortlist = alone.candidates.shortlist()
    assert (shortlist.above >= np.repeat(shortlist.needed(10), shortlist.counts)).sum() < 14 * 2500
    # None of them for want of room.
    exact = np.sort(vectors.astype(np.float64) @ vectors.T.astype(np.float64), axis=1)[:, -11]
    assert (shortlist.left_out < exact).mean() > 0.99
