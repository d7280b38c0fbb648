"""Splitting of documents by the tokens of the embedding model."""

import functools
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from transforms.corpus.split import split

# A tokenizer holds some hundred bytes per token while it works: a long text goes through it in pieces of so many characters.
_PIECE_CHARACTERS = 1 << 16
_SPACES = " \t\n\r"


@dataclass(frozen=True)
class PassageSplitter:
    """Splits texts into passages of at most `passage_tokens` tokens that overlap by about `overlap`; see `split`.

    `tokenizer` is the path of a `tokenizer.json`, which each process loads once.
    """

    tokenizer: str
    passage_tokens: int
    overlap: int

    def split(self, text: str) -> list[str]:
        """The passages of a text, in order; the text itself, unchanged, when it fits."""
        return [text[low:high] for low, high in self.ranges(text)]

    def ranges(self, text: str) -> list[tuple[int, int]]:
        """The same as ranges of characters."""
        tokenizer = load_tokenizer(self.tokenizer)
        offsets = _offsets(tokenizer, text)
        if len(text) <= _PIECE_CHARACTERS and len(offsets) <= self.passage_tokens:
            return [(0, len(text))]

        def count_tokens(passage: str) -> int:
            return len(tokenizer.encode(passage, add_special_tokens=False))

        return split(text, offsets, self.passage_tokens, self.overlap, count_tokens)


@functools.cache
def load_tokenizer(path: str) -> Tokenizer:
    """A tokenizer that neither truncates nor pads, whatever its file says."""
    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _offsets(tokenizer: Tokenizer, text: str) -> np.ndarray:
    """Character ranges of the text's tokens, without special ones: int64 (n, 2).

    A text is cut between words where it has any. What the cuts change is no matter: passages are counted by themselves.
    """
    found, low = [np.empty((0, 2), np.int64)], 0
    while low < len(text):
        high = low + _PIECE_CHARACTERS
        if high < len(text):
            space = max(text.rfind(space, low + 1, high) for space in _SPACES)
            high = space if space > 0 else high
        encoding = tokenizer.encode(text[low:high], add_special_tokens=False)
        found.append(np.array(encoding.offsets, np.int64).reshape(-1, 2) + low)
        low = high
    return np.concatenate(found)
