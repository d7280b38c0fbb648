"""`corpusbeam gc`: remove what no kept generation uses."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from transforms.files import filesystem_of, redact
from transforms.generations import (
    GenerationError,
    Lease,
    Removal,
    Retention,
    find_garbage,
    freed_bytes,
    hold_lease,
    remove_garbage,
)

# A pause that loses the lease is longer than this, so that the lease is always proven after one.
_SECONDS_BETWEEN_CHECKS = 1.0


def collect(root: str, retention: Retention, *, dry_run: bool = False, unconditional: bool = False) -> dict[str, Any]:
    """Remove, or with `dry_run` list, the generations, vector shards and leftovers that nothing needs.

    Raises RootInUseError while a run is active, CorruptFileError or GenerationError when what is kept cannot be read; then
    nothing was removed.
    """
    fs, inner = filesystem_of(root)
    if not fs.isdir(inner):
        # Taking the lease would make a root that was misspelt, and find nothing in it.
        raise GenerationError(f"there is no root {redact(root)!r}: name the folder that `corpusbeam reindex` publishes to")
    with hold_lease(root, unconditional=unconditional) as lease:
        garbage = find_garbage(root, retention, datetime.now(UTC))
        removed = list(garbage.removals) if dry_run else remove_garbage(root, garbage, _checking(lease))
    return {
        "root": root,
        "dry_run": dry_run,
        "kept": dict(sorted(garbage.kept.items())),
        "generations_removed": [removal.name for removal in removed if removal.kind == "generation"],
        "files": sum(len(removal.files) for removal in removed),
        "bytes": freed_bytes(removed),
        "removed": [_described(removal) for removal in removed],
    }


def _checking(lease: Lease) -> Callable[[], None]:
    """Proves, at most once a second, that the lease is still held: proof is a write."""
    proven = time.monotonic()

    def check() -> None:
        nonlocal proven
        if time.monotonic() - proven >= _SECONDS_BETWEEN_CHECKS:
            lease.check()
            proven = time.monotonic()

    return check


def _described(removal: Removal) -> dict[str, Any]:
    return {
        "kind": removal.kind,
        "name": removal.name,
        "reason": removal.reason,
        "bytes": removal.size,
        "files": [{"path": file.path, "bytes": file.size} for file in removal.files],
    }


def gc_lines(found: dict[str, Any]) -> list[str]:
    """The same as lines for a terminal; a dry run shows every path."""
    lines = [f"keep    {name}  {reason}" for name, reason in found["kept"].items()]
    verb = "would remove" if found["dry_run"] else "removed"
    for removal in found["removed"]:
        lines.append(f"{verb}  {removal['kind']} {removal['name']}  {removal['bytes']:,} bytes  {removal['reason']}")
        if found["dry_run"]:
            lines += [f"    {file['path']}  {file['bytes']:,} bytes" for file in removal["files"]]
    return [*lines, f"{verb}: {found['files']:,} files, {found['bytes']:,} bytes"]
