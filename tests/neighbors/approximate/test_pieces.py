import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.neighbors.approximate.pieces import Piece, Pieces, spans
from transforms.vectors import save_array


def test_rows_are_taken_in_any_order_and_again(folder):
    values = np.arange(60, dtype=np.int32).reshape(20, 3)
    pieces = []
    for low, high in ((0, 7), (7, 8), (8, 20)):
        save_array(f"{folder}/{low}.npy", values[low:high])
        pieces.append(Piece(low, high, f"{folder}/{low}.npy"))
    several = Pieces(reversed(pieces))
    for wanted in ([19, 0, 7, 7, 3], [7], [], [0, 8, 19]):
        taken = several.take(np.array(wanted, np.int64))
        assert taken.dtype == np.int32
        assert np.array_equal(taken, values[wanted])


@given(st.integers(0, 5000), st.integers(1, 600), st.integers(1, 70))
def test_ranges_cover_all_rows_and_begin_at_multiples(rows, size, multiple):
    found = list(spans(rows, size, multiple))
    assert [row for low, high in found for row in range(low, high)] == list(range(rows))
    assert all(low % multiple == 0 for low, _ in found)
    assert all(size <= high - low < size + multiple for low, high in found[:-1])


@pytest.mark.parametrize(("rows", "expected"), [(0, []), (1, [(0, 1)]), (8, [(0, 8)]), (9, [(0, 8), (8, 9)])])
def test_the_last_range_may_be_short(rows, expected):
    assert list(spans(rows, 7, 4)) == expected
