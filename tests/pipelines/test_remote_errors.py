"""Errors of other processes: the text of a traceback becomes the exception again."""

import traceback

import pytest

from pipelines.remote_errors import original_error
from transforms.corpus import InputError


class TwoArgumentsError(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def _text(error: Exception) -> RuntimeError:
    """As Beam reports an error of a worker that was raised while another was handled."""
    try:
        try:
            raise KeyError("first")
        except KeyError:
            raise error  # noqa: B904
    except Exception:
        return RuntimeError(traceback.format_exc())


@pytest.mark.parametrize(
    "error",
    [
        InputError("file 'x: y' has no column 'z' [while running 'ReadCorpus/Read']"),
        ValueError("two lines:\n\n  the second"),
        MemoryError("no room"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_class_and_message_come_back(error):
    original = original_error(_text(error))
    assert type(original) is type(error)
    assert str(original) == str(error)


@pytest.mark.parametrize(
    "error",
    [TwoArgumentsError(1, 2), type("LocalError", (Exception,), {"__module__": "nowhere"})("gone")],
    ids=lambda error: type(error).__name__,
)
def test_a_class_that_cannot_be_made_here_is_named(error):
    original = original_error(_text(error))
    assert type(original) is RuntimeError
    assert str(original).endswith(f"{type(error).__name__}: {error}")


@pytest.mark.parametrize("text", ["", "Channel closed prematurely.", "Traceback (most recent call last):\n", "os.system: x"])
def test_other_errors_are_not_touched(text):
    assert original_error(RuntimeError(text)) is None


def test_a_name_that_is_no_exception_is_never_called():
    text = "Traceback (most recent call last):\n  File\nbuiltins.print: x"
    assert type(original_error(RuntimeError(text))) is RuntimeError
