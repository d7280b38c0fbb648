"""The languages of a corpus, from a sample of its texts: which stop words are left out of terms."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transforms.files import FileRef, read_table
from transforms.topics.naming.languages import known_languages, languages_of_corpus
from transforms.topics.naming.terms import count_languages
from transforms.topics.options import TopicsOptions

# Texts that are looked at, chosen by hash: a language of one in a hundred texts has two hundred of them.
_SAMPLE = 20_000
_IDS = 1 << 63


@dataclass(frozen=True)
class LanguagesTask:
    """Consecutive parts of the passages, and the id below which texts are looked at."""

    part: int
    passages: tuple[FileRef, ...]
    below: int


@dataclass(frozen=True)
class LanguagesRecord:
    """How many texts were looked at, and how many of them are in each of `known_languages`."""

    part: int
    texts: int
    counts: tuple[int, ...]


def sample_below(texts: int) -> int:
    """The id below which about 20,000 of so many texts are, at most the largest there is: ids are hashes of texts."""
    return min(_IDS * _SAMPLE // max(texts, 1), _IDS - 1)


def find_languages(task: LanguagesTask, options: TopicsOptions) -> LanguagesRecord:
    """Look at some texts. Memory: those of one part."""
    counts, seen = np.zeros(len(known_languages()), np.int64), 0
    for passages in task.passages:
        texts = read_table(passages.path, ["id", "text"], key="id", high=task.below)["text"].to_pylist()
        counts += count_languages(texts)
        seen += len(texts)
    return LanguagesRecord(task.part, seen, tuple(counts.tolist()))


def found_languages(records: Sequence[LanguagesRecord]) -> tuple[str, ...]:
    """The languages of the corpus, in alphabetical order of their codes."""
    counts = sum((np.array(record.counts) for record in records), np.zeros(len(known_languages()), np.int64))
    return languages_of_corpus(counts, sum(record.texts for record in records))
