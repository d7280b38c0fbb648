"""Batches of texts of similar length: a pure function of the token lengths."""

import bisect

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


def plan_packed(lengths: np.ndarray, tokens_per_batch: int) -> list[np.ndarray]:
    """Pack texts into batches for a forward pass without padding: first-fit decreasing, so that nearly every batch is full.

    `lengths`: int (n,), each at least 1. Returns index arrays that partition 0 … n-1; in each the longest texts come first and
    equal lengths side by side in input order. Every batch has at most `tokens_per_batch` tokens, except that a longer text is a
    batch of its own, and no batch has room for a text of a later one.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(lengths, kind="stable")
    found, starts = np.unique(lengths[order], return_index=True)
    ascending = found.tolist()
    waiting = dict(zip(ascending, np.split(order, starts[1:]), strict=False))  # no texts split into one empty part
    batches = []
    while ascending:
        batch: list[np.ndarray] = []
        room = tokens_per_batch
        while fitting := bisect.bisect_right(ascending, room) or (0 if batch else len(ascending)):
            length = ascending[fitting - 1]
            count = max(1, room // length)
            batch.append(waiting[length][:count])
            waiting[length] = waiting[length][count:]
            room -= length * len(batch[-1])
            if not len(waiting[length]):
                del ascending[fitting - 1]
        batches.append(np.concatenate(batch))
    return batches


def packed_tokens(lengths: np.ndarray, batches: list[np.ndarray], rows: int) -> int:
    """Tokens that the packed forward passes compute when each is filled up to a multiple of `rows`."""
    return sum(-(-int(lengths[batch].sum()) // rows) * rows for batch in batches)


def padded_tokens(lengths: np.ndarray, batches: list[np.ndarray]) -> int:
    """Tokens that the forward passes see, padding included: the sum of rows × longest."""
    return int(sum(len(batch) * int(lengths[batch].max()) for batch in batches))
