"""What a worker says of itself. This file's text travels to workers that may lack this project: only the standard library."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import socket
import sys
from collections.abc import Iterable
from typing import Any

# Nothing else of this project can be imported on a worker that lacks it.
PACKAGES = ("pipelines", "transforms")


def report(libraries: Iterable[str], existing: Iterable[str] = ()) -> dict[str, Any]:
    """A dict of JSON values about this interpreter.

    `libraries` are distributions whose versions are asked for (None: absent), `existing` paths of any file system that the
    project's own code should find.
    """
    code = {name: code_digest(name) for name in PACKAGES}
    return {
        "host": socket.gethostname(),
        "interpreter": sys.executable,
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "code": code,
        "versions": {name: version(name) for name in libraries},
        "unreadable": {path: why for path in existing if (why := why_unreadable(path, code))},
    }


def version(name: str) -> str | None:
    """The version of a distribution, None when it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def code_digest(package: str) -> str | None:
    """SHA-256 of the names and texts of a package's Python files, None when there is no such package."""
    try:
        found = importlib.util.find_spec(package)
    except ImportError:
        return None
    if found is None or not found.submodule_search_locations:
        return None
    folder, digest = found.submodule_search_locations[0], hashlib.sha256()
    names = []
    for place, _, files in os.walk(folder):
        names += [os.path.relpath(os.path.join(place, name), folder) for name in files if name.endswith(".py")]
    for name in sorted(name.replace(os.sep, "/") for name in names):
        with open(os.path.join(folder, name), "rb") as file:
            digest.update(b"%s\0%s\0" % (name.encode(), file.read()))
    return digest.hexdigest()


def why_unreadable(path: str, code: dict[str, str | None]) -> str | None:
    """Why a file that exists cannot be found from here, None when it can, or when the project that would look is not here."""
    if None in code.values():
        return None
    from transforms.files import filesystem_of

    try:
        fs, inner = filesystem_of(path)
        return None if fs.exists(inner) else "is not there"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
