"""Stages: a record is taken over only with the same inputs and whole files; the monitor measures something."""

import fcntl
import os
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import pytest

from pipelines import monitor
from pipelines.config import load_config
from pipelines.monitor import StageMonitor
from pipelines.runner import Runner
from pipelines.stage import Run, files_of
from transforms.files import FileRef, file_ref, join, write_bytes


@dataclass(frozen=True)
class Made:
    """A result as stages have it."""

    file: FileRef
    more: tuple[FileRef, ...]
    counts: dict[str, int]


@pytest.fixture
def run(tmp_path) -> Run:
    config = load_config(None, [], {"root": str(tmp_path)})
    return Run(config, Runner(config.runner))


def _stage(run: Run, inputs: object, calls: list[object]) -> Made:
    def compute() -> Made:
        calls.append(inputs)
        path = join(run.work, "made.bin")
        write_bytes(path, str(inputs).encode())
        return Made(file_ref(path), (file_ref(path),), {"things": 3})

    return run.stage("make", Made, inputs, compute)


def test_a_finished_stage_is_taken_over_and_says_so(run):
    calls: list[object] = []
    first = _stage(run, ["a"], calls)
    assert _stage(run, ["a"], calls) == first
    assert calls == [["a"]]
    assert run.metrics["make"]["resumed"] is True
    assert run.metrics["make"]["things"] == 3


def test_a_run_knows_what_it_would_take_over(run):
    assert not run.has_finished("make", Made, ["a"])
    made = _stage(run, ["a"], [])
    assert run.has_finished("make", Made, ["a"])
    assert not run.has_finished("make", Made, ["b"])
    write_bytes(made.file.path, b"other")
    assert not run.has_finished("make", Made, ["a"])


def test_a_job_leaves_no_file_of_its_records(run):
    for _ in range(2):
        assert sorted(run.job("count", beam.Map(len), ["a", "bc"], int)) == [1, 2]
    assert [name for _, _, names in os.walk(run.work) for name in names] == []


def test_other_inputs_run_the_stage_again(run):
    calls: list[object] = []
    _stage(run, ["a"], calls)
    _stage(run, ["b"], calls)
    assert calls == [["a"], ["b"]]


@pytest.mark.parametrize("damage", ["remove", "change", "record"])
def test_a_record_whose_files_are_not_whole_does_not_count(run, damage):
    calls: list[object] = []
    made = _stage(run, ["a"], calls)
    if damage == "remove":
        os.remove(made.file.path)
    elif damage == "change":
        write_bytes(made.file.path, b"x" * made.file.size)
    else:
        write_bytes(join(run.work, "stages", "make.json"), b'{"inputs": "half of a rec')
    assert _stage(run, ["a"], calls) == made
    assert len(calls) == 2


def test_files_are_found_wherever_they_are_in_a_result():
    a, b, c = (FileRef(name, 1, None, "") for name in "abc")
    assert list(files_of(Made(a, (b, c), {}))) == [a, b, c]
    assert list(files_of([[a], (Made(b, (), {}), 3, "x")])) == [a, b]


WATCHED = """
import sys
from pipelines.monitor import StageMonitor
with StageMonitor("embed", 10, "texts", sys.argv[1]):
    sys.stdin.read()
"""


def test_a_bar_is_drawn_on_a_terminal(tmp_path):
    write_bytes(join(str(tmp_path), "one.progress"), b"3")
    write_bytes(join(str(tmp_path), "two.progress"), b"4")
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", WATCHED, str(tmp_path)], stdin=subprocess.PIPE, stderr=theirs)
    drawn = b""
    try:
        while b"7/10" not in drawn:
            drawn += os.read(ours, 4096)
    finally:
        process.stdin.close()
        process.wait()
        os.close(ours)
        os.close(theirs)
    assert b"embed" in drawn


def test_no_bar_is_drawn_into_a_file(tmp_path):
    write_bytes(join(str(tmp_path), "one.progress"), b"3")
    command = [sys.executable, "-c", WATCHED, str(tmp_path)]
    assert subprocess.run(command, input=b"", capture_output=True, check=True).stderr == b""


def test_work_elsewhere_is_told_of_in_lines_where_there_is_no_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(monitor, "SECONDS_BETWEEN_LINES", 0.0)
    for name, done in (("one", b"300"), ("two", b"1034")):
        write_bytes(join(str(tmp_path), f"{name}.progress"), done)
    said = ""
    with StageMonitor("embed", 20000, "texts", str(tmp_path), lines=True):
        while "\n" not in said:
            said += capsys.readouterr().err
    assert said.startswith("corpusbeam: embed: 1,334 of 20,000 texts after ")


def test_the_monitor_sees_memory_that_a_stage_used():
    with StageMonitor("idle") as idle:
        pass
    with StageMonitor("busy") as busy:
        block = np.ones(40_000_000)
        del block
    assert busy.peak_rss_mb > idle.peak_rss_mb + 250
    assert busy.seconds > 0
