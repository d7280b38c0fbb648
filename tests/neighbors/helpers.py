"""Small sets of vectors as blocks, and what brute force says about them."""

import apache_beam as beam
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import settings
from hypothesis import strategies as st

from transforms.vectors import VectorBlock, write_block

# How long an example takes says how busy the machine is.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")

FLAGS = [(), ("--direct_runner_bundle_repeat=1",)]
FLAG_NAMES = ["once", "bundles run twice"]


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def random_vectors(rows: int, dim: int = 16, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(rows, dim)))


@st.composite
def clumpy_vectors(draw, max_rows: int = 60, dim: int = 8):
    """Vectors as real corpora have them: clumps of equal and of nearly equal rows among others."""
    rows = draw(st.integers(2, max_rows))
    seed = draw(st.integers(0, 2**32 - 1))
    centres = draw(st.integers(1, 6))
    spread = draw(st.sampled_from([0.0, 1e-8, 1e-6, 1e-4, 0.3]))
    generator = np.random.default_rng(seed)
    clumps = generator.normal(size=(centres, dim))[generator.integers(0, centres, rows)]
    return unit(clumps + spread * generator.normal(size=(rows, dim)))


def make_ids(rows: int, seed: int = 0) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).choice(2**62, rows, replace=False)).astype(np.int64)


def make_blocks(folder, vectors: np.ndarray, ids: np.ndarray, rows: int) -> tuple[VectorBlock, ...]:
    return tuple(
        write_block(f"{folder}/v{i}.npy", f"{folder}/i{i}.npy", i, ids[i : i + rows], vectors[i : i + rows])
        for i in range(0, len(ids), rows)
    )


def integer_cosines(vectors: np.ndarray) -> np.ndarray:
    """All cosines by the definition, in Python integers: nothing can round but the one division at the end."""
    whole = np.rint(vectors.astype(np.float64) * 2**26).astype(np.int64).astype(object)
    exact = whole @ whole.T
    return np.clip((exact / 2**52).astype(np.float64).astype(np.float32), -1, 1)


def brute_force(vectors: np.ndarray, ids: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and cosines of the k nearest others by sorting everything."""
    cosines = integer_cosines(vectors)
    np.fill_diagonal(cosines, -np.inf)
    order = np.stack([np.lexsort((ids, -row)) for row in cosines])[:, : min(k, len(ids) - 1)]
    return ids[order], np.take_along_axis(cosines, order, 1)


def records_of(transform: beam.PTransform, tasks: list, expected: list, flags: tuple[str, ...]) -> None:
    """Run a job and compare its records with those of the plain function."""
    with TestPipeline(runner="FnApiRunner", options=PipelineOptions(list(flags))) as pipeline:
        records = pipeline | beam.Create(tasks) | transform
        assert_that(records, equal_to(expected))
