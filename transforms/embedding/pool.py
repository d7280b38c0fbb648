"""Threads that each compute alone: a forward pass in one thread gives the same bytes however many cores there are."""

import threading
from concurrent.futures import ThreadPoolExecutor


def one_thread_each(threads: int) -> ThreadPoolExecutor:
    """A pool of threads in each of which torch uses that thread only."""
    import torch

    others = torch.get_num_threads()
    started = threading.Barrier(threads + 1)

    def start() -> None:
        # Torch gives a thread the process's number when it first asks: that must be over before another is set.
        torch.get_num_threads()
        torch.set_num_threads(1)
        started.wait()

    pool = ThreadPoolExecutor(threads, "embed", start)
    for _ in range(threads):
        pool.submit(int)
    started.wait()
    # The number set last is what threads start with that torch has not seen yet.
    torch.set_num_threads(others)
    return pool
