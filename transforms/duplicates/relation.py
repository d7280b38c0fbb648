"""What kind of pair two texts are: copies with edits or other words, and in what they differ that an encoder hardly
sees.
"""

import re
from collections import Counter
from dataclasses import dataclass

NEAR, PARAPHRASE, EXACT = "near", "paraphrase", "exact"

_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+")
_NEGATION = re.compile(r"\b(?:not|no|never|none|nor|neither|nothing|nobody|nowhere|without|cannot)\b|n['’]t\b")


@dataclass(frozen=True)
class Wording:
    """What of a text its relation to others is decided on."""

    grams: frozenset[str]
    words: frozenset[str]
    numbers: tuple[tuple[str, int], ...]
    negations: int


def wording_of(text: str) -> Wording:
    """Word 3-grams (case folded; empty below 3 words), words, digit sequences with their counts, and negation words."""
    folded = text.casefold()
    words = _WORD.findall(folded)
    grams = frozenset(map(" ".join, zip(words, words[1:], words[2:], strict=False)))
    numbers = Counter(_NUMBER.findall(folded))
    return Wording(grams, frozenset(words), tuple(sorted(numbers.items())), len(_NEGATION.findall(folded)))


def jaccard(a: Wording, b: Wording) -> float:
    """Jaccard similarity of the word 3-grams, or of the words where a text has fewer than 3; 1 without any word."""
    left, right = (a.grams, b.grams) if a.grams and b.grams else (a.words, b.words)
    common = len(left & right)
    union = len(left) + len(right) - common
    return common / union if union else 1.0


def related(a: Wording, b: Wording, near_jaccard: float) -> tuple[str, list[str], float]:
    """Relation, differences and Jaccard similarity of two different texts."""
    likeness = jaccard(a, b)
    return NEAR if likeness >= near_jaccard else PARAPHRASE, differences(a, b), likeness


def differences(a: Wording, b: Wording) -> list[str]:
    """Reason codes for texts that an encoder may take for the same.

    `numbers`: other digit sequences; `negation`: another number of (English) negation words.
    """
    found = []
    if a.numbers != b.numbers:
        found.append("numbers")
    if a.negations != b.negations:
        found.append("negation")
    return found
