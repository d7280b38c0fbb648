"""Planning: which files the input means, what they are, and which units they are read in."""

import logging
import posixpath
from datetime import UTC, datetime
from typing import Any

from transforms.corpus import jsonl, parquet, python_docs
from transforms.corpus.errors import InputError
from transforms.corpus.options import PYTHON_DOCS, CorpusOptions
from transforms.corpus.units import Slice, SourceUnit, pack
from transforms.files import filesystem_of, holds_credentials, is_local, redact

log = logging.getLogger(__name__)

_FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".txt": "text",
    ".md": "text",
    ".text": "text",
    ".rst": "text",
}
_ENDINGS = " ".join(_FORMATS)
_COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")


def plan_units(options: CorpusOptions) -> list[SourceUnit]:
    """The units that together are the corpus: each input expanded, sorted, without repeated files.

    Reads file listings, Parquet footers and the first lines of JSON Lines files. Raises InputError for an input that
    means nothing readable, a file of an unknown kind, and a file without the configured columns; for a file that cannot
    be read too, unless `unreadable_files` is "quarantine" (the reader then puts it there).
    """
    found: dict[str, list[Slice]] = {"parquet": [], "jsonl": [], "text": [], "python": []}
    seen: set[str] = set()
    for value in dict.fromkeys(options.input):
        if value == PYTHON_DOCS:
            found["python"] += python_docs.find_modules()
            continue
        for piece in _files(value, options):
            if piece.path not in seen:
                seen.add(piece.path)
                found[_format_of(piece.path, options)].append(piece)
    _check_fixed_columns(found, options)
    _check_text_names(found["text"])
    planned = {"parquet": parquet.plan, "jsonl": jsonl.plan}
    return pack(
        (name, planned[name](sorted(slices), options) if name in planned else sorted(slices)) for name, slices in found.items()
    )


def is_older(options: CorpusOptions, moment: datetime) -> bool:
    """Whether every input file was last written before `moment`, by the listings alone: a hint, since times can be wrong.

    False where a file system tells no times. Raises InputError for an input that means nothing.
    """
    for value in dict.fromkeys(options.input):
        # The modules of the installed Python are as old as that.
        if value != PYTHON_DOCS:
            _, _, files = _list(value, options)
            written = [_written(info) for info in files.values()]
            if not all(time is not None and time < moment for time in written):
                return False
    return True


def _written(info: dict[str, Any]) -> datetime | None:
    """When a file was last written, as its file system says it: local, S3, Azure, Google and in memory."""
    names = ("mtime", "LastModified", "last_modified", "updated", "created")
    time = next((info[name] for name in names if info.get(name) is not None), None)
    if isinstance(time, int | float):
        return datetime.fromtimestamp(time, UTC)
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError:
            return None
    if not isinstance(time, datetime):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _files(value: str, options: CorpusOptions) -> list[Slice]:
    """The files that one input value means, as slices named relative to its fixed part, sorted."""
    fs, root, files = _list(value, options)
    return [
        Slice(
            path if is_local(value) else fs.unstrip_protocol(path),
            posixpath.relpath(path, root or "."),
            int(info.get("size") or 0),
        )
        for path, info in sorted(files.items())
    ]


def _list(value: str, options: CorpusOptions) -> tuple[Any, str, dict[str, dict]]:
    """The file system of one input value, its fixed part, and the files that it means with what their listing says."""
    try:
        if holds_credentials(value):
            raise InputError(f"input {redact(value)!r} has credentials in the URL: give them through the environment")
        fs, inner = filesystem_of(value)
        if fs.isfile(inner):
            root, files = posixpath.dirname(inner), {inner: fs.info(inner)}
        elif fs.isdir(inner):
            root, files = inner, _in_folder(fs.find(inner, detail=True), inner, options)
            if not files:
                raise InputError(
                    f"input folder {value!r} has no readable file: it needs files ending in {_ENDINGS}, or set format"
                )
        elif any(character in inner for character in "*?["):
            root, files = _fixed_part(inner), fs.glob(inner, detail=True)
            files = {path: info for path, info in files.items() if info["type"] == "file"}
            if not files:
                raise InputError(f"input pattern {value!r} matches no file: check the folder, and quote the pattern in a shell")
        else:
            raise InputError(f"input {value!r} does not exist: give a file, a folder, a glob or {PYTHON_DOCS!r}")
    except InputError:
        raise
    except (ImportError, ValueError, OSError) as error:
        raise InputError(f"input {value!r} cannot be listed ({error}): check the URL and its file system") from error
    return fs, root, files


def _in_folder(files: dict[str, dict], root: str, options: CorpusOptions) -> dict[str, dict]:
    """The files of a folder that can be input: none of the hidden ones, none whose ending says another format."""

    def is_input(path: str) -> bool:
        # `.git/…`, `_SUCCESS`: bookkeeping, by the convention of data tools
        if any(part.startswith((".", "_")) for part in posixpath.relpath(path, root).split("/")):
            return False
        ending = _format_by_name(path)
        return ending is not None if options.format == "auto" else ending in (None, options.format)

    used = {path: info for path, info in files.items() if is_input(path)}
    if len(used) < len(files):
        log.info("%s: %d of %d files are left out (hidden, or of another format)", root, len(files) - len(used), len(files))
    return used


def _fixed_part(pattern: str) -> str:
    """The folders of a pattern before the first one with a wildcard."""
    fixed = []
    for part in pattern.split("/")[:-1]:
        if any(character in part for character in "*?["):
            break
        fixed.append(part)
    return "/".join(fixed) or ("/" if pattern.startswith("/") else "")


def _format_by_name(path: str) -> str | None:
    stem, extension = posixpath.splitext(path.lower())
    compressed = extension in _COMPRESSIONS
    if compressed:
        extension = posixpath.splitext(stem)[1]
    found = _FORMATS.get(extension)
    return None if compressed and found == "parquet" else found


def _format_of(path: str, options: CorpusOptions) -> str:
    if options.format != "auto":
        return options.format
    if found := _format_by_name(path):
        return found
    raise InputError(
        f"input file {path!r} has no known ending ({_ENDINGS}, compressed or not except Parquet): "
        "rename it or set format to parquet, jsonl or text"
    )


def _check_fixed_columns(found: dict[str, list[Slice]], options: CorpusOptions) -> None:
    """Text files and python-docs have fixed columns; the other formats are checked file by file."""
    if found["text"] and options.metadata_columns:
        raise InputError(
            f"metadata column {options.metadata_columns[0]!r}: text file {found['text'][0].path!r} has no columns; "
            "leave metadata_columns empty for text files"
        )
    missing = [name for name in options.metadata_columns if name not in python_docs.METADATA]
    if found["python"] and missing:
        raise InputError(
            f"metadata column {missing[0]!r}: python-docs has only {' and '.join(python_docs.METADATA)}; leave it out"
        )


def _check_text_names(slices: list[Slice]) -> None:
    """Two text files must not get one document id."""
    by_name: dict[str, str] = {}
    for piece in slices:
        other = by_name.setdefault(piece.name, piece.path)
        if other != piece.path:
            raise InputError(
                f"text files {other!r} and {piece.path!r} would both have the id {piece.name!r} (the path relative to "
                "their input): give one folder or pattern that holds both"
            )
