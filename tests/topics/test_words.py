import pytest

from transforms.topics.naming.words import is_term_word, pieces


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
