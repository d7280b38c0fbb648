"""What a test is told of an engine that runs, and why one cannot be had."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import pytest

Made = TypeVar("Made")


@dataclass(frozen=True)
class Engine:
    """An engine that is ready for jobs. `options` are the Beam options of a run on it, as they stand after `--`."""

    options: tuple[str, ...]


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
    with ExitStack() as stack:
        try:
            engine = stack.enter_context(made)
        except UnavailableError as error:
            if in_ci():
                raise
            pytest.skip(str(error))
        yield engine
