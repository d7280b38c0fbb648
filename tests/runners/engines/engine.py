"""What a test is told of an engine that runs, and why one cannot be had."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import pytest

Made = TypeVar("Made")


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


def in_ci() -> bool:
    """Whether this is a CI's run, where an engine that cannot be had is a failure."""
    return os.environ.get("CI", "").lower() in ("1", "true")


@contextmanager
def engine_or_skip(made: AbstractContextManager[Made], tools: Sequence[str]) -> Iterator[Made]:
    """Start an engine. Skips the test when a tool that it needs is absent, or when it cannot be fetched outside of CI."""
    if missing := missing_tools(*tools):
        pytest.skip(f"not on PATH: {', '.join(missing)}")
    try:
        engine = made.__enter__()
    except UnavailableError as error:
        if in_ci():
            raise
        pytest.skip(str(error))
    # ExitStack is for many; this keeps errors inside the block from looking like errors of the start.
    try:
        yield engine
    except BaseException as error:
        if not made.__exit__(type(error), error, error.__traceback__):
            raise
    else:
        made.__exit__(None, None, None)
