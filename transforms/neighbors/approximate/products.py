"""Products of many vectors for choosing candidates: fast, in low precision where that is faster, and the same every time.

What is chosen here is compared again in exact arithmetic (see `cosine.py`); a rounding error can only cost a place at the
end of a list. It must not cost reproducibility though: float32 products depend in their last bits on the shape of the matrices
and on the number of threads. Hence every product has a shape that the corpus decides, not the division of the work, and is
computed by one thread; threads share batches.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import faiss
import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

Task = TypeVar("Task")
Done = TypeVar("Done")

# Rows of a product: their scores with 2,000 columns take 2 MB, what a core's cache holds.
BATCH = 256
# A key is a score in fixed point above a column: sorting and partitioning whole numbers is what processors do fastest, and no
# two keys of a row are equal, so that the best are the same whoever partitions.
COLUMN_BITS = 12
COLUMNS = 1 << COLUMN_BITS
# Adding this to a score leaves it in the low bits of a float32 number, as a multiple of 2^-18: there is room for -2 … 2, more
# than rounding makes of a cosine.
_SHIFT = np.float32(48)
SCORE_BITS = 18
# Candidates whose scores span less than this (1/128) are so near to each other that bf16 says little of their order: 8 bits of
# a component make an error of 0.0002 in a score, and 0.001 at worst.
_ALIKE = 1 << (SCORE_BITS - 7)
# Groups of keys, at least, and keys in each of these from which on they pay.
_GROUPS, _MANY = 64, 8
# The key of nobody: below that of every score.
NOBODY = np.iinfo(np.int32).min


class Against:
    """Vectors that others are compared with: float32 (columns, dim), each row of length at most 1.

    Where the processor has instructions for bf16 they are rounded once, not for each product. torch rounds such a product, too,
    so it is taken of what is left of the columns without their mean, which is small where they are alike: the rest is the same
    for all columns and is added in float32.
    """

    def __init__(self, vectors: np.ndarray) -> None:
        """Round them."""
        import torch

        self.vectors = vectors
        self._low: Any = None
        # What torch itself asks before it multiplies in bf16.
        if torch.ops.mkldnn._is_mkldnn_bf16_supported():
            self._mean = vectors.mean(axis=0, dtype=np.float32)
            self._low = torch.from_numpy(vectors - self._mean).bfloat16().T

    def scores(self, queries: np.ndarray) -> np.ndarray:
        """Products float32 (rows, columns) with queries float32 (rows, dim)."""
        import torch

        if self._low is None:
            return queries @ self.vectors.T
        scores: np.ndarray = torch.mm(torch.from_numpy(queries).bfloat16(), self._low).float().numpy()
        scores += (queries @ self._mean)[:, None]
        return scores


def best_keys(queries: np.ndarray, against: Against, kept: int, *, itself: int | None = None) -> np.ndarray:
    """Keys of the `kept` columns with the highest scores for each query, in no order: int32 (rows, kept).

    `queries` float32 (rows, dim) of length 1; at most 4,096 columns. With `itself`, the queries are the columns from there on,
    and none of them is its own candidate. `kept` is below the number of columns, or equal to it without `itself`.
    """
    keys = keys_of(against.scores(queries), kept, itself)
    scores = scores_of(keys)
    alike = np.flatnonzero(scores.max(axis=1) - scores.min(axis=1) < _ALIKE)
    if len(alike):
        keys[alike] = keys_of(queries[alike] @ against.vectors.T, kept, None if itself is None else itself + alike)
    return keys


def keys_of(scores: np.ndarray, kept: int, itself: int | np.ndarray | None = None) -> np.ndarray:
    """The same for scores that are there, float32 (rows, columns); they are overwritten.

    `itself` may also be the column of each row, int (rows,).
    """
    rows, columns = scores.shape
    if columns > COLUMNS:
        raise ValueError(f"{columns} columns do not fit into a key, at most {COLUMNS} do: compare fewer at a time")
    scores += _SHIFT
    keys = scores.view(np.int32)
    keys <<= COLUMN_BITS
    keys |= np.arange(columns, dtype=np.int32)
    if itself is not None:
        own = itself if isinstance(itself, np.ndarray) else itself + np.arange(rows)
        keys[np.arange(rows), own] = NOBODY
    return largest(keys, kept)


def largest(keys: np.ndarray, kept: int) -> np.ndarray:
    """The `kept` largest keys of each row of int32 (rows, columns ≥ kept), in no order; `keys` may be put in another one."""
    rows, columns = keys.shape
    groups = max(2 * kept, _GROUPS)
    if columns >= _MANY * groups:
        # The best of so many groups: the last of the `kept` best of these is at most the last of those wanted. What is below it
        # need not be sorted out by partitioning, which is what takes longest.
        best = keys[:, : columns // groups * groups].reshape(rows, -1, groups).max(axis=1)
        best.partition(groups - kept, axis=1)
        reaches = keys >= best[:, groups - kept, None]
        counts = np.count_nonzero(reaches, axis=1)
        columns = int(counts.max(initial=kept))
        left = np.full((rows, columns), NOBODY, np.int32)
        left[np.arange(columns) < counts[:, None]] = keys[reaches]
        keys = left
    if kept < columns:
        keys.partition(columns - kept, axis=1)
    return keys[:, columns - kept :].copy()


def columns_of(keys: np.ndarray) -> np.ndarray:
    """The columns of keys, int32."""
    return keys & np.int32(COLUMNS - 1)


def scores_of(keys: np.ndarray) -> np.ndarray:
    """The scores of keys as whole numbers of 2^-18, int32."""
    return keys >> COLUMN_BITS


@contextlib.contextmanager
def alone(threads: int | None) -> Iterator[Callable[[Callable[[Task], Done], Iterable[Task]], Iterator[Done]]]:
    """A `map` over `threads` threads (None: as many as BLAS would use), in each of which every library uses one."""
    import torch

    workers = threads or max((int(pool["num_threads"]) for pool in threadpool_info()), default=1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1), ThreadPoolExecutor(workers, initializer=_one_thread) as pool:
            yield lambda function, tasks: _in_turn(pool, workers, function, tasks)
    finally:
        torch.set_num_threads(before)


def _one_thread() -> None:
    """OpenMP counts threads for each thread that starts some."""
    import torch

    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)


def _in_turn(pool: ThreadPoolExecutor, workers: int, function: Callable[[Any], Done], tasks: Iterable[Any]) -> Iterator[Done]:
    """The results in the order of the tasks, of which no more than two for each thread are under way or done and waiting."""
    waiting: list[Any] = []
    for task in tasks:
        waiting.append(pool.submit(function, task))
        if len(waiting) >= 2 * workers:
            yield waiting.pop(0).result()
    while waiting:
        yield waiting.pop(0).result()
