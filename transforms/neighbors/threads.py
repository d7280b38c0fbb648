"""Steps of one piece of work in several threads: numpy, BLAS, torch and compiled loops let other threads go on meanwhile."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Step = TypeVar("Step")


def in_threads(work: Callable[[Step], None], steps: Sequence[Step], threads: int) -> None:
    """Do `work` for every step, in at most so many threads; raises what a step raises."""
    if threads == 1 or len(steps) <= 1:
        for step in steps:
            work(step)
        return
    with ThreadPoolExecutor(threads) as pool:
        _consume(pool.map(work, steps))


def _consume(results: Iterable[None]) -> None:
    for _ in results:
        pass
