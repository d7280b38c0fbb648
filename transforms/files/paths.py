"""Paths and URLs: one spelling for local files and every fsspec file system."""

import os
import posixpath
import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import fsspec
from fsspec.core import url_to_fs


def is_local(path: str) -> bool:
    """Whether `path` is on this machine's own file system (a plain path or a `file://` URL)."""
    return "://" not in path or path.startswith(("file://", "local://"))


def filesystem_of(path: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The fsspec file system of a path or URL, and the path inside it.

    The file system is made where it is used and never travels on a DoFn: pickled file systems contain their secrets.
    """
    fs, inner = url_to_fs(path)
    return fs, inner


def join(directory: str, *parts: str) -> str:
    """Join with forward slashes, for local paths and URLs alike."""
    return posixpath.join(directory.rstrip("/") or "/", *parts)


def list_files(directory: str, suffix: str = "") -> list[str]:
    """Files directly in `directory` whose names end with `suffix`, sorted; an absent directory has none."""
    fs, inner = filesystem_of(directory)
    fs.invalidate_cache(inner)
    if not fs.isdir(inner):
        return []
    names = [posixpath.basename(entry["name"]) for entry in fs.ls(inner, detail=True) if entry["type"] == "file"]
    return [join(directory, name) for name in sorted(names) if name.endswith(suffix)]


_SECRET_WORD = re.compile(r"(secret|token|password|passwd|signature|\bsig\b|credential|key)", re.IGNORECASE)


def redact(url: str) -> str:
    """The URL without credentials: user information and query strings are replaced, for logs, records and manifests."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    netloc = parts.netloc
    if "@" in netloc:
        netloc = "***@" + netloc.rsplit("@", 1)[1]
    query = "***" if parts.query and _SECRET_WORD.search(parts.query) else parts.query
    return urlunsplit((parts.scheme, netloc, parts.path, query, parts.fragment))


def make_parent(fs: Any, inner: str) -> None:
    """Create the directory that will hold `inner`; object stores have none and ignore it."""
    parent = posixpath.dirname(inner)
    if parent:
        fs.makedirs(parent, exist_ok=True)


def fsync_directory(directory: str) -> None:
    """Make a rename in a local directory durable (POSIX: the directory entry is synced apart from the file)."""
    handle = os.open(directory or ".", os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
