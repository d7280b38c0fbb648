"""Pins: `ROOT/pins/ID.json` says that a generation is never collected, and why.

Pinning needs no lease, so that it works while a run or a collection is active. The two meet like this: the pin is written and
then the mark of a removal is looked for; a collection writes its mark and then looks for the pin. Whoever is second sees the
other: either the pin is refused or the generation stays.
"""

import posixpath
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from transforms.files import CorruptFileError, filesystem_of, join, list_files, read_json, remove, write_json
from transforms.generations.assemble import list_generations
from transforms.generations.manifest import GenerationError

# In a generation's folder: a collection has decided to remove it, and its manifest goes next.
REMOVAL_MARK = "removing"


@dataclass(frozen=True)
class Pin:
    """Why a generation is kept, and since when (ISO 8601, UTC)."""

    generation: str
    reason: str
    created: str


def pin_generation(root: str, generation: str, reason: str = "", now: datetime | None = None) -> Pin:
    """Keep a generation until it is unpinned. A generation that is pinned gets the new reason.

    Raises GenerationError for an id that does not exist or is being removed at this moment.
    """
    check_known(root, generation)
    before = is_pinned(root, generation)
    pin = Pin(generation, reason, (now or datetime.now(UTC)).isoformat(timespec="seconds"))
    write_json(_path(root, generation), asdict(pin))
    if is_being_removed(root, generation) or generation not in list_generations(root):
        if not before:
            remove(_path(root, generation))
        raise GenerationError(
            f"generation {generation} is marked for removal by a gc that is active or died: see whether it still exists "
            "when `corpusbeam gc` has ended, and try again"
        )
    return pin


def unpin_generation(root: str, generation: str) -> None:
    """Take a pin away. Raises GenerationError when there is none."""
    pins = read_pins(root)
    if generation not in pins:
        raise GenerationError(
            f"generation {generation!r} is not pinned under {root}; pinned: {', '.join(sorted(pins)) or 'none'}"
        )
    remove(_path(root, generation))


def is_pinned(root: str, generation: str) -> bool:
    """Whether a pin of this generation is stored."""
    return _exists(_path(root, generation))


def is_being_removed(root: str, generation: str) -> bool:
    """Whether a collection has marked the generation for removal."""
    return _exists(join(root, "generations", generation, REMOVAL_MARK))


def read_pins(root: str) -> dict[str, Pin]:
    """All pins by generation id, whether the generation still exists or not.

    Raises CorruptFileError for a pin that cannot be read: a generation that somebody wanted kept must not be guessed.
    """
    pins = {}
    for path in list_files(join(root, "pins"), ".json"):
        try:
            pin = Pin(**read_json(path))
        except (ValueError, TypeError) as error:
            raise CorruptFileError(f"{path} is not a pin ({error}): remove it and pin the generation again") from error
        if posixpath.basename(path) != f"{pin.generation}.json":
            raise CorruptFileError(f"{path} names generation {pin.generation!r}: remove it and pin the generation again")
        pins[pin.generation] = pin
    return pins


def check_known(root: str, generation: str) -> None:
    """Raise GenerationError, with the list of what exists, for an id that is no generation under `root`."""
    known = list_generations(root)
    if generation not in known:
        raise GenerationError(
            f"there is no generation {generation!r} under {root}; there are: {', '.join(known) or 'none, nothing is published'}"
        )


def _path(root: str, generation: str) -> str:
    return join(root, "pins", f"{generation}.json")


def _exists(path: str) -> bool:
    fs, inner = filesystem_of(path)
    fs.invalidate_cache(inner)
    return bool(fs.exists(inner))
