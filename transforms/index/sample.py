"""Texts chosen by hash: the same ones whatever the order, the number of parts or the rest of the corpus."""

from collections.abc import Iterator, Sequence

import numpy as np

from transforms.vectors import VectorBlock


def mixed(ids: np.ndarray) -> np.ndarray:
    """The splitmix64 finaliser of ids (Steele, Lea and Flood 2014): uint64 (n,).

    Ids are hashes already, but sorted: the smallest of them are the first rows. Mixed again they are a new,
    independent order.
    """
    z = ids.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def sampled_rows(ids: np.ndarray, count: int, *, last: bool = False) -> np.ndarray:
    """Positions, ascending, of the `count` ids that mix to the smallest values, or with `last` to the largest.

    Training takes the smallest and recall the largest, so that they share texts only when the corpus is too small not
    to.
    """
    order = np.argsort(mixed(ids), kind="stable")
    chosen = order[max(len(ids) - count, 0) :] if last else order[:count]
    return np.sort(chosen)


def sampled(blocks: Sequence[VectorBlock], count: int, *, last: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """`sampled_rows` of the texts of all blocks, and their ids. Memory: some times `count` ids, and those of one block."""
    ids, rows, low = np.empty(0, np.int64), np.empty(0, np.int64), 0
    for block in sorted(blocks):
        ids, rows = np.concatenate([ids, block.ids()]), np.concatenate([rows, np.arange(low, low + block.rows)])
        low += block.rows
        if len(ids) > 2 * count:
            # Whoever is not among the chosen of some texts is not among those of all.
            chosen = sampled_rows(ids, count, last=last)
            ids, rows = ids[chosen], rows[chosen]
    chosen = sampled_rows(ids, count, last=last)
    return rows[chosen], ids[chosen]


def rows_of(blocks: Sequence[VectorBlock], rows: np.ndarray) -> np.ndarray:
    """The vectors at ascending positions, float32 (rows, dim), reading each block once and only the rows needed."""
    ordered = sorted(blocks)
    if not len(rows):
        return np.empty((0, ordered[0].dim), np.float32)
    starts = np.array([block.start for block in ordered])
    block_of = np.searchsorted(starts, rows, side="right") - 1
    vectors = [ordered[b].vectors()[rows[block_of == b] - ordered[b].start] for b in np.unique(block_of)]
    return np.concatenate(vectors)


def all_ids(blocks: Sequence[VectorBlock]) -> np.ndarray:
    """The ids of all texts in position order, int64 (n,)."""
    return np.concatenate([block.ids() for block in sorted(blocks)])


def rows_of_ids(blocks: Sequence[VectorBlock], ids: np.ndarray) -> Iterator[tuple[np.ndarray, VectorBlock, np.ndarray]]:
    """Where texts are: for each block that has some of them, their places in `ids` int64 (n,), the block, and its rows.

    Ids of no text are in no block. One block's ids are in memory at a time.
    """
    ordered = [block for block in sorted(blocks) if block.rows]
    if not ordered or not len(ids):
        return
    order = np.argsort(ids, kind="stable")
    last = np.array([block.ids()[-1] for block in ordered])
    ends = np.searchsorted(ids[order], last, side="right")
    for block, low, high in zip(ordered, [0, *ends[:-1]], ends, strict=True):
        if low == high:
            continue
        places, own = order[low:high], block.ids()
        rows = np.searchsorted(own, ids[places])
        there = own[rows] == ids[places]
        if there.any():
            yield places[there], block, rows[there]
