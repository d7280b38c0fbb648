"""Generations: immutable published results, the pointer to the current one, and their verification.

In: finished files with their checksums. Out: `generations/ID/` with a manifest, and CURRENT naming it.
Promises: readers see the old generation or the new one, never a mixture; nothing in a generation changes after its manifest
is written; a reader refuses a file whose bytes are not the manifest's; of two runs with one parent only one can publish;
one process at a time holds the lease on a root, and one that died does not hold it.
"""

from transforms.generations.assemble import check_moved, generation_id, list_generations, move_into_generation, started_at
from transforms.generations.check import missing_or_resized
from transforms.generations.current import PublishConflictError, move_current, read_current
from transforms.generations.garbage import Garbage, Removal, Retention, find_garbage, freed_bytes, remove_garbage
from transforms.generations.lease import Lease, LeaseLostError, RootInUseError, hold_lease
from transforms.generations.manifest import (
    FORMAT,
    Gate,
    GenerationError,
    Manifest,
    PublishedFile,
    manifest_path,
    published_files,
    read_manifest,
    write_manifest,
)
from transforms.generations.options import PublishOptions
from transforms.generations.pins import Pin, pin_generation, read_pins, unpin_generation
from transforms.generations.reading import Generation, open_generation
from transforms.generations.rollback import Rollback, roll_back
from transforms.generations.verify import Verification, notes_on, verify_generation

__all__ = [
    "FORMAT",
    "Garbage",
    "Gate",
    "Generation",
    "GenerationError",
    "Lease",
    "LeaseLostError",
    "Manifest",
    "Pin",
    "PublishConflictError",
    "PublishOptions",
    "PublishedFile",
    "Removal",
    "Retention",
    "Rollback",
    "RootInUseError",
    "Verification",
    "check_moved",
    "find_garbage",
    "freed_bytes",
    "generation_id",
    "hold_lease",
    "list_generations",
    "manifest_path",
    "missing_or_resized",
    "move_current",
    "move_into_generation",
    "notes_on",
    "open_generation",
    "pin_generation",
    "published_files",
    "read_current",
    "read_manifest",
    "read_pins",
    "remove_garbage",
    "roll_back",
    "started_at",
    "unpin_generation",
    "verify_generation",
    "write_manifest",
]
