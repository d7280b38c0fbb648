"""What a user is told when something goes wrong or looks wrong, and with which exit code."""

import errno
import re
import sys
from collections.abc import Sequence

from pipelines.config import ConfigurationError
from pipelines.runner import RunnerError
from transforms.corpus import InputError, QuarantineLimitError
from transforms.duplicates import KeepError
from transforms.files import UnconditionalError
from transforms.generations import LeaseLostError, PublishConflictError, RootInUseError
from transforms.search import EncoderMismatchError, QueryError, WhereError

EXIT_FAILED, EXIT_USAGE, EXIT_REFUSED, EXIT_IN_USE = 1, 2, 3, 4


class GateRefusedError(Exception):
    """A gate refused the new generation; what was published before stays."""


# The first class that fits decides; everything else failed.
_CODES: tuple[tuple[type[Exception], int], ...] = (
    (ConfigurationError, EXIT_USAGE),
    (UnconditionalError, EXIT_USAGE),
    (RunnerError, EXIT_USAGE),
    (InputError, EXIT_USAGE),
    (QueryError, EXIT_USAGE),
    (WhereError, EXIT_USAGE),
    (KeepError, EXIT_USAGE),
    (EncoderMismatchError, EXIT_REFUSED),
    (GateRefusedError, EXIT_REFUSED),
    (RootInUseError, EXIT_IN_USE),
    (LeaseLostError, EXIT_IN_USE),
    (PublishConflictError, EXIT_IN_USE),
    (QuarantineLimitError, EXIT_REFUSED),
)


# As Python writes an OSError of a full disk or an exhausted quota.
_NO_SPACE = re.compile(rf"(?:OSError: )?\[Errno (?:{errno.ENOSPC}|{errno.EDQUOT})\] ([^:]+): '(.+)'")


def exit_code(error: Exception) -> int:
    """The exit code for an error that reached the command line."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), EXIT_FAILED)


def message(error: Exception) -> str:
    """One line for a person, without Beam's note about the step where the error was raised."""
    text = str(error).split(" [while running ")[0].strip()
    if _NO_SPACE.search(text):
        # Also as the text of an error that was raised in a job.
        text = _NO_SPACE.sub(r"\2: \1; nothing was published: free some space and run again", text)
    if isinstance(error, PermissionError | NotADirectoryError | IsADirectoryError | FileExistsError | FileNotFoundError):
        text = f"{error.filename or text}: {error.strerror or 'cannot be used'}; check that it exists and can be written"
    return text or f"{type(error).__name__} without a message; run again with --debug"


def warn(warnings: Sequence[str]) -> None:
    """Show warnings on stderr: the command goes on."""
    for warning in warnings:
        sys.stderr.write(f"corpusbeam: warning: {warning}\n")
