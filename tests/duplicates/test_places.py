import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from transforms.duplicates.places import ascending, places_of

NUMBERS = st.lists(st.integers(-(2**62), 2**62) | st.integers(0, 5), max_size=20)


@given(NUMBERS, NUMBERS)
def test_places_are_those_of_a_list(values, known):
    known = sorted(set(known))
    found = places_of(np.array(values, np.int64), np.array(known, np.int64))
    assert found.tolist() == [known.index(value) if value in known else -1 for value in values]


@given(NUMBERS)
def test_different_values_in_order(values):
    assert ascending(np.array(values, np.int64)).tolist() == sorted(set(values))
