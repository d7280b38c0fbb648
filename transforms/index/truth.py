"""Exact answers to the recall queries: what the index should have found."""

import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from transforms.threads import one_torch_thread
from transforms.vectors import VectorBlock

# A screen multiplies in low precision and keeps what may still be among the nearest; only that is multiplied exactly.
# |fl(x·y) - x·y| ≤ bound·‖x‖·‖y‖ (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., 3.1, with Cauchy and Schwarz
# for Σ|x_i·y_i|). Single precision: γ_d < 2·d·2⁻²⁴ for sums in any order. bfloat16 (unit roundoff 2⁻⁸) rounds both factors and
# the result, and sums in single precision: 3·2⁻⁸ + 3·2⁻¹⁶ + γ_d; the rest of 0.0125 is for that γ_d up to d = 8,000.
_BOUND_SINGLE = 2.0**-23
_BOUND_BF16 = 0.0125
_BF16_UP_TO_DIM = 8000

# Multiply-adds from which on trying bfloat16 is cheaper than doing without: where torch must be loaded a few seconds' worth.
_WORTH_LOADING, _WORTH_TRYING = 10**11, 10**10

# Queries and texts whose products in bfloat16 are compared with exact ones before it is used, and are timed.
_PROBE = 512
# Queries that are answered at a time: with a block of 4,096 rows some 130 MB.
QUERIES = 4096
# Pairs of vectors in memory at a time when candidates are scored: 50 MB at 384 dimensions.
_PAIRS = 16_384
# Candidates of each query that wait before the limits below which nothing is kept are raised.
_WAITING = 32


@dataclass(frozen=True)
class Truth:
    """The queries' nearest others, never themselves: ids int64 and scores float32 (queries, depth), best first.

    Empty places hold id -1 and score -inf.
    """

    ids: np.ndarray
    scores: np.ndarray


# Approximate products float32 or bfloat16 (queries, rows), and the error that each may have relative to the two lengths.
_Screen = Callable[[np.ndarray], "tuple[np.ndarray, float]"]


def exact_top(
    query_ids: np.ndarray, queries: np.ndarray, blocks: Sequence[VectorBlock], depth: int, threads: int | None = None
) -> Truth:
    """The `depth` nearest others of each query among the blocks by inner product, ties by smaller id.

    `query_ids` int64 (queries,): a text with the same id is the query itself and no answer. `queries` float32 (queries, dim).
    One block and 4,096 queries are worked on at a time, so that beside the answers memory does not grow with either. Scores are
    products in double precision, rounded once, so that neither the order of the blocks nor the machine's arithmetic decides an
    answer. With `threads` each of so many threads has a share of the blocks; None leaves that to the libraries.
    """
    if threads is not None and threads > 1 and len(blocks) > 1:
        shares = [blocks[i::threads] for i in range(min(threads, len(blocks)))]
        with _one_torch_thread(queries, max(map(_rows, shares))), threadpool_limits(1), ThreadPoolExecutor(len(shares)) as pool:
            return best_of(list(pool.map(lambda share: _alone(query_ids, queries, share, depth), shares)))
    batches = batches_of(len(queries)) or [slice(0, 0)]
    parts = [_exact_top(query_ids[some], queries[some], blocks, depth) for some in batches]
    return Truth(np.concatenate([part.ids for part in parts]), np.concatenate([part.scores for part in parts]))


def _alone(query_ids: np.ndarray, queries: np.ndarray, blocks: Sequence[VectorBlock], depth: int) -> Truth:
    """`exact_top` in a thread beside which others do the same: each multiplies alone."""
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
    return exact_top(query_ids, queries, blocks, depth)


def _one_torch_thread(queries: np.ndarray, rows: int) -> contextlib.AbstractContextManager[None]:
    """Let torch, where it is loaded or a share of so many rows will load it, use one thread in each of those that share."""
    if "torch" in sys.modules or _tries_bf16(queries[:QUERIES], rows):
        return one_torch_thread()
    return contextlib.nullcontext()


def batches_of(queries: int) -> list[slice]:
    """Consecutive slices of so many queries, each few enough to be worked on at a time."""
    return [slice(low, low + QUERIES) for low in range(0, queries, QUERIES)]


