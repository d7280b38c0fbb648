import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.embedding import packed_tokens, padded_tokens, plan_batches, plan_packed
from transforms.embedding.batching import MAX_ROWS

LENGTHS = st.lists(st.integers(1, 600), max_size=300).map(lambda values: np.array(values, dtype=np.int64))
BUDGET = st.integers(1, 5000)


@given(lengths=LENGTHS, budget=BUDGET, max_rows=st.integers(1, 80))
def test_a_plan_is_a_partition_within_the_budget_longest_first(lengths, budget, max_rows):
    batches = plan_batches(lengths, budget, max_rows)
    order = [int(i) for batch in batches for i in batch]
    # Longest first, ties in input order: this also says that every text is in exactly one batch.
    assert order == sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    for batch in batches:
        assert 1 <= len(batch) <= max_rows
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget


@given(lengths=LENGTHS, budget=BUDGET, max_rows=st.integers(1, 80))
def test_no_batch_has_room_for_the_next_text(lengths, budget, max_rows):
    batches = plan_batches(lengths, budget, max_rows)
    for batch in batches[:-1]:
        rows = len(batch) + 1
        assert rows > max_rows or rows * lengths[batch].max() > budget


@given(lengths=LENGTHS, budget=BUDGET)
def test_padded_tokens_is_the_size_of_the_padded_matrices(lengths, budget):
    batches = plan_batches(lengths, budget)
    seen = 0
    for batch in batches:
        rows = [[1] * int(length) for length in lengths[batch]]
        width = max(map(len, rows))
        seen += sum(len(row + [0] * (width - len(row))) for row in rows)
    assert padded_tokens(lengths, batches) == seen >= lengths.sum()


def test_rows_are_bounded_by_default():
    batches = plan_batches(np.ones(200, np.int64), 10**9)
    assert [len(batch) for batch in batches] == [MAX_ROWS, MAX_ROWS, MAX_ROWS, 200 - 3 * MAX_ROWS]


@pytest.mark.parametrize(("lengths", "expected"), [([], []), ([900], [[0]]), ([1, 900, 2, 900], [[1], [3], [2, 0]])])
def test_small_plans(lengths, expected):
    assert [batch.tolist() for batch in plan_batches(np.array(lengths), 800)] == expected


# --- without padding -----------------------------------------------------------------------------------------------------

ROWS = st.sampled_from([1, 8, 64, 512])


@given(lengths=LENGTHS, budget=BUDGET)
def test_a_packed_plan_is_a_partition_within_the_budget(lengths, budget):
    batches = plan_packed(lengths, budget)
    assert sorted(int(i) for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or lengths[batch].sum() <= budget
        # Longest first, ties in input order: equal lengths are side by side.
        assert batch.tolist() == sorted(batch.tolist(), key=lambda i: (-lengths[i], i))


@given(lengths=LENGTHS, budget=BUDGET)
def test_no_packed_batch_has_room_for_a_text_of_a_later_one(lengths, budget):
    batches = plan_packed(lengths, budget)
    for number, batch in enumerate(batches):
        room = budget - lengths[batch].sum()
        assert all(lengths[later].min() > room for later in batches[number + 1 :])


@given(lengths=LENGTHS, budget=BUDGET, rows=ROWS)
def test_packed_tokens_is_the_number_of_rows_computed(lengths, budget, rows):
    batches = plan_packed(lengths, budget)
    expected = sum(math.ceil(sum(int(lengths[i]) for i in batch) / rows) * rows for batch in batches)
    assert packed_tokens(lengths, batches, rows) == expected


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("longest", [40, 256])
def test_filling_is_below_two_percent_of_a_part(seed, longest):
    """Lengths as corpora have them, as many as a part has."""
    generator = np.random.default_rng(seed)
    lengths = np.minimum(generator.lognormal(np.log(longest / 3), 0.8, 4096).astype(int) + 3, longest)
    assert packed_tokens(lengths, plan_packed(lengths, 1024), 1024) <= 1.02 * lengths.sum()
