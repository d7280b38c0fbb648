import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.duplicates import differences, jaccard, wording_of


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("one two three four", "one two three four", 1.0),
        ("One, TWO three; four!", "one two three four", 1.0),
        ("one two three four", "one two three five", 1 / 3),
        ("one two three", "four five six", 0.0),
        ("reset password", "reset the password", 2 / 3),
        ("word", "word", 1.0),
        ("...", "!!!", 1.0),
        ("...", "word", 0.0),
    ],
)
def test_jaccard_of_three_grams_or_of_words_for_short_texts(a, b, expected):
    assert jaccard(wording_of(a), wording_of(b)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("version 1.2", "version 1.3", ["numbers"]),
        ("7 of 7", "7 of seven", ["numbers"]),
        ("1 and 2", "2 and 1", []),
        ("it works", "it does not work", ["negation"]),
        ("it doesn't work", "it does not work", []),
        ("it doesn’t work in 3", "it works in 4", ["numbers", "negation"]),
        ("a knot", "a rope", []),
        ("No way", "way", ["negation"]),
    ],
)
def test_reason_codes(a, b, expected):
    assert differences(wording_of(a), wording_of(b)) == expected


@given(st.text(), st.text())
def test_relations_are_symmetric_and_reflexive(a, b):
    first, second = wording_of(a), wording_of(b)
    assert jaccard(first, second) == jaccard(second, first)
    assert 0 <= jaccard(first, second) <= 1
    assert differences(first, second) == differences(second, first)
    assert jaccard(first, first) == 1
    assert differences(first, first) == []
