"""From finished stage outputs to a generation's folder."""

import posixpath
from collections.abc import Sequence
from datetime import UTC, datetime

from transforms.files import CorruptFileError, FileRef, file_ref, filesystem_of, fsync_directory, is_local, join, move_file


def generation_id(now: datetime, digest: str) -> str:
    """`YYYYMMDDTHHMMSSZ-xxxxxxxx`: ids sort by time, and the digest tells runs of one second apart."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{digest[:8]}"


def started_at(generation: str) -> datetime:
    """When the run of a generation began, to the second, by its id. Raises ValueError for what is no id."""
    return datetime.strptime(generation.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def move_into_generation(root: str, generation: str, staged: str, files: Sequence[FileRef]) -> list[FileRef]:
    """Move staged files into `generations/ID/`, keeping their paths below `staged`.

    Nobody reads the folder before its manifest exists, so the moves need no order. Afterwards `check_moved` is due for them:
    another run may have written into the same work folder.
    """
    folder = join(root, "generations", generation)
    prefix = staged.rstrip("/") + "/"
    moved, directories = [], set()
    for file in files:
        if not file.path.startswith(prefix):
            raise ValueError(f"{file.path} is not under {staged}")
        target = join(folder, file.path[len(prefix) :])
        fs, source = filesystem_of(file.path)
        _, destination = filesystem_of(target)
        parent = posixpath.dirname(destination)
        if parent not in directories:
            fs.makedirs(parent, exist_ok=True)
            directories.add(parent)
        move_file(fs, source, destination)
        moved.append(FileRef(target, file.size, file.rows, file.sha256))
    if is_local(root):
        for directory in sorted(directories):
            fsync_directory(directory)
    return moved


def check_moved(files: Sequence[FileRef]) -> None:
    """Compare size and sha256 of files with their references. Raises CorruptFileError with the path of one that differs."""
    for file in files:
        found = file_ref(file.path)
        if (found.size, found.sha256) != (file.size, file.sha256):
            raise CorruptFileError(
                f"{file.path} has sha256 {found.sha256[:16]}…, its stage wrote {file.sha256[:16]}…: it was changed before "
                "it was published; nothing was published, run again"
            )


def list_generations(root: str) -> list[str]:
    """Ids of all generations under `root` that have a manifest, oldest first."""
    fs, inner = filesystem_of(join(root, "generations"))
    fs.invalidate_cache(inner)
    if not fs.isdir(inner):
        return []
    names = [posixpath.basename(entry["name"].rstrip("/")) for entry in fs.ls(inner, detail=True)]
    return sorted(name for name in names if fs.isfile(f"{inner}/{name}/manifest.json"))
