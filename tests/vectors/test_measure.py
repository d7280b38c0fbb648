import math

import numpy as np
import pytest

from transforms.vectors import LengthRecord, measure, measure_lengths, write_block


@pytest.mark.parametrize("piece", [3, 10_000])
def test_every_vector_is_measured(folder, monkeypatch, piece):
    monkeypatch.setattr(measure, "_ROWS", piece)
    vectors = np.zeros((10, 4), np.float32)
    vectors[:, 1] = 1
    vectors[7] = [0, 0.6, 0.8, 0.5]
    vectors[8] = [0.9, 0, 0, 0]
    block = write_block(f"{folder}/v.npy", f"{folder}/i.npy", 5, np.arange(10), vectors)
    found = measure_lengths(block)
    assert (found.start, found.rows, found.not_finite) == (5, 10, 0)
    assert found.largest_deviation == pytest.approx(math.sqrt(1.25) - 1, abs=1e-6)


def test_what_is_not_finite_is_counted_and_does_not_hide_a_length(folder):
    vectors = np.array([[np.nan, 0], [np.inf, 0], [3, 4], [1, 0]], np.float32)
    block = write_block(f"{folder}/v.npy", f"{folder}/i.npy", 0, np.arange(4), vectors)
    assert measure_lengths(block) == LengthRecord(0, 4, 2, 4.0)


def test_a_block_without_vectors(folder):
    block = write_block(f"{folder}/v.npy", f"{folder}/i.npy", 0, np.arange(0), np.empty((0, 4), np.float32))
    assert measure_lengths(block) == LengthRecord(0, 0, 0, 0.0)