def _exact_top(query_ids: np.ndarray, queries: np.ndarray, blocks: Sequence[VectorBlock], depth: int) -> Truth:
    queries = np.ascontiguousarray(queries, np.float32)
    found = _Candidates(queries, depth + 1)  # one more, for the query itself
    rows = _rows(blocks)
    screen = None
    for block in blocks if len(queries) else ():
        vectors = np.ascontiguousarray(block.vectors())
        if screen is None:
            screen = _choose_screen(queries, vectors, rows)
        found.add(block, vectors, *screen(vectors))
    return found.best(query_ids, depth)


class _Candidates:
    """Texts that may be among the `depth` nearest of a query, by lower and upper bounds of their scores."""

    def __init__(self, queries: np.ndarray, depth: int) -> None:
        self._queries, self._depth = queries, depth
        self._lengths = _lengths(queries)
        # The best lower bounds so far: below the last of them no text is among the nearest.
        self._lower = np.full((len(queries), depth), -np.inf, np.float32)
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._kept: list[tuple[VectorBlock, np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, block: VectorBlock, vectors: np.ndarray, products: np.ndarray, bound: float) -> None:
        """Keep what a block has for each query. `products` (queries, rows) err by at most `bound`·‖query‖·‖row‖."""
        # Rounded up: what is added here must not be lost there.
        errors = np.nextafter(
            bound * self._lengths * float(_lengths(vectors).max(initial=0)), np.float32(np.inf), dtype=np.float32
        )
        limits = np.nextafter(self._lower[:, -1] - errors, np.float32(-np.inf))
        if np.isneginf(limits).any() and products.shape[1] >= self._depth:
            place = products.shape[1] - self._depth
            scores = _as_single(products)
            limits = np.maximum(limits, np.partition(scores, place, axis=1)[:, place] - 2 * errors)
        chosen = np.flatnonzero(_reaches(products, limits))
        query, row = np.divmod(chosen, products.shape[1])
        scores = _as_single(products[query, row])
        self._kept.append((block, query, row, scores + errors[query]))
        self._waiting.append((query, scores - errors[query]))
        if sum(len(query) for query, _ in self._waiting) > _WAITING * len(self._queries):
            self._raise_limits()

    def _raise_limits(self) -> None:
        if not self._waiting:
            return
        query, lower = (np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
        self._waiting = []
        order = np.argsort(query, kind="stable")
        query, lower = query[order], lower[order]
        counts = np.bincount(query, minlength=len(self._queries))
        wide = np.full((len(self._queries), int(counts.max(initial=0))), -np.inf, np.float32)
        wide[query, np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)] = lower
        both = np.hstack([self._lower, wide])
        self._lower = -np.partition(-both, self._depth - 1, axis=1)[:, : self._depth]

    def best(self, query_ids: np.ndarray, depth: int) -> Truth:
        """Score what is left exactly and take the best."""
        self._raise_limits()
        parts = [self._scored(*kept) for kept in self._kept]
        none: list[Any] = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))]
        query, ids, scores = (np.concatenate(columns) for columns in zip(*(parts or none), strict=True))
        others = ids != query_ids[query]
        query, ids, scores = query[others], ids[others], scores[others]
        order = np.lexsort((ids, -scores, query))
        query, ids, scores = query[order], ids[order], scores[order]
        rank = np.arange(len(query)) - np.searchsorted(query, query)
        first = rank < depth
        truth = Truth(
            np.full((len(self._queries), depth), -1, np.int64), np.full((len(self._queries), depth), -np.inf, np.float32)
        )
        truth.ids[query[first], rank[first]] = ids[first]
        truth.scores[query[first], rank[first]] = scores[first]
        return truth

    def _scored(
        self, block: VectorBlock, query: np.ndarray, row: np.ndarray, upper: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        left = upper >= self._lower[query, -1]
        query, row = query[left], row[left]
        return query, block.ids()[row], products_of(self._queries, query, block.vectors(), row)


def products_of(a: np.ndarray, rows_a: np.ndarray, b: np.ndarray, rows_b: np.ndarray) -> np.ndarray:
    """Inner products of rows of two float32 matrices, pair by pair, in double precision and rounded once: float32 (pairs,)."""
    products = np.empty(len(rows_a), np.float32)
    for low in range(0, len(rows_a), _PAIRS):
        some = slice(low, low + _PAIRS)
        products[some] = np.einsum("ij,ij->i", a[rows_a[some]], b[rows_b[some]], dtype=np.float64)
    return products


def best_of(truths: Sequence[Truth]) -> Truth:
    """The best of several results over different texts, ties by smaller id; as deep as the first."""
    best = Truth(np.empty(truths[0].ids.shape, np.int64), np.empty(truths[0].ids.shape, np.float32))
    for some in batches_of(len(best.ids)):
        ids, scores = np.hstack([truth.ids[some] for truth in truths]), np.hstack([truth.scores[some] for truth in truths])
        order = np.lexsort((ids, -scores))[:, : best.ids.shape[1]]
        best.ids[some], best.scores[some] = np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1)
    return best


