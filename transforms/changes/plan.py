"""Which parts of the two documents tables are compared with each other."""

from collections.abc import Sequence
from dataclasses import dataclass

from transforms.changes.counts import Changes, total
from transforms.files import FileRef


@dataclass(frozen=True)
class CompareTask:
    """An equal range of the doc hashes, part `part` of `parts`: the file of each table that holds it, and the quarantine.

    `published_parts` and `current_parts` are the numbers of parts of the two tables: where one has fewer than `parts`, only
    some rows of its file are in the range.
    """

    part: int
    parts: int
    published: FileRef
    published_parts: int
    current: FileRef
    current_parts: int
    quarantine: tuple[FileRef, ...]


def plan_comparison(
    published: Sequence[FileRef],
    current: Sequence[FileRef],
    documents: Sequence[int],
    quarantine: Sequence[FileRef],
) -> tuple[Changes, list[CompareTask]]:
    """What is known without reading a row, and the tasks for the rest.

    `published` and `current` are the parts of each table in order, their numbers powers of two; `documents` are the numbers of
    documents in `current`. A part that has the same bytes in both tables holds unchanged documents only.
    Raises ValueError when a number of parts is not a power of two: the tables then are not what this project writes.
    """
    for table in (published, current):
        if not table or len(table) & (len(table) - 1):
            raise ValueError(f"a documents table has {len(table)} parts, which is not a power of two: it is not complete")
    parts = max(len(published), len(current))
    known: list[Changes] = []
    tasks = []
    for part in range(parts):
        old, new = published[part * len(published) // parts], current[part * len(current) // parts]
        if len(published) == len(current) and (old.sha256, old.size) == (new.sha256, new.size):
            known.append(Changes(unchanged=documents[part]))
        else:
            tasks.append(CompareTask(part, parts, old, len(published), new, len(current), tuple(quarantine)))
    return total(known), tasks
