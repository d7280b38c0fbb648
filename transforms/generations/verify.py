"""Verification: every published byte against the manifest."""

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass

from transforms.files import CorruptFileError, filesystem_of, join
from transforms.generations.manifest import GenerationError, read_manifest
from transforms.generations.reading import check_file

# What this version writes directly under a root.
_ENTRIES = frozenset(
    {"CURRENT", "CURRENT.lock", "LEASE", "LEASE.lock", "generations", "last_run.json", "metrics.json", "metrics.prom", "pins"}
    | {"vectors", "work"}
)


@dataclass(frozen=True)
class Verification:
    """What verifying one generation found. It is whole when there are no problems."""

    generation: str
    files: int
    size: int
    problems: tuple[str, ...]


def verify_generation(root: str, generation: str) -> Verification:
    """Recompute the size and sha256 of every file, vector shards included, and look for files that no manifest names."""
    try:
        manifest = read_manifest(root, generation)
    except (CorruptFileError, GenerationError) as error:
        return Verification(generation, 0, 0, (str(error),))
    problems = [problem for file in manifest.files if (problem := check_file(join(root, file.path), file))]
    known = {file.path for file in manifest.files} | {f"generations/{generation}/manifest.json"}
    for relative in files_under(root, f"generations/{generation}"):
        if relative not in known:
            problems.append(f"{join(root, relative)} is not in the manifest")
    return Verification(generation, len(manifest.files), sum(file.size for file in manifest.files), tuple(problems))


def files_under(root: str, folder: str) -> list[str]:
    """All files in a folder of the root, as sorted paths relative to the root; none when it does not exist."""
    fs, inner = filesystem_of(join(root, folder))
    fs.invalidate_cache(inner)
    base = inner.rstrip("/") + "/"
    return sorted(f"{folder}/{found[len(base) :]}" for found in fs.find(inner))


def notes_on(root: str, generations: Iterable[str]) -> list[str]:
    """What is under the root that none of these generations needs. No problem: a later run may use it, or gc removes it."""
    named: set[str] = set()
    notes = []
    for generation in generations:
        try:
            named.update(file.path for file in read_manifest(root, generation).files)
        except (CorruptFileError, GenerationError) as error:
            return [f"what no generation uses cannot be told: {error}"]
    if spare := [path for path in files_under(root, "vectors") if path not in named]:
        notes.append(f"{len(spare)} files under vectors are in no manifest, such as {spare[0]}: for the next run, or for gc")
    fs, inner = filesystem_of(root)
    if fs.isdir(inner):
        entries = sorted(posixpath.basename(entry["name"].rstrip("/")) for entry in fs.ls(inner, detail=True))
        notes += [f"{join(root, entry)} is nothing that corpusbeam writes" for entry in entries if entry not in _ENTRIES]
    return notes
