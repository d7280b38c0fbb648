import re
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.duplicates import wordings_of
from transforms.duplicates.wording import NEGATION_WORDS, concatenated_wordings

TEXTS = st.lists(st.text(st.sampled_from("ab AB_1٣ßéİ'’.,\n\tnt日")) | st.text(), max_size=8)


# What of a quantity may stand at an end of a text.
PIECES = [
    "5",
    "may",
    "May 3",
    "2024",
    "june 5",
    "of",
    "5th",
    "version",
    "v",
    "1.",
    ".2",
    ",",
    "1,",
    "000",
    "not",
    "can",
    "'t",
    "",
]
NASTY = st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map(" ".join), min_size=1, max_size=6)


def words_in(text):
    return re.findall(r"\w+", text.casefold())


def grams_in(text):
    words = words_in(text)
    return set(zip(words, words[1:], words[2:], strict=False))


def rows(sets):
    return [sets.values[low:high].tolist() for low, high in zip(sets.offsets, sets.offsets[1:], strict=False)]


@given(TEXTS)
def test_hashes_stand_for_the_words_and_grams_that_a_regular_expression_finds(texts):
    wordings = wordings_of(texts)
    for sets, found_in in ((wordings.words, words_in), (wordings.grams, grams_in)):
        expected = [set(found_in(text)) for text in texts]
        assert [len(row) for row in rows(sets)] == [len(found) for found in expected]
        assert all(row == sorted(row) for row in rows(sets))
        for one, row in zip(expected, rows(sets), strict=True):
            for other, other_row in zip(expected, rows(sets), strict=True):
                assert len(one & other) == len(set(row) & set(other_row))
    assert wordings.characters.tolist() == [len(text) for text in texts]


@given(NASTY)
def test_a_text_is_read_as_if_it_were_alone(texts):
    together = wordings_of(texts)
    for row, text in enumerate(texts):
        alone = wordings_of([text])
        assert rows(together.words)[row] == rows(alone.words)[0]
        assert rows(together.grams)[row] == rows(alone.grams)[0]
        assert together.quantities[row].tolist() == alone.quantities[0].tolist()
        assert together.negations[row] == alone.negations[0]


@given(TEXTS, st.integers(1, 40))
def test_batches_change_nothing(texts, characters):
    whole = wordings_of(texts)
    parts = concatenated_wordings([wordings_of([text]) for text in texts])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("transforms.duplicates.wording._CHARACTERS", characters)
        batches = wordings_of(texts)
    for other in (parts, batches):
        assert len(other) == len(whole) == len(texts)
        for name in ("words", "grams"):
            assert rows(getattr(other, name)) == rows(getattr(whole, name))
        for name in ("quantities", "negations", "characters"):
            assert np.array_equal(getattr(other, name), getattr(whole, name))


@given(TEXTS, st.data())
def test_some_texts_are_those_texts(texts, data):
    chosen = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=5)) if texts else []
    taken = wordings_of(texts).take(np.array(chosen, np.int64))
    again = wordings_of([texts[i] for i in chosen])
    assert rows(taken.words) == rows(again.words)
    assert rows(taken.grams) == rows(again.grams)
    assert np.array_equal(taken.quantities, again.quantities)


def test_word_characters_are_those_of_regular_expressions():
    everything = "".join(chr(code) for code in range(0x20, 0x3000))
    assert wordings_of([everything]).words.sizes.tolist() == [len(set(words_in(everything)))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((f"it is {word} so", 1) for word in NEGATION_WORDS),
        ("it doesn't and can’t, but cannot", 3),
        ("Not NEVER", 2),
        ("a knot, another note, t 't n 't", 0),
        ("don t", 0),
        ("n't", 1),
        ("'t", 0),
        ("non-free", 1),
    ],
)
def test_negations_are_counted(text, expected):
    assert wordings_of(["other", text, "it works"]).negations.tolist() == [0, expected, 0]


def test_hashes_of_a_corpus_do_not_collide(shared_data):
    texts = pq.read_table(shared_data / "search_snippets.parquet")["text"].to_pylist()[:3000]
    wordings = wordings_of(texts)
    for sets, found_in in ((wordings.words, words_in), (wordings.grams, grams_in)):
        counts = Counter(item for text in texts for item in set(found_in(text)))
        hashes, repeated = np.unique(sets.values, return_counts=True)
        assert len(hashes) == len(counts) > 10_000
        assert sorted(repeated.tolist()) == sorted(counts.values())
