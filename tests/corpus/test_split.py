"""Windows on texts whose tokens are known: a plain tokenizer in three lines, so that every place can be checked."""

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.corpus.sentences import sentence_starts
from transforms.corpus.split import split


def offsets_of(text: str) -> np.ndarray:
    """Words in pieces of four letters, and every other visible character; like BERT's, it drops control characters."""
    return np.array([found.span() for found in re.finditer(r"[^\W_]{1,4}|[^\w\s\x07\u200b]|_", text)], np.int64).reshape(-1, 2)


def tokens_in(offsets: np.ndarray, passage: tuple[int, int]) -> list[int]:
    low, high = passage
    return [i for i, (start, end) in enumerate(offsets.tolist()) if low <= start and end <= high]


WORDS = [
    "a",
    "the",
    "tokens",
    "internationalisation",
    "x" * 90,
    "3.14",
    "好的",
    "日本語です。",
    "😀",
    "e.g.",
    "¿qué?",
    "\x07",
    "\u200b",
]
ENDS = [" ", " ", " ", ". ", "! ", "\n\n", "\n- ", "… ", "。", ""]
TEXTS = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(ENDS)), max_size=120).map(
    lambda pieces: "".join(word + end for word, end in pieces)
)
SIZES = st.integers(3, 40).flatmap(lambda window: st.tuples(st.just(window), st.integers(0, window - 1)))


@given(TEXTS, SIZES)
def test_windows_are_bounded_cover_everything_and_advance(text, sizes):
    window, overlap = sizes
    offsets = offsets_of(text)
    passages = split(text, offsets, window, overlap)
    if len(offsets) <= window:
        assert passages == [(0, len(text))]
        return
    assert passages == split(text, offsets, window, overlap)
    inside = [tokens_in(offsets, passage) for passage in passages]
    assert all(0 < len(tokens) <= window for tokens in inside)
    covered = sorted({token for tokens in inside for token in tokens})
    assert covered == list(range(len(offsets)))
    for (low, high), (next_low, next_high) in pairwise(passages):
        assert low < next_low
        assert high < next_high
    for low, high in passages:
        assert text[low:high] == text[low:high].strip() != ""
    gaps = [(0, passages[0][0])] + [(high, low) for (_, high), (low, _) in pairwise(passages)] + [(passages[-1][1], len(text))]
    assert not any(text[low:high].strip() for low, high in gaps if low < high)


@given(TEXTS, SIZES)
def test_neighbours_share_between_half_and_all_of_the_overlap(text, sizes):
    window, overlap = sizes
    offsets = offsets_of(text)
    for one, other in pairwise(tokens_in(offsets, passage) for passage in split(text, offsets, window, overlap)):
        shared = len(set(one) & set(other))
        assert shared <= overlap
        # Tokens of this tokenizer can always be told apart; a long word is cut, if need be, at the first token in reach.
        assert shared >= min(overlap // 2, len(one) - 1)


@given(TEXTS, SIZES)
def test_cuts_are_at_sentences_where_one_is_in_reach_else_between_words(text, sizes):
    window, overlap = sizes
    offsets = offsets_of(text)
    inner = range(1, len(offsets))
    at_sentence = {token for token in inner for p in sentence_starts(text).tolist() if _begins(offsets, token, p)}
    at_word = {token for token in inner if _between_words(text, offsets, token)}
    inside = [tokens_in(offsets, passage) for passage in split(text, offsets, window, overlap)]
    reached = 0
    for one, other in pairwise(inside):
        end, high = one[-1] + 1, one[0] + window
        near = at_sentence & set(range(max(high - window // 3, reached + 1), high + 1))
        words = at_word & set(range(reached + 1, high + 1))
        assert end == max(near or words or {high})
        low, high = max(end - overlap, one[0] + 1), end - overlap // 2
        near, words = at_sentence & set(range(low, high + 1)), at_word & set(range(low, high + 1))
        assert other[0] == min(near or words or {low})
        reached = end


def _between_words(text: str, offsets: np.ndarray, token: int) -> bool:
    before, start = int(offsets[token - 1, 1]), int(offsets[token, 0])
    return any(c.isspace() for c in text[before:start]) or not {text[before - 1], text[start]}.isdisjoint("好的日本語です")


def _begins(offsets: np.ndarray, token: int, place: int) -> bool:
    """Whether a sentence that begins at `place` begins with this token."""
    before, start = int(offsets[token - 1, 1]), int(offsets[token, 0])
    return before <= place <= start


def test_a_sentence_that_ends_in_the_last_third_ends_the_window():
    text = "one two three four five six seven. eight nine ten eleven twelve thirteen"
    words = offsets_of_words(text)
    assert next(text[low:high] for low, high in split(text, words, 9, 2)) == "one two three four five six seven."
    assert next(text[low:high] for low, high in split(text, words, 12, 2)).endswith("twelve")


def offsets_of_words(text: str) -> np.ndarray:
    return np.array([found.span() for found in re.finditer(r"\S+", text)], np.int64)


def test_a_word_longer_than_the_window_is_cut_between_its_tokens_and_no_other():
    text = "short " + "abcd" * 30 + " words again here"
    offsets = offsets_of(text)
    passages = [text[low:high] for low, high in split(text, offsets, 8, 0)]
    assert passages == ["short", *["abcd" * 8] * 3, "abcd" * 6 + " words", "again here"]


def test_a_text_that_fits_is_returned_unchanged():
    assert split("  two words \n", offsets_of("  two words \n"), 4, 1) == [(0, 13)]
    assert split("\x01\x02", np.empty((0, 2), np.int64), 4, 1) == [(0, 2)]


@given(TEXTS, SIZES, st.integers(0, 5), st.floats(1, 3))
@settings(max_examples=200, deadline=None)
def test_a_passage_that_alone_has_more_tokens_is_narrowed(text, sizes, extra, factor):
    """Alone, a passage has `factor` times the tokens and a few more; a window holds at least one token's worth of them."""
    window, overlap = sizes
    offsets = offsets_of(text)

    def count(passage: str) -> int:
        return int(factor * len(offsets_of(passage))) + extra

    passages = split(text, offsets, window, overlap, count)
    inside = [tokens_in(offsets, passage) for passage in passages]
    assert sorted({token for tokens in inside for token in tokens}) == list(range(len(offsets)))
    for (low, high), tokens in zip(passages, inside, strict=True):
        assert count(text[low:high]) <= window or len(tokens) <= 1
    assert all(a[1] < b[1] for a, b in pairwise(passages))


def test_the_work_is_in_proportion_to_the_text():
    """Characters that are counted again, per character of the text, do not grow with it."""

    def cost(words: int) -> float:
        text = "lorem ipsum dolor. " * words
        counted = []

        def count(passage: str) -> int:
            counted.append(len(passage))
            return len(offsets_of(passage)) + 1  # one more than its part: every window is narrowed

        split(text, offsets_of(text), 100, 20, count)
        return (sum(counted) - len(text)) / len(text)

    assert cost(8000) == pytest.approx(cost(1000), rel=0.1)
    assert cost(8000) < 5


def test_tokens_of_one_character_stay_together_and_invisible_passages_are_left_out():
    text = "😀😀 \u200b\u200b\u200b\u200b 😀"
    bytes_of = [(i, i + 1) for i, c in enumerate(text) if not c.isspace() for _ in range(3)]  # byte-level tokens
    passages = split(text, np.array(bytes_of, np.int64), 4, 0)
    assert [text[low:high] for low, high in passages] == ["😀", "😀", "😀"]
