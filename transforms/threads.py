"""Threads: steps of one piece of work side by side, and how many threads libraries start.

The latter are settings of the whole process, which pieces of work that run side by side share. Who sets such a number and puts
back what it found, puts back what another piece of work had set for itself. So the first notes the number and the last puts it
back.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

Step = TypeVar("Step")
Done = TypeVar("Done")


def in_threads(work: Callable[[Step], Done], steps: Sequence[Step], threads: int) -> list[Done]:
    """What `work` gives for every step, in order, in at most so many threads; raises what a step raises.

    numpy, BLAS, torch and compiled loops let other threads go on meanwhile.
    """
    if threads == 1 or len(steps) <= 1:
        return [work(step) for step in steps]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, steps))


class _Shared:
    """One setting: how many hold it, and what was before."""

    def __init__(self) -> None:
        self.lock, self.holders = threading.Lock(), 0
        self.before: Any = None


_BLAS, _TORCH = _Shared(), _Shared()
_THIS_THREAD = threading.local()


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let BLAS compute in the calling thread alone, until the last who asked for it leaves."""
    with _BLAS.lock:
        if not _BLAS.holders:
            _BLAS.before = threadpool_limits(limits=1, user_api="blas")
        _BLAS.holders += 1
    try:
        yield
    finally:
        with _BLAS.lock:
            _BLAS.holders -= 1
            if not _BLAS.holders:
                _BLAS.before.restore_original_limits()


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let torch compute in the calling thread alone; threads that are started meanwhile call `torch.set_num_threads(1)`.

    torch has a number for each thread and one for threads to come. Those do not put anything back: the caller does. Enter this
    before `threadpool_limits`, whose number torch would take for its own. A thread that asks for it again, in a piece of the
    same work, is alone until it has left as often.
    """
    import torch

    with _TORCH.lock:
        if not _TORCH.holders:
            _TORCH.before = torch.get_num_threads()
        _TORCH.holders += 1
    depth = getattr(_THIS_THREAD, "depth", 0)
    _THIS_THREAD.depth = depth + 1
    torch.set_num_threads(1)
    try:
        yield
    finally:
        _THIS_THREAD.depth = depth
        with _TORCH.lock:
            _TORCH.holders -= 1
            if not depth:
                torch.set_num_threads(_TORCH.before)
