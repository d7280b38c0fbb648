"""Which steps build a lexical index: words are counted by parts of the texts, scored by ranges of terms, and joined.

What a task does depends on the corpus only, so that the index does not depend on workers.
"""

from collections.abc import Callable, Sequence
from typing import Any

from transforms.files import FileRef
from transforms.lexical.count import CountRecord, CountTask, count_words
from transforms.lexical.join import JoinRecord, JoinTask, join_scores
from transforms.lexical.options import LexicalOptions
from transforms.lexical.score import ScoreRecord, ScoreTask, score_words

# Texts whose words are counted by one task: about 200 MB for texts of a hundred words.
_TEXTS_PER_TASK = 65_536
# Counts that are scored by one task: about 300 MB.
_COUNTS_PER_TASK = 4_000_000

# A function of (task, options) to a record.
Step = Callable[[Any, LexicalOptions], Any]
# Runs one step for all its tasks, in parallel or not; the records come in any order.
RunStep = Callable[[Step, Sequence[Any]], list[Any]]


def build_lexical(passages: Sequence[tuple[int, FileRef]], scratch: str, directory: str, run: RunStep) -> JoinRecord:
    """Write the index of all passages, given as parts with the position of their first row, to `directory`.

    Work files go to `scratch`.
    """
    counting: list[CountTask] = []
    parts: list[FileRef] = []
    for number, (start, part) in enumerate(passages):
        parts.append(part)
        if number + 1 == len(passages) or sum(one.rows or 0 for one in (*parts, passages[number + 1][1])) > _TEXTS_PER_TASK:
            first = start + (part.rows or 0) - sum(one.rows or 0 for one in parts)
            counting.append(CountTask(len(counting), first, tuple(parts), scratch))
            parts = []
    counted: tuple[CountRecord, ...] = tuple(sorted(run(count_words, counting), key=lambda record: record.part))
    ranges = 1
    while ranges * _COUNTS_PER_TASK < sum(record.counts.rows or 0 for record in counted):
        ranges *= 2
    scoring = [ScoreTask(part, ranges, counted, scratch) for part in range(ranges)]
    scored: tuple[ScoreRecord, ...] = tuple(sorted(run(score_words, scoring), key=lambda record: record.part))
    joined: JoinRecord
    (joined,) = run(join_scores, [JoinTask(counted, scored, directory)])
    return joined
