"""Languages of texts, by their stop words: words that are common in every text of a language, whatever it is about.

Lists are stopwordsiso's (MIT, 58 languages, shipped in its wheel) but for English, see `words`. A text is in the language of
which it has most stop words. That needs no model, costs a look at each different word, and depends on the text alone.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import stopwordsiso

from transforms.topics.naming.words import ENGLISH_STOP_WORDS, bare

AUTO, ENGLISH = "auto", "en"
# Fewer stop words are no sign of a language, since words are spelled alike in many: so many, and such a share of a text's
# words. Of running text they are a third to a half, of lists of keywords hardly any. Measured on 8,000 English texts each, the
# languages found are English at .15 and .2, at .1 Malay and Latvian too where texts have lost their stop words.
_LEAST, _LEAST_OF_TEXT = 2, 0.15
# A language with a smaller share of a corpus's texts is taken for an error of the vote.
_LEAST_OF_CORPUS = 0.01


@cache
def known_languages() -> tuple[str, ...]:
    """ISO 639-1 codes of the languages whose stop words are known, in alphabetical order."""
    return tuple(sorted(stopwordsiso.langs()))


@cache
def stop_words(language: str) -> frozenset[str]:
    """The stop words of a language, as `bare` writes words."""
    if language == ENGLISH:
        return ENGLISH_STOP_WORDS
    # Some lists have punctuation.
    return frozenset(bare(word.lower()) for word in stopwordsiso.stopwords(language) if any(map(str.isalpha, word)))


def are_stop_words(words: Sequence[str], languages: Sequence[str]) -> np.ndarray:
    """Which of some words are stop words of each language: bool (languages, words)."""
    forms = [bare(word) for word in words]
    found = np.empty((len(languages), len(words)), bool)
    for row, language in zip(found, languages, strict=True):
        row[:] = np.fromiter(map(stop_words(language).__contains__, forms), bool, len(forms))
    return found


def language_of_texts(
    stops: np.ndarray, are_words: np.ndarray, codes: np.ndarray, text_of: np.ndarray, texts: int
) -> np.ndarray:
    """The language of each text: int64 (texts,), a row of `stops`, -1 where that cannot be told.

    `stops` is as from `are_stop_words` for some pieces, `are_words` says which of these are words, `codes` (places,) which is
    at each place, `text_of` (places,) in which text. A text must have more stop words of the language than of any other: two,
    and three of twenty words.
    """
    if not len(stops):
        return np.full(texts, -1, np.int64)
    votes = np.stack([np.bincount(text_of[row[codes]], minlength=texts) for row in stops])
    best, language = votes.max(axis=0), votes.argmax(axis=0)
    alone = (votes == best).sum(axis=0) == 1
    enough = (best >= _LEAST) & (best >= _LEAST_OF_TEXT * np.bincount(text_of[are_words[codes]], minlength=texts))
    return np.where(enough & alone, language, -1)


def languages_of_corpus(counts: np.ndarray, texts: int) -> tuple[str, ...]:
    """The languages of a corpus, from how many of its texts are in each of `known_languages`.

    Those of at least one in a hundred texts; English where there is none.
    """
    least = max(_LEAST_OF_CORPUS * texts, 1)
    found = tuple(language for language, count in zip(known_languages(), counts.tolist(), strict=True) if count >= least)
    return found or (ENGLISH,)
