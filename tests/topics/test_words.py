import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.topics.naming.words import _LOCAL, _PIECE, _PIECE_WITH_ALONE, is_term_word, pieces


def test_pieces_keep_what_stands_between_words():
    assert pieces("State-of-the-art C++, see n_samples (2).") == [
        "state-of-the-art", "c++", ",", "see", "n_samples", "(", "2", ")", "."
    ]  # fmt: skip


def test_addresses_are_one_piece():
    assert pieces("at https://example.org/a?b=c or me@example.org") == [
        "at",
        "https://example.org/a?b=c",
        "or",
        "me@example.org",
    ]


@pytest.mark.parametrize("pattern", [_PIECE, _PIECE_WITH_ALONE], ids=["words", "alone"])
@given(st.text("ab.+-@'_ é\u0301语", max_size=40))
def test_addresses_are_found_as_without_a_bound(pattern, text):
    unbounded = pattern.pattern.replace(_LOCAL, r"[\w.+-]+")
    assert unbounded != pattern.pattern
    assert pattern.findall(text) == re.findall(unbounded, text)


def test_a_long_run_of_dots_is_read_in_no_time():
    # To its end from each dot on it would be read for minutes.
    assert pieces("." * 500_000 + " a@x.org") == ["."] * 500_000 + ["a@x.org"]


def test_words_of_other_scripts_stay_whole():
    assert pieces("हिन्दी भाषा।") == ["हिन्दी", "भाषा", "।"]
    assert pieces("Größe naïve Привет") == ["größe", "naïve", "привет"]


@pytest.mark.parametrize(
    "word", ["neural", "mp3", "x86", "3d", "h264", "n_samples", "c++", "größe", "café", "语", "python3", "don"]
)
def test_term_words(word):
    assert is_term_word(word)


NO_TERM_WORDS = "7 2024 r a _ ___ - 。 d41d8cd98f00b204e9800998 https://x.org me@x.org 0x00007f31"


@pytest.mark.parametrize("piece", [*NO_TERM_WORDS.split(), "x" * 41, ""])
def test_no_term_words(piece):
    assert not is_term_word(piece)
