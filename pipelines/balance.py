"""Which worker of this machine does which tasks, so that all of them are done at about the same time."""

import heapq
from collections.abc import Sequence
from typing import Any


def cost_of(task: Any) -> float:
    """What a task says that it costs beside the others of its job, its `cost`; 1 where it does not."""
    return float(getattr(task, "cost", 1.0))


def balanced_shares(costs: Sequence[float], workers: int) -> list[tuple[int, ...]]:
    """The numbers of the tasks of each worker that gets any, ascending: the dearest first, each to who has least so far.

    No worker has more than 4/3 of what the best division would give the busiest (Graham 1969, doi 10.1137/0117039).
    """
    shares: list[list[int]] = [[] for _ in range(min(workers, len(costs)))]
    given = [(0.0, 0, share) for share in range(len(shares))]
    for number in sorted(range(len(costs)), key=lambda number: (-costs[number], number)):
        cost, tasks, share = given[0]
        shares[share].append(number)
        heapq.heapreplace(given, (cost + costs[number], tasks + 1, share))
    return [tuple(sorted(share)) for share in shares]
