import numpy as np
import pytest

from tests.neighbors.helpers import make_blocks, make_ids, random_vectors
from transforms.neighbors import NeighborsOptions, snap
from transforms.neighbors.approximate.arrange import ArrangeTask, arrange_vectors
from transforms.neighbors.approximate.buckets import Order
from transforms.neighbors.approximate.pieces import Pieces
from transforms.vectors import save_array


@pytest.mark.parametrize("cut", [100, 37])
def test_vectors_lie_in_the_order_of_places(folder, monkeypatch, cut):
    monkeypatch.setattr("transforms.neighbors.approximate.arrange._ROWS", 16)
    vectors = random_vectors(100)
    position_of = np.random.default_rng(0).permutation(100).astype(np.int32)
    save_array(f"{folder}/position-of.npy", position_of)
    order = Order(100, f"{folder}/position-of.npy", "", "", "", (), 0)
    blocks = make_blocks(folder, vectors, make_ids(100), 30)
    pieces = []
    for low in range(0, 100, cut):
        task = ArrangeTask(low, min(low + cut, 100), order, blocks, folder)
        pieces += arrange_vectors(task, NeighborsOptions()).vectors
    assert len(pieces) > 6
    assert np.array_equal(Pieces(pieces).take(np.arange(100)), snap(vectors)[position_of])
