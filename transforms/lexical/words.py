"""Words of texts and queries as lexical search compares them: lower case, without function words, without endings."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
import Stemmer

# Two or more letters, digits or underscores: the pattern of bm25s and scikit-learn. Scripts without spaces are not cut.
_WORD = re.compile(r"\b\w\w+\b")


@dataclass(frozen=True)
class Words:
    """Words of n texts, one after the other: text i has terms[codes[bounds[i]]] … terms[codes[bounds[i + 1] - 1]].

    `terms` are different words, `codes` int64 (m,), `bounds` int64 (n + 1,).
    """

    terms: tuple[str, ...]
    codes: np.ndarray
    bounds: np.ndarray


def split_words(texts: Sequence[str], language: str) -> Words:
    """The words of each text, in order, repeated ones too. `language` is one of `LANGUAGES`."""
    found = [_WORD.findall(text.lower()) for text in texts]
    written = pa.array([word for words in found for word in words], pa.string()).dictionary_encode()
    text_of = np.repeat(np.arange(len(found)), np.fromiter(map(len, found), np.int64, len(found)))
    del found
    stop, spellings = _stop_words(language), written.dictionary.to_pylist()
    # Every spelling once: a stop word is none of the terms, and several spellings may share a stem.
    kept = [spelling for spelling in spellings if spelling not in stop]
    stems = kept if language == "none" else _stemmer(language).stemWords(kept)
    terms = pa.array(stems, pa.string()).dictionary_encode()
    code_of = np.full(len(spellings), -1, np.int64)
    code_of[[spelling not in stop for spelling in spellings]] = terms.indices.to_numpy()
    codes = code_of[written.indices.to_numpy()]
    wanted = codes >= 0
    bounds = np.searchsorted(text_of[wanted], np.arange(len(texts) + 1))
    return Words(tuple(terms.dictionary.to_pylist()), codes[wanted], bounds)


@cache
def _stop_words(language: str) -> frozenset[str]:
    if language == "none":
        return frozenset()
    import bm25s.stopwords  # imports numba and scipy, which a configuration does not need

    # Not by the package's own function, which takes a language that it does not know for a list of words.
    return frozenset(getattr(bm25s.stopwords, f"STOPWORDS_{_SUFFIX.get(language, language.upper())}"))


_SUFFIX = {"english": "EN"}


@cache
def _stemmer(language: str) -> Stemmer.Stemmer:
    return Stemmer.Stemmer(language)
