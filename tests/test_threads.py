"""Steps in threads, and numbers of threads after pieces of work that ran side by side."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from transforms.neighbors import screen, tiles
from transforms.threads import in_threads, one_blas_thread, one_torch_thread


def blas():
    """Threads of each library; one that was loaded for a single thread, by whatever ran here before, cannot have more."""
    return {pool["filepath"]: pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture
def two():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with threadpool_limits(2, user_api="blas"):
        yield
    torch.set_num_threads(before)


def in_new_thread():
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


@pytest.mark.usefixtures("two")
def test_blas_has_one_thread_until_the_last_who_asked_leaves():
    before = blas()
    assert 2 in before.values()
    first, second = one_blas_thread(), one_blas_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert set(blas().values()) == {1}
    second.__exit__(None, None, None)
    assert blas() == before
    with pytest.raises(KeyError), one_blas_thread():
        raise KeyError
    assert blas() == before


@pytest.mark.usefixtures("two")
def test_torch_has_its_threads_again_after_both_of_two_in_any_order():
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        first, second = one_torch_thread(), one_torch_thread()
        one.submit(first.__enter__).result()
        other.submit(second.__enter__).result()
        assert one.submit(torch.get_num_threads).result() == other.submit(torch.get_num_threads).result() == 1
        one.submit(first.__exit__, None, None, None).result()
        other.submit(second.__exit__, None, None, None).result()
        assert one.submit(torch.get_num_threads).result() == other.submit(torch.get_num_threads).result() == 2
    assert torch.get_num_threads() == in_new_thread() == 2


@pytest.mark.usefixtures("two")
def test_torch_has_one_thread_until_the_last_of_two_in_one_thread():
    with one_torch_thread():
        with one_torch_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == in_new_thread() == 2


@pytest.mark.usefixtures("two")
def test_precisions_are_compared_in_one_thread(monkeypatch):
    seen = []
    monkeypatch.setattr(screen, "_seconds", lambda *_: seen.append(torch.get_num_threads()) or 1.0)
    screen.fastest_precision.__wrapped__()
    assert set(seen) == {1}


@pytest.mark.usefixtures("two")
def test_screens_leave_torch_as_it_was(monkeypatch):
    seen = []
    monkeypatch.setattr(tiles, "_tile", lambda *_: seen.append(torch.get_num_threads()))
    vectors = np.zeros((4096, 8), np.float32)
    made = screen.make_screen(vectors, screen.BF16, 4)
    side = tiles.Side(made, 0, None)
    tiles._run([(side, slice(0), side, slice(0))] * 50, 1, 4)
    assert seen == [1] * 50
    assert torch.get_num_threads() == in_new_thread() == 2


@pytest.mark.parametrize("threads", [1, 2, 9])
@pytest.mark.parametrize("steps", [0, 1, 7])
def test_every_step_is_done_once(threads, steps):
    done = []

    def work(step: int) -> int:
        done.append(step)
        return 2 * step

    assert in_threads(work, range(steps), threads) == [2 * step for step in range(steps)]
    assert sorted(done) == list(range(steps))


def test_steps_are_done_at_the_same_time():
    # Each waits for the other: one after the other they would not end.
    meeting = threading.Barrier(2, timeout=60)
    in_threads(lambda _: meeting.wait(), range(2), 2)


@pytest.mark.parametrize("threads", [1, 2])
def test_what_a_step_raises_is_raised(threads):
    def fails(step: int) -> None:
        if step == 2:
            raise ValueError("step 2")

    with pytest.raises(ValueError, match="step 2"):
        in_threads(fails, range(4), threads)
