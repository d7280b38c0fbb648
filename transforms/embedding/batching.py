"""Batches of texts of similar length: a pure function of the token lengths."""

import numpy as np

# Beyond this a forward pass on short texts gains nothing: measured 32 rows > 128 > 256 on a 2-core CPU, where large
# activations leave the cache. Token budget, not rows, is what bounds memory.
MAX_ROWS = 64


def plan_batches(lengths: np.ndarray, tokens_per_batch: int, max_rows: int = MAX_ROWS) -> list[np.ndarray]:
    """Cut texts into batches of similar length.

    `lengths`: int (n,), tokens of each text, every one at least 1. Returns index arrays that partition 0 … n-1, longest
    texts first (an out-of-memory shows at once), ties in input order. For every batch, rows × longest ≤ tokens_per_batch
    and rows ≤ max_rows, except that a text longer than the budget is a batch of its own.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    batches, start = [], 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        rows = min(max_rows, max(1, tokens_per_batch // longest))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def plan_packed(lengths: np.ndarray, tokens_per_batch: int, rows: int = 1) -> list[np.ndarray]:
    """Cut texts into batches for a forward pass without padding, equal lengths side by side.

    `lengths`: int (n,), each at least 1. Returns index arrays that partition 0 … n-1, longest texts first, ties in input order.
    Every batch has at most `tokens_per_batch` tokens, except that a longer text is a batch of its own. The forward pass fills
    its tokens up to a multiple of `rows`: a batch ends in the second half of its budget where that wastes the smallest share.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    total = np.concatenate([[0], np.cumsum(np.asarray(lengths, dtype=np.int64)[order])])
    batches: list[np.ndarray] = []
    start = 0
    while start < len(order):
        longest = max(start + 1, int(np.searchsorted(total, total[start] + tokens_per_batch, side="right")) - 1)
        ends = np.arange(start + 1, longest + 1)
        tokens = total[ends] - total[start]
        ends, tokens = ends[2 * tokens >= tokens[-1]], tokens[2 * tokens >= tokens[-1]]
        waste = filling(tokens, rows) / tokens
        # The rest of the texts is not cut again: that would only make two ends to fill up.
        end = longest if longest == len(order) else int(ends[np.flatnonzero(waste == waste.min())[-1]])
        batches.append(order[start:end])
        start = end
    return batches


def filling(tokens: np.ndarray, rows: int) -> np.ndarray:
    """How many rows fill `tokens` (n,) up to a multiple of `rows`."""
    return -tokens % rows


def packed_tokens(lengths: np.ndarray, batches: list[np.ndarray], rows: int) -> int:
    """Tokens that the packed forward passes compute, filling included."""
    tokens = np.array([int(lengths[batch].sum()) for batch in batches])
    return int((tokens + filling(tokens, rows)).sum())


def padded_tokens(lengths: np.ndarray, batches: list[np.ndarray]) -> int:
    """Tokens that the forward passes see, padding included: the sum of rows × longest."""
    return int(sum(len(batch) * int(lengths[batch].max()) for batch in batches))
