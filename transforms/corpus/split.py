"""Windows of a long text: overlapping ranges of characters of a bounded number of tokens, cut where it is natural."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from transforms.corpus.sentences import sentence_starts

# First and last code point of scripts that put no space between words (Thai to Tibetan, Burmese, Khmer, kana and ideographs):
# every place between two of their tokens is as good as a space.
_UNSPACED = np.array(
    [0x0E00, 0x1000, 0x1000, 0x10A0, 0x1780, 0x1800, 0x2E80, 0x3000, 0x3040, 0xA4D0, 0xF900, 0xFB00, 0x20000, 0x40000]
)
_SPACES = np.array([code for code in range(0x3001) if chr(code).isspace()])


def split(
    text: str,
    offsets: np.ndarray,
    passage_tokens: int,
    overlap: int,
    count_tokens: Callable[[str], int] | None = None,
) -> list[tuple[int, int]]:
    """Passages of `text` as ranges of characters, in order; (0, len(text)) alone when the text fits.

    `offsets` int (n, 2) are the character ranges of the text's tokens; `overlap` < `passage_tokens`. A text of its own may
    have more tokens than its part of the whole had, since tokens depend on what is beside them: `count_tokens` says how many,
    and the window is narrowed until they are at most `passage_tokens` (None: the parts are what counts).

    - A passage has at most `passage_tokens` tokens, unless a single character has more.
    - Every visible character is in a passage: together they leave out white space and what is invisible, nothing else.
    - A passage ends where a sentence does if one ends in the last third of the window, else between words, else (in a word
      longer than the window) between tokens.
    - The next one begins where a sentence does in the first half of the last `overlap` tokens, else at the first word there,
      else at the first token: neighbours share at least half of `overlap` tokens, unless they had to be narrowed.
    - Each passage ends later than the one before, is stripped of white space and has a visible character.
    """
    tokens = len(offsets)
    if tokens <= passage_tokens and (count_tokens is None or count_tokens(text) <= passage_tokens):
        return [(0, len(text))]
    cuts = _cuts(text, np.asarray(offsets, np.int64))
    passages: list[tuple[int, int]] = []
    start = reached = 0
    while reached < tokens:
        width = passage_tokens
        while True:
            end = cuts.end(start, reached, width)
            if end is None and start < reached:  # no room for an overlap
                start, width = reached, passage_tokens
                continue
            if end is None:
                end = cuts.next(start)
                break
            low, high = cuts.range(text, start, end)
            excess = 0 if count_tokens is None else count_tokens(text[low:high]) - passage_tokens
            if excess <= 0:
                break
            width = max(end - start - excess, (end - start) // 2)
        low, high = cuts.range(text, start, end)
        if _is_visible(text[low:high]) and (not passages or high > passages[-1][1]):
            passages.append((low, high))
        reached, start = end, cuts.start(start, end, overlap)
    return passages


@dataclass(frozen=True)
class _Cuts:
    """Where a text may be cut: k stands for the place before token k. Ascending; `tokens` has both ends of the text too."""

    starts: np.ndarray
    tokens: np.ndarray
    words: np.ndarray
    sentences: np.ndarray

    def end(self, start: int, reached: int, width: int) -> int | None:
        """The best end after `reached` of a window of at most `width` tokens; None when there is none."""
        high = start + width
        if high >= len(self.starts):
            return len(self.starts)
        near = high - width // 3
        return (
            _last(self.sentences, max(near, reached + 1), high)
            or _last(self.words, reached + 1, high)
            or _last(self.tokens, reached + 1, high)
        )

    def next(self, start: int) -> int:
        """The first end after `start`."""
        return int(self.tokens[np.searchsorted(self.tokens, start, "right")])

    def start(self, start: int, end: int, overlap: int) -> int:
        """The best start, after `start`, of the window that follows one that ended at `end`."""
        low, high = max(end - overlap, start + 1), end - overlap // 2
        return _first(self.sentences, low, high) or _first(self.words, low, high) or _first(self.tokens, low, end) or end

    def range(self, text: str, start: int, end: int) -> tuple[int, int]:
        """Characters of the tokens `start … end`, with those that no token covers, without outer white space."""
        low = int(self.starts[start]) if start else 0
        high = int(self.starts[end]) if end < len(self.starts) else len(text)
        piece = text[low:high]
        left = len(piece) - len(piece.lstrip())
        return low + left, low + max(left, len(piece.rstrip()))


def _last(cuts: np.ndarray, low: int, high: int) -> int | None:
    """The last cut in low … high, both included."""
    at = int(np.searchsorted(cuts, high, "right")) - 1
    return int(cuts[at]) if at >= 0 and cuts[at] >= low else None


def _first(cuts: np.ndarray, low: int, high: int) -> int | None:
    """The first cut in low … high, both included."""
    at = int(np.searchsorted(cuts, low))
    return int(cuts[at]) if at < len(cuts) and cuts[at] <= high else None


def _cuts(text: str, offsets: np.ndarray) -> _Cuts:
    starts, ends = offsets[:, 0], np.maximum.accumulate(offsets[:, 1])
    # Tokens of one character (the bytes of an emoji) cannot be told apart by characters.
    apart = (ends[:-1] <= starts[1:]) & (starts[:-1] < starts[1:]) & (starts[1:] < len(text))
    divisible = np.concatenate([[True], apart, [True]])
    tokens = np.flatnonzero(divisible)
    inner = tokens[1:-1]
    codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
    around = [codes[starts[inner] - 1], codes[starts[inner]], codes[ends[inner - 1]]]
    spaced = np.any([np.isin(code, _SPACES) for code in around], axis=0)
    unspaced = np.any([np.searchsorted(_UNSPACED, code, "right") % 2 == 1 for code in around[:2]], axis=0)
    return _Cuts(starts, tokens, inner[spaced | unspaced], _at_sentences(text, starts, ends, inner))


def _at_sentences(text: str, starts: np.ndarray, ends: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Those of the cuts at which a sentence begins: the token may have begun with the white space before it."""
    places = sentence_starts(text)
    first = np.searchsorted(ends, places, "right")  # the token that has the sentence's first character, or follows it
    inside = first < len(starts)
    places, first = places[inside], first[inside]
    between = np.array(
        [not text[low:at].strip() for low, at in zip(starts[first].tolist(), places.tolist(), strict=True)], bool
    )
    return np.intersect1d(first[between], cuts)


def _is_visible(text: str) -> bool:
    """Whether a character is neither white space nor control nor format character (as `validate.py` has it for documents)."""
    return any(not c.isspace() and unicodedata.category(c) not in ("Cc", "Cf", "Zs", "Zl", "Zp") for c in text)
