"""What the relation of texts is decided on, for many texts at once: words, word 3-grams, quantities, negations.

Words and 3-grams are 64-bit hashes: that two different ones of a pair of texts are equal has a probability of
about 1e-15 for texts of 100 words, and hashes are computed, sorted and compared as arrays.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from transforms.duplicates.compiled import hash_words, keep_once, take_sets
from transforms.duplicates.quantities import NUMBER_WORDS, NUMBERS, hashed, quantities

NEGATION_WORDS = (
    "not", "no", "non", "never", "none", "nor", "neither", "nothing", "nobody", "nowhere", "without", "cannot",
)  # fmt: skip

# Characters that are read at a time: the arrays of a batch then fit into cache, and a long document costs no more memory.
_CHARACTERS = 1 << 17

_UNKNOWN, _OTHER, _WORD, _DIGIT = range(4)
# What each code point is (a digit is also part of words). Filled as they come up: classifying all 1.1 million takes longer than
# most corpora.
_KINDS = np.zeros(0x110000, np.uint8)

# Odd, without pattern: the golden ratio and two constants of splitmix64 (Steele, Lea and Flood 2014).
_BASE, _MIX_1, _MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class HashSets:
    """A set of 64-bit hashes for each of n texts: set i is `values[offsets[i]:offsets[i + 1]]`, ascending.

    `offsets` int64 (n + 1,), `values` uint64.
    """

    offsets: np.ndarray
    values: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """Elements of each set: int64 (n,)."""
        return np.diff(self.offsets)

    def take(self, rows: np.ndarray) -> "HashSets":
        """The sets of some texts."""
        sizes = self.sizes[rows]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        values = np.empty(offsets[-1], np.uint64)
        take_sets(self.values, self.offsets, rows, offsets, values)
        return HashSets(offsets, values)


@dataclass(frozen=True)
class Wordings:
    """Of n texts: `words` and `grams` (of three words; none below three words), `quantities` uint64 (n, 3), whose columns
    stand for all numbers, dates and versions, `negations` int32 (n,), how many negation words there are, and `characters`
    int32 (n,).
    """

    words: HashSets
    grams: HashSets
    quantities: np.ndarray
    negations: np.ndarray
    characters: np.ndarray

    def __len__(self) -> int:
        return len(self.negations)

    def take(self, rows: np.ndarray) -> "Wordings":
        """The wordings of some texts."""
        return Wordings(
            self.words.take(rows),
            self.grams.take(rows),
            self.quantities[rows],
            self.negations[rows],
            self.characters[rows],
        )


def wordings_of(texts: Sequence[str]) -> Wordings:
    """The wordings of texts. Words are runs of letters, digits and underscores (`\\w`), case folded."""
    return concatenated_wordings([_batch(batch) for batch in _batches(texts)])


def concatenated_wordings(parts: Sequence[Wordings]) -> Wordings:
    """The wordings of several runs of texts, one after the other."""
    if not parts:
        return _batch([])
    return Wordings(
        _concatenated([part.words for part in parts]),
        _concatenated([part.grams for part in parts]),
        np.concatenate([part.quantities for part in parts]),
        np.concatenate([part.negations for part in parts]),
        np.concatenate([part.characters for part in parts]),
    )


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch, characters = [], 0
    for text in texts:
        batch.append(text)
        characters += len(text)
        if characters >= _CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _batch(texts: list[str]) -> Wordings:
    folded = [text.casefold() for text in texts]
    ends = np.cumsum([len(text) + 1 for text in folded], dtype=np.int64)  # of the line break after each
    joined = "\n".join(folded)
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    kinds = _kinds_of(codes)
    starts, lengths = _runs(kinds >= _WORD)
    words = _hashes(codes, starts, lengths)
    text_of = np.searchsorted(ends, starts, side="right")
    triples = np.flatnonzero(text_of[2:] == text_of[:-2])
    grams = _mixed(words[triples] * _MIX_1 + _mixed(words[triples + 1] * _MIX_2 + words[triples + 2]))
    return Wordings(
        _sets(words, text_of, len(texts)),
        _sets(grams, text_of[triples], len(texts)),
        _quantities(joined, _runs(kinds == _DIGIT)[0], ends, words, text_of),
        np.bincount(text_of[_negations(codes, starts, lengths, words)], minlength=len(texts)).astype(np.int32),
        np.array([len(text) for text in texts], np.int32),
    )


def _kinds_of(codes: np.ndarray) -> np.ndarray:
    """_OTHER, _WORD or _DIGIT for each code point, uint8."""
    kinds = _KINDS[codes]
    if not kinds.all():
        for code in np.unique(codes[kinds == _UNKNOWN]).tolist():
            character = chr(code)
            word = _WORD if character.isalnum() or character == "_" else _OTHER
            _KINDS[code] = _DIGIT if character.isdecimal() else word
        kinds = _KINDS[codes]
    return kinds


def _runs(marked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths of the runs of true values, int64."""
    edges = np.flatnonzero(np.diff(marked, prepend=False, append=False))
    return edges[::2], edges[1::2] - edges[::2]


