"""Named points of a run at which a test stops the process, so that it can be killed exactly there."""

import os
import pathlib
import time
from collections import Counter

# NAME=FILE: at the point of that name the process writes FILE and waits until it is killed; NAME:3=FILE: when it comes there
# for the third time. Never set outside tests.
STOP_AT = "CORPUSBEAM_STOP_AT"

_passed: Counter[str] = Counter()


def reached(name: str) -> None:
    """Say that the point `name` is reached; returns at once unless the environment asks this process to stop there."""
    stop_at, _, signal_file = os.environ.get(STOP_AT, "").partition("=")
    wanted, _, time_of_many = stop_at.partition(":")
    if wanted != name:
        return
    _passed[name] += 1
    if _passed[name] == int(time_of_many or 1):
        pathlib.Path(signal_file).touch()
        while True:
            time.sleep(3600)
