"""Rolling back: CURRENT set to a generation that exists, after a look at whether it is whole."""

import contextlib
from dataclasses import dataclass

from transforms.generations.check import missing_or_resized
from transforms.generations.current import move_current, read_current
from transforms.generations.manifest import GenerationError, read_manifest
from transforms.generations.pins import check_known, is_pinned, pin_generation, unpin_generation
from transforms.generations.verify import verify_generation


@dataclass(frozen=True)
class Rollback:
    """From which generation to which CURRENT went; `moved` is false when it named the wanted one already."""

    before: str | None
    after: str
    moved: bool


def roll_back(root: str, generation: str | None = None, *, verify: bool = False, unconditional: bool = False) -> Rollback:
    """Point CURRENT at `generation`, by default the parent of the current one.

    Needs no lease: a run that is active started from what was current, so its publication is refused. The target is pinned
    while the pointer moves, so that a collection at the same time leaves it.

    Raises GenerationError for an unknown or damaged target and when there is no parent, CorruptFileError for a damaged
    manifest, PublishConflictError when CURRENT moved meanwhile, UnconditionalError as `move_current` does; in all
    cases CURRENT stays.
    """
    before = read_current(root)
    if generation is None:
        generation = _parent(root, before)
    check_known(root, generation)
    if generation == before:
        return Rollback(before, generation, False)
    held = not is_pinned(root, generation)
    if held:
        pin_generation(root, generation, "being rolled back to")
    try:
        problems = missing_or_resized(root, read_manifest(root, generation))
        if verify and not problems:
            problems = list(verify_generation(root, generation).problems)
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise GenerationError(
                f"generation {generation} is damaged: {problems[0]}{more}; CURRENT still names {before}. "
                "`corpusbeam verify --all` says which generations are whole"
            )
        move_current(root, before, generation, unconditional=unconditional)
    finally:
        if held:
            # Another rollback at the same moment may have taken it away already.
            with contextlib.suppress(GenerationError):
                unpin_generation(root, generation)
    return Rollback(before, generation, True)


def _parent(root: str, current: str | None) -> str:
    if current is None:
        raise GenerationError(f"nothing is published under {root}: name the generation to publish")
    parent = read_manifest(root, current).parent
    if parent is None:
        raise GenerationError(f"generation {current} has no parent: it was the first; name the generation to roll back to")
    return parent
