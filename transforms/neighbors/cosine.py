"""The cosine of two texts, defined so that it does not depend on who computes it.

Float32 products of a unit vector differ in their last bits between block shapes, BLAS builds and thread counts, and
then so do the order of near-ties and what lies above a threshold. Here the definition is: round both vectors to
multiples of 2⁻²⁶ (`snap`), take their dot product exactly, round it once to float32, and cut at ±1.

Exactly is possible: products of two such numbers are multiples of 2⁻⁵², and by Cauchy-Schwarz every partial sum of a
dot product, in any order, is at most the product of the norms, below 2. All intermediate values are hence integers
below 2⁵³ times 2⁻⁵²: float64 holds each of them, with or without fused multiply-add, so nothing ever rounds. Snapping
moves a cosine by at most 2⁻²⁷·√d·2, that is 3e-7 at d = 384.
"""

import numpy as np

from transforms.neighbors.compiled import pair_dots

GRID = np.float32(2.0**26)
_NORM_TOLERANCE = 1e-3


def snap(vectors: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Round unit vectors (rows, dim) to multiples of 2⁻²⁶, float32, into `out` when it is given.

    Float32 holds the result exactly: where a component has more than 24 bits above 2⁻²⁶ it has none below to round.
    Raises ValueError naming a row whose norm is not 1 within 0.001 (NaN included): the proofs above and below need it.
    """
    vectors = np.asarray(vectors, np.float32)
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    bad = np.flatnonzero(~(np.abs(norms - 1) <= _NORM_TOLERANCE))
    if len(bad):
        raise ValueError(f"row {bad[0]} has norm {norms[bad[0]]}, not 1: normalise the vectors before they are stored")
    snapped = np.multiply(vectors, GRID, out=out)
    np.rint(snapped, out=snapped)
    snapped /= GRID
    return snapped


def screening_error(dim: int) -> float:
    """How far a float32 dot product of snapped unit vectors can be from their `exact_cosines`.

    The bound γ_d·‖x‖·‖y‖ with γ_d = d·u / (1 − d·u), u = 2⁻²⁴ (Higham, Accuracy and Stability of Numerical
    Algorithms, 3.1) holds for every order of summation; 1 % more pays for the denominator and for norms that are not
    quite 1, and another u for the one rounding of the exact value.
    """
    unit = 2.0**-24
    return 1.01 * dim * unit + unit


def exact_cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosines of every row of `a` (m, dim) with every row of `b` (n, dim), both snapped: float32 (m, n)."""
    left = a.astype(np.float64)
    cosines = np.empty((len(a), len(b)), np.float32)
    for low in range(0, len(b), 4096):  # bounds the float64 copies
        columns = slice(low, low + 4096)
        cosines[:, columns] = _rounded(left @ b[columns].astype(np.float64).T)
    return cosines


def exact_pair_cosines(a: np.ndarray, b: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Cosines of the pairs (`a[rows[i]]`, `b[columns[i]]`) of snapped vectors: float32 (pairs,)."""
    dots = np.empty(len(rows))
    pair_dots(a, b, rows, columns, dots)
    return _rounded(dots)


def exact_candidate_cosines(queries: np.ndarray, vectors: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Cosines of each query (rows, dim) with its own candidates `vectors[columns[row]]`: float32, shaped as `columns`."""
    cosines = np.empty(columns.shape, np.float32)
    rows = max(1, 128 // max(1, columns.shape[1]))  # 128 candidates, as float32 and as float64, stay in a core's cache
    for low in range(0, len(queries), rows):
        part = slice(low, low + rows)
        gathered = vectors[columns[part]].astype(np.float64)
        cosines[part] = _rounded(np.matmul(gathered, queries[part, :, None].astype(np.float64))[:, :, 0])
    return cosines


def _rounded(exact: np.ndarray) -> np.ndarray:
    # Adding 0 makes -0 the 0 that it equals: which of the two a sum of nothing but zeros gives depends on how it was formed.
    return np.clip(exact.astype(np.float32), -1, 1) + np.float32(0)
