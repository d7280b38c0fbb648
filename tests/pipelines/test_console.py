"""The end of the command: nothing of its output, its exit code or what libraries do at exit is lost."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def run(arguments: list[str], *, before: str = "pass", **options) -> subprocess.CompletedProcess:
    program = f"import atexit, sys; {before}; sys.argv[1:] = {arguments}; from pipelines.cli import console; console()"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run([sys.executable, "-c", program], env=environment, text=True, stderr=subprocess.PIPE, **options)


def test_output_exit_code_and_exit_handlers(tmp_path):
    marker = tmp_path / "at exit"
    done = run(["config", "--schema"], before=f"atexit.register(open({str(marker)!r}, 'w').close)", stdout=subprocess.PIPE)
    assert done.returncode == 0
    assert done.stdout.rstrip().endswith("}")
    assert len(done.stdout) > 10_000
    assert marker.exists()
    failed = run(["status", "--root", str(tmp_path)], stdout=subprocess.PIPE)
    assert failed.returncode == 1
    assert failed.stderr.startswith("corpusbeam: nothing is published")


def test_output_that_cannot_be_written_is_a_failure():
    with open("/dev/full", "w") as full:
        done = run(["config", "--schema"], stdout=full)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("corpusbeam: ")
    assert "No space left on device" in done.stderr


def test_a_reader_that_has_gone_is_no_failure():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        done = run(["config", "--schema"], stdout=gone)
    assert (done.returncode, done.stderr) == (0, "")
