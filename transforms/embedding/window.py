"""Texts with their tokens: cut by characters first, so that a huge text does not cost what the model will never see."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from transforms.embedding.isolate import isolate

# Characters per token that a text is first cut to before tokenising: a 1 MB text must not cost a second of tokenising for
# 256 tokens that are used. English has about 4; where 16 were too few, the text is cut again at twice the length.
CHARACTERS_PER_TOKEN = 16
_SPACES = " \t\n\r"

Tokenize = Callable[[list[str]], list[list[int]]]


class Window:
    """Some texts with their tokens, cut by characters so that the model still sees every token that it would see.

    `texts` are the cut texts without the prompt. `full_lengths` int64 (n,) are their tokens with the prompt, not truncated; for
    a text that was cut only a lower bound above the limit, and 0 for texts in `failed`. `lengths` are those of the truncated.
    """

    def __init__(self, texts: Sequence[str], prompt: str, max_tokens: int, tokenize: Tokenize) -> None:
        self.texts = list(texts)
        self._max_tokens = max_tokens
        self._token_ids: list[list[int]] = [[]] * len(texts)

        def fit(rows: Sequence[int]) -> None:
            limit = CHARACTERS_PER_TOKEN * max_tokens
            fitted = [_cut_between_words(texts[i], limit) for i in rows]
            found = tokenize([prompt + text for text in fitted])
            for at, i in enumerate(rows):
                cut = limit
                while len(fitted[at]) < len(texts[i]) and len(found[at]) <= max_tokens:
                    cut *= 2
                    fitted[at] = _cut_between_words(texts[i], cut)
                    (found[at],) = tokenize([prompt + fitted[at]])
                self.texts[i], self._token_ids[i] = fitted[at], found[at]

        self.failed = isolate(range(len(texts)), fit)
        self.full_lengths = np.array([len(ids) for ids in self._token_ids], dtype=np.int64)
        self.lengths = np.minimum(self.full_lengths, max_tokens)

    def truncated_ids(self, i: int) -> list[int]:
        """Token ids of a text as the model takes them: the last one, which ends every text, stays."""
        ids = self._token_ids[i]
        return ids if len(ids) <= self._max_tokens else [*ids[: self._max_tokens - 1], ids[-1]]


def tokenizer_of(tokenizer: Any) -> Tokenize:
    """Texts to token ids with special tokens, neither truncated nor padded, in as many threads as the process has."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return lambda texts: tokenizer(texts, truncation=False, padding=False, verbose=False)["input_ids"]
    # A copy of its own: the library sets truncation and padding on the original whenever it encodes.
    own = type(backend).from_str(backend.to_str())
    own.no_truncation()
    own.no_padding()
    return lambda texts: [encoding.ids for encoding in own.encode_batch_fast(texts)]


def _cut_between_words(text: str, limit: int) -> str:
    """The longest beginning of at most `limit` characters that ends between words; more where the first word is longer.

    Within a word a cut would make tokens that the whole text does not have; words end at what every tokenizer takes for space.
    """
    if len(text) <= limit:
        return text
    last = max(text.rfind(space, 0, limit + 1) for space in _SPACES)
    if last > 0:
        return text[:last]
    following = [at for space in _SPACES if (at := text.find(space, limit)) >= 0]
    return text[: min(following)] if following else text
