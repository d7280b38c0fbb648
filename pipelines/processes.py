"""Processes beside the driver: how one is started, and what the death of one is called."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any


class WorkerDiedError(Exception):
    """A process that works for the driver ended before its work did."""


def start_module(
    name: str, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[bytes]:
    """Start `python -m name` with its standard input in our hands, which is how it learns that this process has ended.

    `environment` is added to that of this process, `options` are Popen's.
    """
    # What can be imported here must be importable there, wherever the command was started from.
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", name, *arguments],
        env={**os.environ, **(environment or {}), "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,  # the command's own results go there
        bufsize=0,  # else closing the pipe of a dead process would write what is left, and fail
        process_group=0,  # Ctrl-C is for the driver, which then ends the others
        **options,
    )


def death(code: int) -> str:
    """How a process ended, by its return code as `subprocess` gives it."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:  # real-time signals have no names
        return f"was killed by signal {-code}"