def _lengths(vectors: np.ndarray) -> np.ndarray:
    """Lengths float32 (n,), a little too large rather than too small."""
    return np.sqrt(np.einsum("ij,ij->i", vectors, vectors)) * np.float32(1.001)


def _choose_screen(queries: np.ndarray, vectors: np.ndarray, rows: int) -> _Screen:
    """Products in bfloat16 where this machine is faster at them, found by trying, else in single precision."""
    dim = queries.shape[1]

    def single(vectors: np.ndarray) -> tuple[np.ndarray, float]:
        return queries @ vectors.T, dim * _BOUND_SINGLE

    if not _tries_bf16(queries, rows):
        return single
    import torch

    low = torch.from_numpy(queries).bfloat16()

    def bf16(vectors: np.ndarray) -> tuple[np.ndarray, float]:
        with torch.inference_mode():
            products = low @ torch.from_numpy(vectors.copy()).bfloat16().T
            # numpy has no bfloat16: the same bits as integers.
            return products.view(torch.int16).numpy(), _BOUND_BF16

    if not _keeps_bound(bf16, queries, vectors):
        return single
    return _fastest((single, bf16), vectors[:_PROBE])


def _tries_bf16(queries: np.ndarray, rows: int) -> bool:
    """Whether so many rows are enough to try bfloat16, which needs torch."""
    products = queries.size * rows
    return products >= (_WORTH_TRYING if "torch" in sys.modules else _WORTH_LOADING) and queries.shape[1] <= _BF16_UP_TO_DIM


def _rows(blocks: Sequence[VectorBlock]) -> int:
    return sum(block.rows for block in blocks)


def _keeps_bound(screen: _Screen, queries: np.ndarray, vectors: np.ndarray) -> bool:
    """Whether products are as exact as the bound takes for granted: sums in single precision are the processor's promise.

    Libraries choose their way by the shape: it is the shape of all other blocks that is tried, and some of it compared.
    """
    rows, columns = queries[:_PROBE].astype(np.float64), vectors[:_PROBE].astype(np.float64)
    products, bound = screen(vectors)
    errors = np.abs(_as_single(products[:_PROBE, :_PROBE]) - rows @ columns.T)
    return bool((errors <= bound * np.outer(np.linalg.norm(rows, axis=1), np.linalg.norm(columns, axis=1))).all())


def _fastest(screens: Sequence[_Screen], vectors: np.ndarray) -> _Screen:
    return min(screens, key=lambda screen: min(_seconds(screen, vectors) for _ in range(3)))


def _seconds(screen: _Screen, vectors: np.ndarray) -> float:
    started = time.perf_counter()
    screen(vectors)
    return time.perf_counter() - started


def _as_single(products: np.ndarray) -> np.ndarray:
    """Products as float32; int16 holds the bits of bfloat16, the upper half of a float32's."""
    if products.dtype == np.float32:
        return products
    return (products.astype(np.int32) << 16).view(np.float32)


def _reaches(products: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Which products (queries, rows) are at least their query's limit, bool; of bfloat16 a little below it, too."""
    if products.dtype == np.float32:
        return products >= limits[:, None]
    if (limits <= 0).any():
        return _as_single(products) >= limits[:, None]
    # Bits of positive floats are ordered as the floats are; those of negative ones are negative integers. Cutting a positive
    # limit to its upper half lowers it.
    return products >= (limits.astype(np.float32).view(np.int32) >> 16).astype(np.int16)[:, None]
