"""What no kept generation uses: found from one listing of the root, removed in an order that a crash cannot spoil.

Order: a generation is marked, then its manifest goes (from here on it is no generation for anybody), then its other files,
then the vector shards that only it named. A collection that dies leaves folders without manifest and shards without a
generation; the next one finds both by the same rules.
"""

import contextlib
import os
import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from transforms.files import filesystem_of, fsync_directory, is_local, join, reached, write_bytes
from transforms.generations.assemble import list_generations
from transforms.generations.current import read_current
from transforms.generations.manifest import manifest_path, read_manifest
from transforms.generations.pins import REMOVAL_MARK, is_pinned, read_pins

_TEMPORARY = (".tmp", ".partial")
# Where this project writes: folders, and files directly under the root.
_OURS = ("generations/", "vectors/", "pins/", "work/", "CURRENT.", "LEASE.", "last_run.json.", "metrics.")


@dataclass(frozen=True)
class Retention:
    """What is kept: the newest `last` generations, those younger than `age`; leftovers stay for `grace`."""

    last: int = 7
    age: timedelta = timedelta(days=14)
    grace: timedelta = timedelta(days=7)

    def __post_init__(self) -> None:
        """Refuse negative values."""
        if self.last < 0 or self.age < timedelta(0) or self.grace < timedelta(0):
            raise ValueError("what gc keeps must not be negative: give 0 or more generations and days")


@dataclass(frozen=True)
class StoredFile:
    """A file under the root: `path` relative to it, size in bytes, when it was last modified.

    `inode` and `links` tell on a local file system which other paths are the same bytes: generations can share a file.
    """

    path: str
    size: int
    modified: datetime
    inode: int | None = None
    links: int = 1


