import numpy as np
import pytest

from transforms.neighbors.candidates import Shortlist
from transforms.neighbors.lists import load_lists, save_lists


@pytest.mark.parametrize("counts", [[0, 3, 1], [0, 0], [2]])
def test_lists_come_back_as_they_were(folder, counts):
    generator = np.random.default_rng(0)
    lists = Shortlist(
        np.array(counts),
        generator.integers(0, 2**31, sum(counts)),
        generator.random(sum(counts)).astype(np.float32),
        generator.random(len(counts)).astype(np.float32),
        generator.random(len(counts)).astype(np.float32),
        2.0**-7,
    )
    save_lists(f"{folder}/lists.npz", lists)
    back = load_lists(f"{folder}/lists.npz")
    for name in ("counts", "positions", "above", "left_out", "error", "place"):
        assert np.array_equal(getattr(back, name), getattr(lists, name))
