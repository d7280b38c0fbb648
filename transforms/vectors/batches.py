"""Which texts are embedded and stored together: what a run that dies has to embed again."""

import numpy as np

# Tokens of English have about so many characters. A text counts for no more than what the model reads of it: batches of huge
# texts would else be too few tokens to fill matrix products.
CHARACTERS_PER_TOKEN = 4


def text_costs(characters: np.ndarray, max_tokens: int) -> np.ndarray:
    """What texts of so many characters (n,) cost a model that reads at most `max_tokens` of each: int64 (n,), in characters."""
    return np.minimum(np.asarray(characters, dtype=np.int64), CHARACTERS_PER_TOKEN * max_tokens)


def cut_batches(costs: np.ndarray, characters_per_batch: int) -> list[slice]:
    """Cut texts, in their order, into batches that cost at least `characters_per_batch`; the last one may be smaller.

    `costs`: int (n,), the `text_costs` of each text. The cut depends on nothing behind it: without the texts of the first
    batches, the rest is cut alike, so that a run that goes on where another stopped writes the same shards.
    """
    ends = np.cumsum(costs)
    batches, start, done = [], 0, 0
    while start < len(costs):
        end = min(len(costs), int(np.searchsorted(ends, done + characters_per_batch)) + 1)
        batches.append(slice(start, end))
        start, done = end, int(ends[end - 1])
    return batches
