"""Verification: every published byte against the manifest."""

from dataclasses import dataclass

from transforms.files import CorruptFileError, filesystem_of, join
from transforms.generations.manifest import GenerationError, read_manifest
from transforms.generations.reading import check_file


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
    folder = join(root, "generations", generation)
    fs, inner = filesystem_of(folder)
    known = {file.path for file in manifest.files} | {f"generations/{generation}/manifest.json"}
    base = inner.rstrip("/") + "/"
    for found in sorted(fs.find(inner)):
        relative = f"generations/{generation}/{found[len(base) :]}"
        if relative not in known:
            problems.append(f"{join(root, relative)} is not in the manifest")
    return Verification(generation, len(manifest.files), sum(file.size for file in manifest.files), tuple(problems))
