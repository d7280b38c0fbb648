"""The screen: dot products in low precision whose distance from the exact ones is proven. They say who need not be compared.

A score is s = fl(â · b̂): both vectors rounded to the screen's precision, products and sums in float32 in any order, the sum
rounded to the precision again. By how much it can differ from the exact dot product a · b of snapped vectors:

- rounding the vectors: a · b − â · b̂ = (a − â) · b + â · (b − b̂), by Cauchy-Schwarz at most ρ_a·N + (N + ρ_a)·ρ_b, where
  ρ = ‖x − x̂‖ is measured for every vector, not estimated (bf16 has 8 bits, so ρ ≤ 2⁻⁸·N; of a typical vector it is a third
  of that), and N = 1.0011 bounds the length of a vector that `snap` accepts;
- summing: a product of two bf16 numbers has 16 bits and is a float32 number; of two float32 numbers it is rounded. Either way
  the error is at most γ_d·‖â‖·‖b̂‖ with γ_d = d·u / (1 − d·u), u = 2⁻²⁴, whatever the order (Higham, Accuracy and Stability of
  Numerical Algorithms, 3.1). Nothing is lost below the smallest normal number: snapped vectors, and their bf16 roundings, are
  multiples of 2⁻²⁶, so all sums are multiples of 2⁻⁵²;
- rounding the sum to bf16, to nearest: the sum lies within half a place of s. No inequality is used here: half a place up and
  down is 2¹⁵ steps in the order of the float32 numbers.

That sums are float32 is a promise of the library and the processor. `fastest_precision` tests it before bf16 is used.

Scores are handled as whole numbers in the order of the numbers that they stand for: comparing and sorting those is what
processors do fastest. `key` is that order for float32; the scores of a tile are its upper 16 bits for bf16.
"""

import contextlib
import functools
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from transforms.threads import in_threads, one_torch_thread

# The longest vector that `snap` accepts has length 1.001 in float32 arithmetic.
LONGEST = 1.0011
# The key of no score: below those of all numbers.
NOTHING = np.iinfo(np.int32).min

FP32, BF16 = "fp32", "bf16"
# Bits of a key that a score of the precision does not have.
_SHIFT = {FP32: 0, BF16: 16}
_SCORE = {FP32: np.int32, BF16: np.int16}
# bf16 must save this much of the product's time to be worth the candidates that its rounding adds.
_WORTHWHILE = 1.5
# Below so many products importing torch (a second or two), or where it is there rounding the vectors, takes longer than bf16
# saves.
_WORTH_IMPORTING, _WORTH_ROUNDING = 1 << 29, 1 << 26
_PROBE = (512, 1024, 384)
_ROUNDS = 5
# Vectors that are rounded at a time.
_ROWS = 1024


def key(values: np.ndarray) -> np.ndarray:
    """Float32 numbers, none of them NaN, as int32 in the same order; its own inverse on the bits."""
    return _ordered(np.ascontiguousarray(values, np.float32).view(np.int32))


def value(keys: np.ndarray) -> np.ndarray:
    """The float32 number of each key."""
    return _ordered(np.ascontiguousarray(keys, np.int32)).view(np.float32)


def _ordered(bits: np.ndarray) -> np.ndarray:
    # Of negative numbers the bits are in reverse order. Integers of any width.
    width = bits.dtype.itemsize * 8
    return bits ^ ((bits >> (width - 1)) & np.iinfo(bits.dtype).max)


@dataclass(frozen=True)
class Screen:
    """Snapped vectors in the screen's precision, and what each lost: `lost` float64 (rows,) ≥ ‖x − x̂‖."""

    precision: str
    low: Any
    lost: np.ndarray

    def __len__(self) -> int:
        return len(self.lost)

    @property
    def dim(self) -> int:
        """Components of each vector."""
        return int(self.low.shape[1])

    @property
    def shift(self) -> int:
        """How many bits a score has less than a key."""
        return _SHIFT[self.precision]

    @property
    def score_type(self) -> Any:
        """The type of whole numbers as wide as a score."""
        return _SCORE[self.precision]

    @property
    def half_place(self) -> int:
        """How far the sum can be from its score, in keys."""
        return 1 << 15 if self.precision == BF16 else 0

    def buffer(self, rows: int, columns: int) -> np.ndarray:
        """Room for the scores of a tile."""
        return np.empty(rows * columns, self.score_type)

    def keys(self, scores: np.ndarray) -> np.ndarray:
        """Keys, int32, of scores in order: a score's bits and below them zeros, which count downwards in negative numbers."""
        return (scores.astype(np.int32) << self.shift) | ((scores < 0) * np.int32((1 << self.shift) - 1))

    def least_score(self, keys: np.ndarray) -> np.ndarray:
        """The least score whose key is above each key: whole numbers as wide as a score."""
        rest = (keys < 0) * ((1 << self.shift) - 1)
        least = ((keys.astype(np.int64) - rest) >> self.shift) + 1
        return np.maximum(least, np.iinfo(self.score_type).min + 1).astype(self.score_type)

    def scores(self, rows: slice, other: "Screen", columns: slice, buffer: np.ndarray) -> np.ndarray:
        """Scores of some rows with some of another screen of the same precision, as the bits of the numbers: in `buffer`.

        Of positive numbers the bits are in order and above those of all negative numbers; `in_order` puts all in order.
        """
        a, b = self.low[rows], other.low[columns]
        scores = buffer[: len(a) * len(b)].reshape(len(a), len(b))
        if self.precision == FP32:
            np.matmul(a, b.T, out=scores.view(np.float32))
        else:
            import torch

            with torch.inference_mode():
                torch.mm(a, b.T, out=torch.from_numpy(scores).view(torch.bfloat16))
        return scores

    def error(self, lost: float) -> np.ndarray:
        """How far exact dot products of each row with vectors that lost at most `lost` can be from the sum, float64 (rows,)."""
        return error_bound(self.lost, lost, self.dim)