@dataclass(frozen=True)
class Removal:
    """One thing to remove: a generation, or files of one kind of leftover, and why."""

    kind: str
    name: str
    reason: str
    files: tuple[StoredFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Garbage:
    """What a collection removes, and why each generation that stays is kept."""

    removals: tuple[Removal, ...]
    kept: Mapping[str, str]


def find_garbage(root: str, retention: Retention, now: datetime) -> Garbage:
    """Decide what can go, without removing anything. Memory: one entry per file under the root.

    Raises CorruptFileError or GenerationError when CURRENT, a pin or the manifest of a kept generation cannot be read: what
    it uses is not known then, and nothing may be removed.
    """
    files = list(_stored_files(root))
    names = sorted(file.path.split("/")[1] for file in files if _is_manifest(file.path))
    current, pins = read_current(root), set(read_pins(root))
    kept = _kept(root, names, current, pins, retention, now)
    manifests = [read_manifest(root, name) for name in kept]
    used = {file.path for manifest in manifests for file in manifest.files}
    return Garbage(tuple(_removals(files, names, kept, used, now - retention.grace)), kept)


def remove_garbage(root: str, garbage: Garbage, still_ours: Callable[[], None] = lambda: None) -> list[Removal]:
    """Remove what was found; the caller has the root for itself. Returns what was removed.

    A generation that was pinned or made current since then stays, with all that it names. `still_ours` is called before
    every removal and raises when the root was taken over meanwhile.
    """
    done = []
    for removal in garbage.removals:
        if removal.kind == "generation":
            still_ours()
            if _remove_generation(root, removal):
                done.append(removal)
    reached("mid_gc")
    used = {file.path for name in list_generations(root) for file in read_manifest(root, name).files}
    for removal in garbage.removals:
        if removal.kind == "generation":
            continue
        files = tuple(file for file in removal.files if file.path not in used)
        for file in files:
            still_ours()
            _remove_file(root, file.path)
        if files:
            done.append(Removal(removal.kind, removal.name, removal.reason, files))
    _remove_empty_folders(root)
    return done


def freed_bytes(removals: Iterable[Removal]) -> int:
    """Bytes that the removals free: a file with several paths is freed once, and only with the last of them."""
    files = {file.path: file for removal in removals for file in removal.files}
    gone = Counter(file.inode for file in files.values() if file.links > 1)
    last = {file.inode: file.size for file in files.values() if file.links > 1 and gone[file.inode] >= file.links}
    return sum(file.size for file in files.values() if file.links <= 1) + sum(last.values())


def _kept(
    root: str, names: list[str], current: str | None, pins: set[str], retention: Retention, now: datetime
) -> dict[str, str]:
    """The generations that stay, with the first reason for each. CURRENT is among them even when its manifest is gone."""
    kept: dict[str, str] = {}
    if current is not None:
        kept[current] = "current"
        parent = read_manifest(root, current).parent
        if parent in names:
            kept.setdefault(parent, "parent of the current one")
    newest = names[len(names) - min(retention.last, len(names)) :]
    for name in names:
        created = _time_of(name)
        if name in pins:
            kept.setdefault(name, "pinned")
        if name in newest:
            kept.setdefault(name, f"one of the last {retention.last}")
        if created is None:
            kept.setdefault(name, "its name has no time: not ours to remove")
        elif created > now - retention.age:
            kept.setdefault(name, f"younger than {_days(retention.age)}")
    return kept


def _removals(
    files: list[StoredFile], names: list[str], kept: Mapping[str, str], used: set[str], before: datetime
) -> Iterator[Removal]:
    generations: dict[str, list[StoredFile]] = {}
    work: dict[str, list[StoredFile]] = {}
    for file in files:
        first, _, rest = file.path.partition("/")
        name, _, inside = rest.partition("/")
        if first == "generations" and inside and name not in kept and file.path not in used:
            generations.setdefault(name, []).append(file)
        elif first == "generations" and inside == REMOVAL_MARK:
            yield Removal("temporary", file.path, "mark of a collection that died; the generation stays", (file,))
        elif first == "work" and inside:
            work.setdefault(name, []).append(file)
    for name, own in sorted(generations.items()):
        if name in names:
            yield Removal("generation", name, "older than what is kept", tuple(own))
        elif any(file.path == f"generations/{name}/{REMOVAL_MARK}" for file in own):
            # The mark goes last: should this collection die too, the next one sees it again.
            own.sort(key=lambda file: file.path == f"generations/{name}/{REMOVAL_MARK}")
            yield Removal("orphan", name, "left by a collection that died", tuple(own))
        elif _time_of(name) is not None and max(file.modified for file in own) <= before:
            yield Removal("orphan", name, "no manifest: left by a run that died", tuple(own))
    gone = {file.path for own in (*generations.values(), *work.values()) for file in own}
    for file in files:
        if file.path in used or file.path in gone or file.modified > before or not file.path.startswith(_OURS):
            continue
        if file.path.endswith(_TEMPORARY):
            yield Removal("temporary", file.path, "temporary file of a process that died", (file,))
        elif file.path.startswith("vectors/") and file.path.endswith(".parquet"):
            yield Removal("shard", file.path, "no kept generation uses these vectors", (file,))
    for name, own in sorted(work.items()):
        if max(file.modified for file in own) <= before:
            yield Removal("work", name, "work of a run that died", tuple(own))


def _remove_generation(root: str, removal: Removal) -> bool:
    folder = f"generations/{removal.name}"
    manifest, mark = f"{folder}/manifest.json", f"{folder}/{REMOVAL_MARK}"
    write_bytes(join(root, mark), b"")
    if is_pinned(root, removal.name) or read_current(root) == removal.name:
        _remove_file(root, mark)
        return False
    _remove_file(root, manifest)
    if is_local(root):
        # A power cut must not bring the manifest back when the files that it names are gone.
        fsync_directory(posixpath.dirname(filesystem_of(manifest_path(root, removal.name))[1]))
    for file in removal.files:
        if file.path not in (manifest, mark):
            _remove_file(root, file.path)
    # Last: as long as any file is left, the mark says why.
    _remove_file(root, mark)
    return True


def _stored_files(root: str) -> Iterator[StoredFile]:
    fs, inner = filesystem_of(root)
    fs.invalidate_cache(inner)
    base = inner.rstrip("/") + "/"
    for path, info in sorted(fs.find(inner, detail=True).items()):
        try:
            links = info.get("nlink", 1)
            yield StoredFile(path[len(base) :], info["size"], _modified(fs, path, info), info.get("ino"), links)
        except FileNotFoundError:
            continue  # A reader's or a pin's temporary file that is gone by now.


def _modified(fs: object, path: str, info: Mapping[str, object]) -> datetime:
    """When a file was last written: local file systems say it in seconds, S3 as a time, others answer when asked."""
    found = info.get("mtime", info.get("LastModified"))
    if isinstance(found, int | float):
        return datetime.fromtimestamp(found, UTC)
    if not isinstance(found, datetime):
        found = fs.modified(path)  # type: ignore[attr-defined]
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _remove_file(root: str, path: str) -> None:
    fs, inner = filesystem_of(join(root, path))
    with contextlib.suppress(FileNotFoundError):
        fs.rm_file(inner)


def _remove_empty_folders(root: str) -> None:
    """Only local file systems have folders; those that hold nothing mean nothing."""
    if not is_local(root):
        return
    for place in ("generations", "vectors", "work"):
        top = filesystem_of(join(root, place))[1]
        for folder, _, _ in os.walk(top, topdown=False):
            if folder != top:
                with contextlib.suppress(OSError):
                    os.rmdir(folder)


def _is_manifest(path: str) -> bool:
    parts = path.split("/")
    return len(parts) == 3 and parts[0] == "generations" and parts[2] == "manifest.json"


def _time_of(generation: str) -> datetime | None:
    """When the run of a generation started, from its id; None for a name that is no id."""
    try:
        return datetime.strptime(generation.split("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _days(age: timedelta) -> str:
    return f"{age / timedelta(days=1):g} days"
