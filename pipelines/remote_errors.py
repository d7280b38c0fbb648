"""Errors that were raised in another process: Beam hands on the traceback's text, here the exception is made again."""

import sys

_TRACEBACK = "Traceback (most recent call last):\n"


def original_error(error: BaseException) -> Exception | None:
    """The exception whose traceback is the text of `error`, with its message; None when `error` is not such a text.

    A class that is not loaded here, or that cannot be made from a message alone, becomes a RuntimeError that names it.
    """
    _, found, last = str(error).rpartition(_TRACEBACK)
    # Frames and lines of code are indented; the first line that is not has the class and the message.
    lines = last.splitlines()
    start = next((number for number, line in enumerate(lines) if line and not line[0].isspace()), None)
    if not found or start is None:
        return None
    text = "\n".join(lines[start:]).strip()
    name, _, message = text.partition(": ")
    module, _, class_name = name.rpartition(".")
    kind = getattr(sys.modules.get(module or "builtins"), class_name, None)
    try:
        if isinstance(kind, type) and issubclass(kind, Exception):
            return kind(message)
    except Exception:  # A class with arguments of its own may raise anything.
        pass
    return RuntimeError(text)
