"""The lexical stage: a BM25 index of all texts, where `search.lexical` asks for one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.passages import PassagesResult
from pipelines.reuse import Parent
from pipelines.stage import Run
from transforms.files import FileRef, join
from transforms.lexical import Step, build_lexical
from transforms.lexical.beam import LexicalStep


@dataclass(frozen=True)
class LexicalResult:
    """The published index, and how many terms and scores it has; `reused` when it is the published generation's."""

    published: list[FileRef]
    counts: dict[str, int]
    reused: bool = False


def reuse_lexical(run: Run, parent: Parent | None) -> LexicalResult | None:
    """The parent's index, when it had the same texts and settings; else None."""
    settings = run.config.search.model_dump(mode="json")
    if parent is None or not parent.texts_are_the_same or not parent.has_settings("search", settings):
        return None
    files, counts = parent.files("lexical"), parent.counts("lexical")
    return LexicalResult(list(files.values()), counts, reused=True) if files and counts else None


def index_words(run: Run, passages: PassagesResult) -> LexicalResult:
    """Run the jobs that build the index.

    It is built anew whenever a text changes: every score depends on all texts, and counting a text's words costs no more than
    reading what an earlier run counted.
    """
    options = run.config.search

    def job(step: Step, tasks: Sequence[Any]) -> list[Any]:
        transform = LexicalStep(step, options)
        return run.job(step.__name__, transform, tasks, transform.record_type)

    built = build_lexical(passages.parts, run.scratch("lexical"), join(run.staged, "lexical"), job)
    return LexicalResult(list(built.published), {"terms": built.terms, "scores": built.scores})
