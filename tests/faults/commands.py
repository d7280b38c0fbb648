"""Commands that can be stopped: real processes with the real command line, their signals, and runs that nobody disturbs."""

import contextlib
import ctypes
import io
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.cli import main
from transforms.files import STOP_AT

# A loaded machine may be slow; a process that hangs must still fail its test.
SECONDS = 180

# Several tasks in every stage, the least work in each. A model without meaning needs no recall.
PART = 16
SETTINGS = (
    "embedding.precision=fp32",
    "embedding.device=cpu",
    # The number of threads may change the last bit of a vector.
    "embedding.threads=1",
    f"corpus.rows_per_part={PART}",
    f"neighbors.rows_per_tile={PART}",
    f"index.rows_per_shard={PART}",
    "neighbors.k=8",
    "index.recall_gate=0",
    "duplicates.threshold=0.97",
    "topics.n_neighbors=5",
    "topics.min_cluster_size=5",
    "topics.n_epochs=11",
)


def reindex_arguments(root: Path | str, corpus: Path, model: str, *more: str) -> list[str]:
    """The arguments of a reindex that prints JSON."""
    settings = [part for setting in (f"embedding.model={model}", *SETTINGS, *more) for part in ("--set", setting)]
    return ["reindex", "--root", str(root), "--input", str(corpus), "--format", "json", *settings]


@dataclass(frozen=True)
class Ran:
    """What a command in this process did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run_here(arguments: Sequence[str]) -> Ran:
    """Run a command in this process, undisturbed: its imports are there already."""
    assert STOP_AT not in os.environ
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(list(arguments))
        except SystemExit as stop:  # argparse leaves this way
            code = int(stop.code or 0)
    return Ran(code, out.getvalue(), err.getvalue())


def has_verb(name: str) -> bool:
    """Whether the command line has a verb."""
    return run_here([name, "--help"]).code == 0


_processes = multiprocessing.get_context("forkserver")


def _command(arguments: list[str], environment: dict[str, str], out: str, err: str, privileged: bool) -> None:
    """The body of a child: its own output, its own environment, then the command as `python -m pipelines.cli` runs it."""
    for path, number in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ.update(environment)
    if not privileged:
        _obey_permissions()
    sys.argv = ["corpusbeam", *arguments]
    sys.exit(main(arguments))


def _obey_permissions() -> None:
    """Give up all capabilities of this process: without them the permissions of files hold for root too."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3 of the interface, this process
    nothing = (ctypes.c_uint32 * 6)()
    if libc.capset(header, nothing):
        raise OSError(ctypes.get_errno(), "capset")


@dataclass
class Child:
    """A command in a process of its own, which stops at the barrier `stop_at` (NAME, or NAME:3 for its third time).

    Forked from a server that has imported the libraries, which costs a fresh interpreter several seconds; from there on it is a
    process like any other. Its files are in `folder`. With `privileged` False it obeys permissions also when root runs it.
    """

    arguments: list[str]
    folder: Path
    stop_at: str = ""
    privileged: bool = True
    _process: Any = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._signal = self.folder / "reached"
        self._signal.unlink(missing_ok=True)
        _processes.set_forkserver_preload(["tests.faults.warm"])
        environment = {STOP_AT: f"{self.stop_at}={self._signal}"} if self.stop_at else {}
        outputs = str(self.folder / "out"), str(self.folder / "err")
        self._process = _processes.Process(target=_command, args=(self.arguments, environment, *outputs, self.privileged))
        self._process.start()

    @property
    def out(self) -> str:
        return (self.folder / "out").read_text()

    @property
    def err(self) -> str:
        return (self.folder / "err").read_text()

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    def wait_until_reached(self) -> None:
        """Return when the process is at its barrier; fails when it ends before, or takes forever."""
        deadline = time.monotonic() + SECONDS
        while not self._signal.exists():
            if not self._process.is_alive():
                raise AssertionError(f"{self.stop_at} was never reached, exit code {self._process.exitcode}: {self.err}")
            if time.monotonic() > deadline:
                self._process.kill()
                raise AssertionError(f"{self.stop_at} was not reached in {SECONDS} s: {self.err}")
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL at the barrier, which must be what ends the process."""
        self.wait_until_reached()
        assert self.send(signal.SIGKILL) == -signal.SIGKILL

    def send(self, number: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        os.kill(self._process.pid, number)
        return self.wait()

    def wait(self) -> int:
        """The exit code, once the process has ended; fails when it does not end."""
        self._process.join(SECONDS)
        if self._process.is_alive():
            self._process.kill()
            raise AssertionError(f"still running after {SECONDS} s: {self.err}")
        return int(self._process.exitcode)
