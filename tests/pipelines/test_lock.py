"""One run at a time on a root, held by real processes."""

import os
import signal
import subprocess
import sys

import pytest

from pipelines.lock import RootInUseError, only_run

HOLD = """
import sys
from pipelines.lock import only_run
with only_run(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_is_refused_with_the_process_that_is_running(tmp_path):
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    try:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(RootInUseError, match=f"process {first.pid} is running"), only_run(str(tmp_path)):
            raise AssertionError("both runs hold the root")
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    with only_run(str(tmp_path)):
        pass


def test_the_command_line_says_so_with_exit_code_4(tmp_path):
    (tmp_path / "corpus.jsonl").write_text('{"id": "a", "text": "some text"}\n')
    with only_run(str(tmp_path / "root")):
        second = subprocess.run(
            [
                sys.executable,
                "-m",
                "pipelines.cli",
                "reindex",
                "--root",
                str(tmp_path / "root"),
                "--input",
                str(tmp_path / "corpus.jsonl"),
            ],
            capture_output=True,
            text=True,
            env=dict(os.environ),
            check=False,
        )
    assert second.returncode == 4
    assert second.stderr.startswith(f"corpusbeam: process {os.getpid()} is running on root")
    assert not (tmp_path / "root" / "CURRENT").exists()
