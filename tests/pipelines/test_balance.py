"""Shares of tasks: each task once, and nobody much busier than needed."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.balance import balanced_shares, cost_of


@given(st.lists(st.integers(0, 100), max_size=40), st.integers(1, 8))
def test_each_task_is_in_one_share_and_no_share_is_empty(costs, workers):
    shares = balanced_shares(costs, workers)
    assert sorted(number for share in shares for number in share) == list(range(len(costs)))
    assert len(shares) == min(workers, len(costs))
    assert all(share and list(share) == sorted(share) for share in shares)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=7), st.integers(1, 3))
def test_the_busiest_has_at_most_four_thirds_of_what_it_must(costs, workers):
    def busiest(owners) -> int:
        return max(sum(cost for cost, owner in zip(costs, owners, strict=True) if owner == worker) for worker in range(workers))

    best = min(busiest(owners) for owners in product(range(workers), repeat=len(costs)))
    assert 3 * max(sum(costs[number] for number in share) for share in balanced_shares(costs, workers)) <= 4 * best


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_equal_tasks_are_dealt_in_turn(workers):
    assert balanced_shares([1.0] * 11, workers) == [tuple(range(worker, 11, workers)) for worker in range(workers)]


def test_a_task_may_say_its_cost():
    class Dear:
        cost = 7

    assert (cost_of(Dear()), cost_of("a task")) == (7, 1)