def error_bound(lost_a: np.ndarray, lost_b: float, dim: int) -> np.ndarray:
    """The bound of the module's text without the rounding of the sum, float64, for vectors that lost ρ_a and ρ_b.

    2 % more than d·u pays for γ's denominator (d up to 65,536) and for rounded vectors that are longer than 1.
    """
    return lost_a * LONGEST + (LONGEST + lost_a) * lost_b + 1.02 * dim * 2.0**-24


def in_order(scores: np.ndarray) -> None:
    """Turn the bits of a tile's scores into whole numbers in the order of the scores, in place."""
    scores[...] = _ordered(scores)


def make_screen(vectors: np.ndarray, precision: str, threads: int = 1) -> Screen:
    """The screen of snapped vectors (rows, dim)."""
    if precision == FP32:
        return Screen(precision, vectors, np.zeros(len(vectors)))
    import torch

    exact = torch.from_numpy(np.ascontiguousarray(vectors))
    low = torch.empty(exact.shape, dtype=torch.bfloat16)
    squares = np.empty(len(vectors))

    def round_some(start: int) -> None:
        part = slice(start, start + _ROWS)
        alone(precision)
        low[part] = exact[part]
        # Exact: both are multiples of the vector's last place, and the difference is below 2⁻⁸ of it.
        rest = exact[part].sub(low[part]).numpy()
        squares[part] = np.einsum("ij,ij->i", rest, rest)

    with one_thread(precision):
        in_threads(round_some, range(0, len(vectors), _ROWS), threads)
    return Screen(precision, low, np.sqrt(squares * (1 + 2.0**-22 * vectors.shape[1])))


def one_thread(precision: str) -> contextlib.AbstractContextManager[None]:
    """Let the calling thread alone compute in the precision's library: pieces are small, and there is one for every thread.

    Threads that the caller starts meanwhile call `alone`.
    """
    return contextlib.nullcontext() if precision == FP32 else one_torch_thread()


def alone(precision: str) -> None:
    """In a thread beside which others compute: let the precision's library use it alone. Whoever started it puts that back."""
    if precision != FP32:
        import torch

        torch.set_num_threads(1)


def precision_for(products: int) -> str:
    """The precision in which so many dot products are screened soonest on this machine; the result is the same in each."""
    enough = _WORTH_ROUNDING if "torch" in sys.modules else _WORTH_IMPORTING
    return fastest_precision() if products >= enough else FP32


@functools.cache
def fastest_precision() -> str:
    """bf16 where this machine multiplies it faster than float32 and with sums as exact as promised, else fp32. Takes 30 ms."""
    rows, columns, dim = _PROBE
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(rows + columns, dim))
    # Sums that grow with every term lose most where they are not float32.
    vectors[::2] = np.abs(vectors[::2])
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    seconds: dict[str, float] = {}
    with one_torch_thread(), threadpool_limits(1):
        for precision in (FP32, BF16):
            screen = make_screen(vectors, precision)
            buffer = screen.buffer(rows, columns)
            seconds[precision] = min(_seconds(screen, buffer) for _ in range(_ROUNDS))
    return BF16 if seconds[FP32] > _WORTHWHILE * seconds[BF16] and _keeps_promise(screen, buffer) else FP32


def _seconds(screen: Screen, buffer: np.ndarray) -> float:
    rows = _PROBE[0]
    started = time.perf_counter()
    screen.scores(slice(rows), screen, slice(rows, None), buffer)
    return time.perf_counter() - started


def _keeps_promise(screen: Screen, buffer: np.ndarray) -> bool:
    """Whether scores are the rounded sums that the bound is made for. Small products may take another way through a library."""
    rows, columns, _ = _PROBE
    return all(_within_bound(screen, slice(m), slice(rows, rows + n), buffer) for m in (1, 33, rows) for n in (1, 17, columns))


def _within_bound(screen: Screen, rows: slice, columns: slice, buffer: np.ndarray) -> bool:
    scores = screen.scores(rows, screen, columns, buffer)
    in_order(scores)
    low = screen.low.double().numpy()
    sums = low[rows] @ low[columns].T
    keys = screen.keys(scores)
    error = error_bound(np.zeros(1), 0.0, screen.dim)
    below, above = value(keys - screen.half_place) - error, value(keys + screen.half_place) + error
    return bool(np.all((below <= sums) & (sums <= above)))
