import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.duplicates import DIFFERENCES, wordings_of
from transforms.duplicates.relation import described_pairs


def described(*pairs, near_jaccard=0.5):
    """Relation, differences and Jaccard similarity of pairs of texts."""
    texts = [text for pair in pairs for text in pair]
    places = np.arange(len(texts)).reshape(-1, 2).T
    relation, differences, similar = described_pairs(wordings_of(texts), *places, near_jaccard)
    return list(zip(relation.to_pylist(), differences.to_pylist(), similar.tolist(), strict=True))


def jaccard_of(a, b):
    """By Python sets."""
    words_a, words_b = (re.findall(r"\w+", text.casefold()) for text in (a, b))
    sets = [set(zip(words, words[1:], words[2:], strict=False)) for words in (words_a, words_b)]
    one, other = sets if all(sets) else (set(words_a), set(words_b))
    return len(one & other) / len(one | other) if one | other else 1.0


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
        ("", "", 1.0),
    ],
)
def test_jaccard_of_three_grams_or_of_words_for_short_texts(a, b, expected):
    ((_, _, similar),) = described((a, b))
    assert similar == np.float32(expected)


@given(st.lists(st.tuples(*[st.text(st.sampled_from("ab cdAB.\n"), max_size=30)] * 2), min_size=1, max_size=10))
def test_jaccard_is_that_of_python_sets(pairs):
    assert [similar for _, _, similar in described(*pairs)] == [np.float32(jaccard_of(a, b)) for a, b in pairs]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        # What an encoder hardly sees.
        ("the server is up again in 3 minutes", "the server is up again in 5 minutes", ["numbers"]),
        ("we have three offices", "we have four offices", ["numbers"]),
        ("the invoice of 31 May 2024", "the invoice of 30 May 2024", ["dates"]),
        ("due on 2024-05-01", "due on 2024-06-01", ["dates"]),
        ("upgrade to version 1.2", "upgrade to version 1.3", ["versions"]),
        ("works with v2", "works with v3", ["versions"]),
        ("OpenSSL 3.0.1 is supported", "OpenSSL 3.0.10 is supported", ["versions"]),
        ("it works", "it does not work", ["negation"]),
        ("you can cancel", "you can't cancel", ["negation"]),
        ("with a password", "without a password", ["negation"]),
        ("I paid 5 EUR on 3 May 2024 for v2", "I never paid 6 EUR on 4 May 2024 for v3", list(DIFFERENCES)),
        ("7 of 7", "7", ["numbers"]),
        ("version 2", "2", ["numbers", "versions"]),
        # No false alarms.
        ("1,000 users", "1000 users", []),
        ("wait 5 minutes", "wait five minutes", []),
        ("chapter 07", "chapter 7", []),
        ("1 and 2", "2 and 1", []),
        ("on 31 May 2024", "on 2024-05-31", []),
        ("May 31, 2024", "31.05.2024", []),
        ("v2.1 is out", "Version 2.1 is out", []),
        ("1.0.0-rc1", "1.0.0rc1", []),
        ("it doesn't work", "it does not work", []),
        ("it can’t start", "it cannot start", []),
        ("a knot in a rope", "a rope", []),
        ("one of us", "some of us", []),
        ("you may 3 times", "you might 3 times", []),
    ],
)
def test_reason_codes(a, b, expected):
    ((_, found, _), (_, turned, _)) = described((a, b), (b, a))
    assert found == turned == expected


def test_all_reasons_come_in_one_order_in_every_mixture():
    parts = {"numbers": ("1", "2"), "dates": ("1 May 2020", "2 May 2020"), "versions": ("v1", "v2"), "negation": ("not", "so")}
    pairs, expected = [], []
    for mask in range(16):
        chosen = [name for bit, name in enumerate(parts) if mask >> bit & 1]
        a, b = (", ".join(values[side if name in chosen else 0] for name, values in parts.items()) for side in (0, 1))
        pairs.append((a, b))
        expected.append(chosen)
    assert list(parts) == list(DIFFERENCES)
    assert [found for _, found, _ in described(*pairs)] == expected


@pytest.mark.parametrize(
    ("near_jaccard", "relation"), [(1 / 3, "near"), (0.34, "paraphrase"), (0.0, "near"), (1.0, "paraphrase")]
)
def test_copies_with_edits_are_near(near_jaccard, relation):
    ((found, _, _),) = described(("one two three four", "one two three five"), near_jaccard=float(np.float32(near_jaccard)))
    assert found == relation


@given(st.text(), st.text())
def test_relations_are_symmetric_and_reflexive(a, b):
    there, back, same = described((a, b), (b, a), (a, a))
    assert there == back
    assert same == ("near", [], 1.0)
