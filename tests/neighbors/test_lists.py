import numpy as np
import pytest

from transforms.neighbors.candidates import Shortlist
from transforms.neighbors.lists import load_lists, save_lists


@pytest.mark.parametrize("counts", [[0, 3, 1], [0, 0], [2]])
def test_lists_come_back_as_they_were(folder, counts):
    generator = np.random.default_rng(0)
    listed = np.arange(4) < np.array(counts)[:, None]
    lists = Shortlist(
        np.where(listed, generator.integers(0, 2**31, listed.shape), -1),
        np.where(listed, -np.sort(-generator.random(listed.shape)), -np.inf).astype(np.float32),
        generator.random(len(counts)).astype(np.float32),
        generator.random(len(counts)).astype(np.float32),
        2.0**-7,
    )
    save_lists(f"{folder}/lists.npz", lists)
    back = load_lists(f"{folder}/lists.npz")
    width = max(counts)
    assert np.array_equal(back.positions, lists.positions[:, :width])
    assert np.array_equal(back.above, lists.above[:, :width])
    assert np.array_equal(back.left_out, lists.left_out)
    assert np.array_equal(back.error, lists.error)
    assert back.place == lists.place
