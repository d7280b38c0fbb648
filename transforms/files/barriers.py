"""Named points of a run at which a test stops the process, so that it can be killed exactly there."""

import itertools
import os
import pathlib
import time

# NAME=FILE: at the point of that name the process writes FILE and waits until it is killed. NAME:3=FILE: from the third
# time on that it comes there. Never set outside tests.
STOP_AT = "CORPUSBEAM_STOP_AT"

_times = itertools.count(1)


def reached(name: str) -> None:
    """Say that the point `name` is reached; returns at once unless the environment asks this process to stop there."""
    stop_at, _, signal_file = os.environ.get(STOP_AT, "").partition("=")
    wanted, _, number = stop_at.partition(":")
    # Only the point that is asked for is counted: there is one variable. Threads may come at once, and next() is atomic.
    if wanted == name and next(_times) >= int(number or 1):
        pathlib.Path(signal_file).touch()
        while True:
            time.sleep(3600)