def _hashes(codes: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """A hash for each word, uint64: a polynomial in its characters, mixed."""
    sums = np.empty(len(starts), np.uint64)
    hash_words(codes, starts, lengths, _BASE, sums)
    return _mixed(sums)


def _mixed(values: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64: each bit of the input changes each bit of the output in half of all cases."""
    values = (values ^ (values >> np.uint64(30))) * _MIX_1
    values = (values ^ (values >> np.uint64(27))) * _MIX_2
    return values ^ (values >> np.uint64(31))


def _sets(values: np.ndarray, text_of: np.ndarray, texts: int) -> HashSets:
    """Hashes, in order of their texts, as sets."""
    borders, sizes = np.searchsorted(text_of, np.arange(texts + 1)), np.empty(texts, np.int64)
    values = values.copy()
    for low, high in itertools.pairwise(borders.tolist()):
        values[low:high].sort()
    keep_once(values, borders, sizes)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return HashSets(offsets, values[: offsets[-1]].copy())


def _negations(codes: np.ndarray, starts: np.ndarray, lengths: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Places of words that negate: those of the list, and the t of n't."""
    found = np.isin(words, _NEGATION_HASHES)
    t = np.flatnonzero((lengths == 1) & (codes[starts] == ord("t")) & (starts >= 2))
    apostrophe = np.isin(codes[starts[t] - 1], [ord("'"), ord("’")])
    found[t] |= apostrophe & (codes[starts[t] - 2] == ord("n"))
    return np.flatnonzero(found)


def _quantities(joined: str, digits: np.ndarray, ends: np.ndarray, words: np.ndarray, text_of: np.ndarray) -> np.ndarray:
    sums = np.zeros((len(ends), 3), np.uint64)
    found = [(place, kind, hashed(kind, value)) for place, kind, value in quantities(joined, digits.tolist())]
    if found:
        places, kinds, hashes = zip(*found, strict=True)
        rows = np.searchsorted(ends, np.array(places), side="right")
        np.add.at(sums, (rows, np.array(kinds)), np.array(hashes, np.uint64))
    spelled = np.flatnonzero(np.isin(words, _NUMBER_WORD_HASHES))
    for word, value in zip(_NUMBER_WORD_HASHES, NUMBER_WORDS.values(), strict=True):
        np.add.at(sums, (text_of[spelled[words[spelled] == word]], NUMBERS), np.uint64(hashed(NUMBERS, value)))
    return sums


def _word_hashes(words: Sequence[str]) -> np.ndarray:
    codes = np.frombuffer("\n".join(words).encode("utf-32-le"), np.uint32)
    return _hashes(codes, *_runs(_kinds_of(codes) >= _WORD))


_NEGATION_HASHES = _word_hashes(NEGATION_WORDS)
_NUMBER_WORD_HASHES = _word_hashes(list(NUMBER_WORDS))


def _concatenated(parts: list[HashSets]) -> HashSets:
    sizes = np.concatenate([part.sizes for part in parts])
    return HashSets(np.concatenate([[0], np.cumsum(sizes)]), np.concatenate([part.values for part in parts]))
