"""Where a test stops a process: a real one, seen from outside."""

import os
import subprocess
import sys
import time

import pytest

_CHILD = """
import pathlib, sys
from transforms.files import reached
for i in range(5):
    reached("other")
    reached("here")
    pathlib.Path(sys.argv[1], str(i)).touch()
"""


def start(folder, stop_at):
    environment = {name: value for name, value in os.environ.items() if name != "CORPUSBEAM_STOP_AT"}
    if stop_at is not None:
        environment["CORPUSBEAM_STOP_AT"] = f"{stop_at}={folder / 'signal'}"
    return subprocess.Popen([sys.executable, "-c", _CHILD, str(folder)], env=environment)


@pytest.mark.parametrize(("stop_at", "before"), [("here", 0), ("here:1", 0), ("here:3", 2), ("here:5", 4)])
def test_a_process_stops_at_the_point_and_time_asked_for(tmp_path, stop_at, before):
    process = start(tmp_path, stop_at)
    try:
        while not (tmp_path / "signal").exists():
            assert process.poll() is None
            time.sleep(0.02)
        assert sorted(path.name for path in tmp_path.iterdir()) == [*map(str, range(before)), "signal"]
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("stop_at", [None, "elsewhere", "here:6", "her"])
def test_a_process_that_never_comes_there_goes_on(tmp_path, stop_at):
    assert start(tmp_path, stop_at).wait(timeout=60) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "3", "4"]
