"""Named points of a run at which a test stops the process, so that it can be killed exactly there."""

import os
import pathlib
import time

# NAME=FILE: at the point of that name the process writes FILE and waits until it is killed. Never set outside tests.
STOP_AT = "CORPUSBEAM_STOP_AT"


def reached(name: str) -> None:
    """Say that the point `name` is reached; returns at once unless the environment asks this process to stop there."""
    stop_at, _, signal_file = os.environ.get(STOP_AT, "").partition("=")
    if stop_at == name:
        pathlib.Path(signal_file).touch()
        while True:
            time.sleep(3600)
