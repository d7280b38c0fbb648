"""Items that fail alone are found, the others are computed exactly as if they were alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.embedding.isolate import isolate


@given(count=st.integers(0, 200), bad=st.sets(st.integers(0, 199), max_size=6))
def test_the_bad_items_are_named_and_all_others_computed(count, bad):
    computed, calls = [], 0

    def compute(items):
        nonlocal calls
        calls += 1
        if wrong := bad.intersection(items):
            raise ValueError(f"cannot compute {sorted(wrong)[0]}")
        computed.extend(items)

    failed = isolate(range(count), compute)
    bad = {item for item in bad if item < count}
    assert set(failed) == bad
    assert all(str(failed[item]) == f"cannot compute {item}" for item in bad)
    assert sorted(computed) == sorted(set(range(count)) - bad)
    assert calls <= 1 + 2 * len(bad) * max(1, count.bit_length())


@pytest.mark.parametrize("error", [MemoryError("no memory"), RuntimeError("CUDA out of memory. Tried to allocate")])
def test_too_little_memory_is_not_the_fault_of_an_item(error):
    def compute(items):
        if len(items) > 2:
            raise error

    assert isolate(range(9), compute) == {}  # smaller batches are what it takes

    def never(items):
        raise error

    with pytest.raises(type(error)):
        isolate(range(9), never)


def test_a_signal_is_not_swallowed():
    def compute(items):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        isolate(range(4), compute)
