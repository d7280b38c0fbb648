import threading

import pytest

from transforms.neighbors.threads import in_threads


@pytest.mark.parametrize("threads", [1, 2, 9])
@pytest.mark.parametrize("steps", [0, 1, 7])
def test_every_step_is_done_once(threads, steps):
    done = []
    in_threads(done.append, range(steps), threads)
    assert sorted(done) == list(range(steps))


def test_steps_are_done_at_the_same_time():
    # Each waits for the other: one after the other they would not end.
    meeting = threading.Barrier(2, timeout=60)
    in_threads(lambda _: meeting.wait(), range(2), 2)


@pytest.mark.parametrize("threads", [1, 2])
def test_what_a_step_raises_is_raised(threads):
    def work(step: int) -> None:
        if step == 2:
            raise ValueError("step 2")

    with pytest.raises(ValueError, match="step 2"):
        in_threads(work, range(4), threads)
