"""Brute-force graphs and random texts for the tests of the topics room."""

import numpy as np


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def scattered(n: int, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(n, 24)))


def blobs(sizes: list[int], dim: int = 24, spread: float = 0.25, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around as many random directions as there are sizes, shuffled, and each one's direction."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = unit(rng.normal(size=(len(sizes), dim)))
    return unit(centres[truth] + spread * rng.normal(size=(len(truth), dim)) / np.sqrt(dim)), truth


def graph_of(vectors: np.ndarray, k: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Positions and cosines of the min(k, n - 1) nearest others, cosine descending, ties by position."""
    n = len(vectors)
    cosines = np.minimum(vectors.astype(np.float64) @ vectors.T.astype(np.float64), 1)
    np.fill_diagonal(cosines, -np.inf)
    order = np.argsort(-cosines, axis=1, kind="stable")[:, : max(min(k, n - 1), 0)]
    return order.astype(np.int32), np.take_along_axis(cosines, order, 1).astype(np.float32)
