import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.neighbors.helpers import make_blocks, make_ids, random_vectors
from transforms.neighbors import snap
from transforms.neighbors.approximate.gather import snapped_at
from transforms.vectors import write_block


@pytest.fixture(scope="module")
def blocks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blocks")
    empty = write_block(f"{folder}/ev.npy", f"{folder}/ei.npy", 20, np.empty(0, np.int64), np.empty((0, 16)))
    return (empty, *reversed(make_blocks(folder, random_vectors(50), make_ids(50), 20)))


@given(st.sets(st.integers(0, 49)))
def test_vectors_are_those_of_the_positions(blocks, positions):
    wanted = np.array(sorted(positions), np.int64)
    assert np.array_equal(snapped_at(blocks, wanted), snap(random_vectors(50))[wanted])


def test_blocks_without_any_of_them_are_not_opened(folder):
    made = make_blocks(folder, random_vectors(50), make_ids(50), 20)
    (_, lost, _) = made
    gone = type(lost)(lost.start, lost.rows, lost.dim, f"{folder}/absent.npy", lost.ids_path)
    assert len(snapped_at((made[0], gone, made[2]), np.array([3, 45]))) == 2
    with pytest.raises(FileNotFoundError):
        snapped_at((made[0], gone, made[2]), np.array([3, 25]))
