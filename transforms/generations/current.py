"""CURRENT: the one pointer that readers follow, moved by compare-and-set."""

import re

from transforms.files import ConflictError, Versioned, join, reached, read_versioned, write_if
from transforms.generations.manifest import GenerationError

_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")


class PublishConflictError(Exception):
    """CURRENT is not the parent that this run started from: another run has published meanwhile."""


def read_current(root: str) -> str | None:
    """The id of the published generation, or None when nothing has been published under `root`.

    Raises GenerationError when CURRENT does not hold a generation id.
    """
    return _generation(root, read_versioned(join(root, "CURRENT")))


def move_current(root: str, parent: str | None, generation: str, *, unconditional: bool = False) -> None:
    """Point CURRENT at `generation` if it still points at `parent`; readers see the old or the new id, never less.

    Raises PublishConflictError when it points elsewhere, UnconditionalError where the file system has no conditional writes
    and `unconditional` does not allow to do without (then two writers at one moment can both believe to have published).
    """
    path = join(root, "CURRENT")
    seen = read_versioned(path)
    _check_parent(_generation(root, seen), parent)
    reached("before_pointer")
    try:
        write_if(path, f"{generation}\n".encode(), None if seen is None else seen.version, unconditional=unconditional)
    except ConflictError:
        found = read_current(root)
        raise PublishConflictError(_moved(found, parent)) from None


def _generation(root: str, current: Versioned | None) -> str | None:
    if current is None:
        return None
    text = current.data.decode("ascii", "replace").strip()
    if not _ID.fullmatch(text):
        raise GenerationError(f"{join(root, 'CURRENT')} holds {text[:80]!r}, which is not a generation id")
    return text


def _check_parent(found: str | None, parent: str | None) -> None:
    if found != parent:
        raise PublishConflictError(_moved(found, parent))


def _moved(found: str | None, parent: str | None) -> str:
    return f"CURRENT names {found}, this run started from {parent}: another run published; run again"
