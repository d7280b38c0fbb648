"""What tests start ends with them, whatever ends them; what they fetch is whole or not there."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from tests.runners.engines.cache import cached
from tests.runners.engines.processes import process_group

# A process that ignores requests to end, with a child that does too; it tells both ids.
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child:
    print(os.getpid(), child, flush=True)
time.sleep(600)
"""


def ids_in(log: Path) -> list[int]:
    deadline = time.monotonic() + 60
    while not (found := log.read_text().split() if log.exists() else []):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return [int(pid) for pid in found]


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # may end between any two looks
        return False


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 60
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_nothing_is_left_after_an_error_but_logs(tmp_path, capsys):
    pids = []

    def fail() -> None:
        with process_group(tmp_path / "group") as processes:
            processes.start("stubborn", [sys.executable, "-c", STUBBORN])
            pids.extend(ids_in(tmp_path / "group" / "stubborn.log"))
            (processes.tmp / "large").touch()
            raise ConnectionError

    with pytest.raises(ConnectionError):
        fail()
    wait_until_gone(pids)
    assert [path.name for path in (tmp_path / "group").iterdir()] == ["stubborn.log"]
    assert str(pids[0]) in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_is_left_when_the_test_run_is_killed(tmp_path, number):
    program = f"""
        import time
        from pathlib import Path
        from tests.runners.engines.processes import process_group
        with process_group(Path({str(tmp_path / "group")!r})) as processes:
            processes.start("stubborn", [{sys.executable!r}, "-c", {STUBBORN!r}])
            time.sleep(600)
    """
    path = os.pathsep.join(entry for entry in sys.path if entry)
    run = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], env={**os.environ, "PYTHONPATH": path})
    try:
        pids = ids_in(tmp_path / "group" / "stubborn.log")
        run.send_signal(number)
        assert run.wait(60) == -number
    finally:
        run.kill()
    wait_until_gone(pids)


def test_a_process_that_ends_early_is_reported_with_its_log(tmp_path):
    with process_group(tmp_path / "group") as processes:
        processes.start("short", [sys.executable, "-c", "print('no such option')"])
        with pytest.raises(AssertionError, match=r"short has ended while waiting for it(?s:.*)no such option"):
            processes.wait("it", lambda: False)


def test_what_fails_half_way_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def fail(into: Path) -> None:
        (into / "part").touch()
        raise ConnectionError

    with pytest.raises(ConnectionError):
        cached("thing", fail)
    made = cached("thing", lambda into: (into / "whole").touch())
    assert [path.name for path in made.iterdir()] == ["whole"]
    assert cached("thing", fail) == made


def _make_slowly(count: Path) -> None:
    def make(into: Path) -> None:
        with count.open("a") as file:
            file.write("made\n")
        time.sleep(0.3)
        (into / "whole").touch()

    assert (cached("thing", make) / "whole").exists()


def test_of_several_processes_one_makes_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    processes = [multiprocessing.get_context("fork").Process(target=_make_slowly, args=[tmp_path / "count"]) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert (tmp_path / "count").read_text() == "made\n"
