"""JSON Lines input: one object per line; a bad line costs only itself. Blank lines are not rows."""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from transforms.corpus.errors import InputError
from transforms.corpus.lines import READ_ERRORS, read_lines
from transforms.corpus.options import CorpusOptions
from transforms.corpus.rows import MAX_TEXT_BYTES, Row
from transforms.corpus.units import Slice

# How many lines of a file are looked at to tell a misnamed column, or a file that is not JSON Lines, before any work.
_LINES_CHECKED = 100


def plan(files: list[Slice], options: CorpusOptions) -> list[Slice]:
    """One slice per file, after a look at its first lines.

    Raises InputError when none of them is an object or none has the id or text key, or when a metadata key is in no
    file; an unreadable file is an InputError unless `unreadable_files` is "quarantine".
    """
    known: set[str] = set()
    looked_at = ""
    for file in files:
        try:
            keys = _keys_at_start(file.path)
        except READ_ERRORS as error:
            if options.unreadable_files == "fail":
                raise InputError(
                    f"input file {file.path!r} cannot be read ({error}): restore it, remove it, or set "
                    "unreadable_files to quarantine"
                ) from error
            continue
        if keys is None:
            continue
        for role, name in (("id_column", options.id_column), ("text_column", options.text_column)):
            if name not in keys:
                raise InputError(
                    f"input file {file.path!r} has no key {name!r} in its first {_LINES_CHECKED} lines: set {role} to one of "
                    f"{', '.join(map(repr, sorted(keys)[:50]))}"
                )
        known |= keys
        looked_at = file.path
    missing = [name for name in options.metadata_columns if name not in known]
    if looked_at and missing:
        raise InputError(
            f"no JSON Lines file, such as {looked_at!r}, has the key {missing[0]!r} in its first {_LINES_CHECKED} lines: "
            f"set metadata_columns to some of {', '.join(map(repr, sorted(known)[:50]))}"
        )
    return files


def read(piece: Slice, options: CorpusOptions) -> Iterator[Row]:
    """The rows of a file. Raises READ_ERRORS when the file is damaged."""
    for number, line, cut in read_lines(piece.path):
        if line.strip():
            yield _too_large(piece.path, number, line) if cut else _row(piece.path, number, line, options)


def _too_large(path: str, number: int, line: bytes) -> Row:
    return Row(path, number, None, line[:1000], (), "too_large", f"a line longer than {MAX_TEXT_BYTES} bytes")


def _row(path: str, number: int, line: bytes, options: CorpusOptions) -> Row:
    value, reason, detail = _parse(line)
    if reason:
        return Row(path, number, None, line, (), reason, detail)
    doc_id = value.get(options.id_column)
    if isinstance(doc_id, int) and not isinstance(doc_id, bool):
        doc_id = str(doc_id)
    text = value.get(options.text_column)
    known_id = doc_id if isinstance(doc_id, str) else None
    if options.id_column not in value:
        return Row(path, number, None, line, (), "missing_id", f"no key {options.id_column!r}")
    if doc_id is not None and known_id is None:
        return Row(path, number, None, line, (), "bad_id", f"the id is {_kind(doc_id)}, not a string or an integer")
    if options.text_column not in value:
        return Row(path, number, known_id, line, (), "missing_text", f"no key {options.text_column!r}")
    if text is not None and not isinstance(text, str):
        return Row(path, number, known_id, line, (), "not_a_string", f"the text is {_kind(text)}")
    return Row(path, number, known_id, text, tuple(value.get(name) for name in options.metadata_columns))


def _parse(line: bytes) -> tuple[Any, str | None, str | None]:
    """The object of a line, or a reason and a detail."""
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return None, "undecodable", f"byte {error.start + 1} is not UTF-8"
    except (ValueError, RecursionError) as error:
        return None, "invalid_json", str(error)
    if not isinstance(value, dict):
        return None, "not_an_object", f"the line is {_kind(value)}"
    return value, None, None


def _kind(value: object) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "an array", dict: "an object"}
    return names.get(type(value), "null")


def _keys_at_start(path: str) -> set[str] | None:
    """The keys of the objects in the first lines; None when all are blank. Raises OSError when none is one."""
    lines = [line for _, line, _ in islice(read_lines(path), _LINES_CHECKED) if line.strip()]
    if not lines:
        return None
    objects = [value for value, reason, _ in map(_parse, lines) if reason is None]
    if not objects:
        raise OSError(f"not JSON Lines: none of the first {len(lines)} lines is an object")
    return {key for value in objects for key in value}
