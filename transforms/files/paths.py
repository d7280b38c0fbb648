"""Paths and URLs: one spelling for local files and every fsspec file system."""

import os
import posixpath
import re
from typing import Any

import fsspec
from fsspec.core import url_to_fs
from fsspec.dircache import DirCache


def is_local(path: str) -> bool:
    """Whether `path` is on this machine's own file system (a plain path or a `file://` URL)."""
    return "://" not in path or path.startswith(("file://", "local://"))


def filesystem_of(path: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The fsspec file system of a path or URL, and the path inside it.

    The file system is made where it is used and never travels on a DoFn: pickled file systems contain their secrets.
    """
    fs, inner = url_to_fs(path)
    # A listing that is kept says nothing about what other processes have written since: a run looks for exactly that.
    if isinstance(getattr(fs, "dircache", None), DirCache):
        fs.dircache.use_listings_cache = False
    return fs, inner


def join(directory: str, *parts: str) -> str:
    """Join with forward slashes, for local paths and URLs alike."""
    # The slashes of a bare scheme ("memory://") are part of it.
    base = directory if directory.endswith("://") else directory.rstrip("/") or "/"
    return base + "/".join(parts) if base.endswith("/") else posixpath.join(base, *parts)


def is_within(path: str, directory: str) -> bool:
    """Whether a path is a directory or in it, however either is spelled; local links are followed."""
    inner, outer = (
        filesystem_of(os.path.realpath(filesystem_of(one)[1]) if is_local(one) else one) for one in (path, directory)
    )
    if type(inner[0]) is not type(outer[0]):
        return False
    inside, folder = (posixpath.normpath(one[1]) for one in (inner, outer))
    return inside == folder or inside.startswith(folder.rstrip("/") + "/")


def is_same(path: str, other: str) -> bool:
    """Whether two paths are one place, however either is spelled; local links are followed."""
    return is_within(path, other) and is_within(other, path)


def list_files(directory: str, suffix: str = "") -> list[str]:
    """Files directly in `directory` whose names end with `suffix`, sorted; an absent directory has none."""
    fs, inner = filesystem_of(directory)
    fs.invalidate_cache(inner)
    if not fs.isdir(inner):
        return []
    names = [posixpath.basename(entry["name"]) for entry in fs.ls(inner, detail=True) if entry["type"] == "file"]
    return [join(directory, name) for name in sorted(names) if name.endswith(suffix)]


# user:password@ or token@ of every URL in a chain such as simplecache::s3://…, up to the last @ before the path: passwords
# contain slashes and at signs that their owners did not escape. A number after the colon is a port.
_USER_INFORMATION = re.compile(r"([\w+.-]+)://([^/@:]*:(?!\d+/)[^@]*@(?:[^/@]*@)*|[^/@]*@)")
# Azure's container@account is an address, not a user.
_CONTAINER_SCHEMES = ("abfs", "abfss", "wasb", "wasbs")
_SECRET_QUERY = re.compile(
    r"\?[^?#]*(secret|token|password|passwd|signature|\bsig|credential|key)[^=&#?]*=[^#]*", re.IGNORECASE
)


def redact(url: str) -> str:
    """The URL without credentials: passwords and signed query strings are replaced, for logs, records and manifests."""
    if "://" not in url:
        return url
    return _SECRET_QUERY.sub("?***", _USER_INFORMATION.sub(_without_user, url))


def holds_credentials(url: str) -> bool:
    """Whether a URL has something that `redact` replaces: such a URL would reach logs and records, and is refused."""
    return redact(url).count("***") > url.count("***")


def _without_user(found: re.Match[str]) -> str:
    scheme, user = found.groups()
    return found[0] if scheme in _CONTAINER_SCHEMES and ":" not in user else f"{scheme}://***@"


def remove(path: str) -> None:
    """Remove a file or a folder with all that is in it; nothing there is fine.

    Only what has this very name: elsewhere than on a local disk `fs.rm` takes `*`, `?` and `[` in a path for a pattern.
    """
    fs, inner = filesystem_of(path)
    fs.invalidate_cache(inner)
    if not fs.exists(inner):
        return
    if is_local(path):
        fs.rm(inner, recursive=True)
        return
    found = fs.find(inner, withdirs=True, detail=True)
    for name, entry in found.items():
        if entry.get("type") != "directory":
            fs.rm_file(name)
    # On an object store one name may be a file's and a folder's at once; `find` then tells of the folder.
    if fs.isfile(inner):
        fs.rm_file(inner)
    # An object store's folders go with their files; where they are things of their own, the deepest goes first.
    for name in sorted({inner, *(name for name, entry in found.items() if entry.get("type") == "directory")}, reverse=True):
        fs.invalidate_cache(name)
        if fs.isdir(name):
            fs.rmdir(name)


def move_file(fs: Any, source: str, target: str) -> None:
    """Move one file inside a file system. Not `fs.mv`, which takes `*` and `[` in a path for a pattern."""
    if "file" in fs.protocol:
        os.replace(source, target)
    else:
        fs.cp_file(source, target)
        fs.rm_file(source)


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
