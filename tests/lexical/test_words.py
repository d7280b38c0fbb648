"""Words against the bm25s package's own tokenizer."""

import bm25s
import pytest
import Stemmer
from hypothesis import given
from hypothesis import strategies as st

from transforms.lexical import LANGUAGES, LexicalOptions, split_words

# Letters of several scripts, digits, marks, and what stands between words.
TEXT = st.text(st.sampled_from(list("aAbıİßéё語1_ -.'\n ́")), max_size=30)
SENTENCES = ["The cats are running", "", "the of", "Running CATS! cat's 2.0 café x", "été dernier, les étés"]


def words_of(texts: list[str], language: str) -> list[list[str]]:
    words = split_words(texts, language)
    of = [words.terms[code] for code in words.codes.tolist()]
    return [of[low:high] for low, high in zip(words.bounds[:-1], words.bounds[1:], strict=True)]


def by_bm25s(texts: list[str], stop_words: str | list[str], stemmer: Stemmer.Stemmer | None) -> list[list[str]]:
    found = bm25s.tokenize(texts, stopwords=stop_words, stemmer=stemmer, show_progress=False, return_ids=False)
    # The package gives a text without words one empty word.
    return [[word for word in words if word] for words in found]


@given(st.lists(TEXT, max_size=5))
def test_words_as_written_are_those_of_bm25s(texts):
    assert words_of(texts, "none") == (by_bm25s(texts, [], None) if texts else [])


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "none"])
def test_words_of_a_language_are_those_of_bm25s(language):
    assert words_of(SENTENCES, language) == by_bm25s(SENTENCES, language, Stemmer.Stemmer(language))


def test_endings_and_function_words_are_left_out():
    assert words_of(["The cats are running", "the"], "english") == [["cat", "run"], []]


def test_every_language_is_known_to_the_stemmer():
    assert set(LANGUAGES) - {"none"} <= set(Stemmer.algorithms())
    with pytest.raises(ValueError, match="language"):
        LexicalOptions(language="klingon")
