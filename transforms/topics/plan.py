"""How the room's work is cut into tasks: by what there is, never by who does it, so that results do not depend on workers."""

from collections.abc import Sequence
from itertools import pairwise

from transforms.files import FileRef

# There are about so many tasks at least, so that tens of workers have something to do, unless there are fewer parts.
_TASKS = 64
# Texts whose terms are counted by one task: with 25 terms that a text has alone, 100 MB for the topics and each layer.
TEXTS_PER_TASK = 65_536
# Passages of documents that are given their topics by one task, which reads all labels once: about 100 MB.
PASSAGES_PER_TASK = 1_000_000
# Rows of term counts that are added up by one task: about 200 MB.
COUNTS_PER_TASK = 2_000_000
# Texts for each task that names topics: it reads all labels once, and keeps some hundred bytes for each text in its own
# topics.
_TEXTS_PER_NAMING = 250_000


def cut_parts(parts: Sequence[FileRef], most: int) -> list[slice]:
    """Consecutive parts for each task: about a 64th of all rows, and at most `most` rows unless one part alone has more."""
    wanted = min(-(-sum(part.rows or 0 for part in parts) // _TASKS), most)
    borders, rows = [0], 0
    for number, part in enumerate(parts):
        if number and rows + (part.rows or 0) > wanted:
            borders.append(number)
            rows = 0
        rows += part.rows or 0
    return [slice(low, high) for low, high in pairwise([*borders, len(parts)])] if parts else []


def cut_topics(topics: int, texts: int) -> list[tuple[int, int]]:
    """`low, high` of the topics that each task names: at most 64 ranges, fewer where there are few texts."""
    tasks = min(max(-(-texts // _TEXTS_PER_NAMING), 1), _TASKS, max(topics, 1))
    return [(topics * i // tasks, topics * (i + 1) // tasks) for i in range(tasks)] if topics else []


def count_ranges(rows: int) -> int:
    """Into how many ranges of terms so many rows of counts are cut: a power of two."""
    ranges = 1
    while ranges * COUNTS_PER_TASK < rows:
        ranges *= 2
    return ranges
