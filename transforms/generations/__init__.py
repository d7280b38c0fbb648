"""Generations: immutable published results, the pointer to the current one, and their verification.

In: finished files with their checksums. Out: `generations/ID/` with a manifest, and CURRENT naming it.
Promises: readers see the old generation or the new one, never a mixture; nothing in a generation changes after its manifest
is written; a reader refuses a file whose bytes are not the manifest's; of two runs with one parent only one can publish;
one process at a time holds the lease on a root, and one that died does not hold it.
"""

from transforms.generations.assemble import check_moved, generation_id, list_generations, move_into_generation
from transforms.generations.current import PublishConflictError, move_current, read_current
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
from transforms.generations.reading import Generation, open_generation
from transforms.generations.verify import Verification, verify_generation

__all__ = [
    "FORMAT",
    "Gate",
    "Generation",
    "GenerationError",
    "Lease",
    "LeaseLostError",
    "Manifest",
    "PublishConflictError",
    "PublishOptions",
    "PublishedFile",
    "RootInUseError",
    "Verification",
    "check_moved",
    "generation_id",
    "hold_lease",
    "list_generations",
    "manifest_path",
    "move_current",
    "move_into_generation",
    "open_generation",
    "published_files",
    "read_current",
    "read_manifest",
    "verify_generation",
    "write_manifest",
]
