"""What a test is told of an engine that runs, and why one cannot be had."""

import os
import shutil
from dataclasses import dataclass

# Set by every CI service, and by this project's own.
IN_CI = bool(os.environ.get("CI"))


@dataclass(frozen=True)
class Engine:
    """An engine that is ready for jobs.

    `options` are the Beam options of a run on it, as they stand after `--` on the command line. With `shared_root` the workers
    are other processes, possibly on other machines: everything that a run names must be where all of them see it.
    """

    name: str
    options: tuple[str, ...]
    shared_root: bool = False


class UnavailableError(Exception):
    """An engine cannot be made here, although its tools are there: no network, most likely."""


def missing_tools(*tools: str) -> list[str]:
    """Which of these commands are not on PATH."""
    return [tool for tool in tools if shutil.which(tool) is None]
