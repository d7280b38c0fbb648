"""What can be said of a generation without reading its files: the manifest is whole, every file is there with its size."""

from transforms.files import filesystem_of, join
from transforms.generations.manifest import Manifest


def missing_or_resized(root: str, manifest: Manifest) -> list[str]:
    """What is wrong with the files that a manifest names, as far as a look at the folder tells; empty when all are there.

    A changed byte is found only by `verify_generation`, which reads everything.
    """
    problems = []
    for file in manifest.files:
        path = join(root, file.path)
        fs, inner = filesystem_of(path)
        fs.invalidate_cache(inner)
        try:
            found = fs.info(inner)
        except (FileNotFoundError, NotADirectoryError):
            problems.append(f"{path} is missing")
            continue
        if found["type"] != "file":
            problems.append(f"{path} is missing")
        elif found["size"] != file.size:
            problems.append(f"{path} has {found['size']} bytes, the manifest says {file.size}")
    return problems
