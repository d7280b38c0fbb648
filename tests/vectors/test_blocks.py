import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from transforms.files import write_bytes
from transforms.vectors import VectorBlock, load_all, load_array, save_array, unit_vectors, write_block


def make_block(folder: str, start: int, rows: int, dim: int = 4) -> tuple[VectorBlock, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(start)
    ids = np.arange(start, start + rows, dtype=np.int64) * 1000 + rng.integers(0, 1000, rows)
    vectors = rng.random((rows, dim), dtype=np.float32)
    return write_block(f"{folder}/v{start}.npy", f"{folder}/i{start}.npy", start, ids, vectors), ids, vectors


def test_a_block_reads_back_as_it_was_written(folder):
    block, ids, vectors = make_block(folder, 5, 7)
    assert block == VectorBlock(5, 7, 4, f"{folder}/v5.npy", f"{folder}/i5.npy")
    np.testing.assert_array_equal(block.ids(), ids)
    np.testing.assert_array_equal(block.vectors(), vectors)
    assert (block.ids().dtype, block.vectors().dtype) == (np.int64, np.float32)
    assert pickle.loads(pickle.dumps(block)) == block


def test_local_blocks_are_mapped_and_cannot_be_written(tmp_path):
    block, _, _ = make_block(str(tmp_path), 0, 3)
    assert isinstance(block.vectors(), np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        block.vectors()[0, 0] = 1


def test_an_empty_block(folder):
    block = write_block(f"{folder}/v.npy", f"{folder}/i.npy", 9, np.empty(0, np.int64), np.empty((0, 4), np.float32))
    assert block.rows == 0
    assert block.vectors().shape == (0, 4)
    assert block.ids().shape == (0,)


@pytest.mark.parametrize(
    ("ids", "shape", "message"),
    [([1, 2], (3, 4), "needs ids"), ([1, 2], (2,), "needs ids"), ([2, 1], (2, 4), "ascending"), ([1, 1], (2, 4), "ascending")],
)
def test_what_is_no_block_is_refused_and_not_written(tmp_path, ids, shape, message):
    with pytest.raises(ValueError, match=message):
        write_block(str(tmp_path / "v.npy"), str(tmp_path / "i.npy"), 0, np.array(ids), np.zeros(shape, np.float32))
    assert list(tmp_path.iterdir()) == []


def test_other_dtypes_are_converted(tmp_path):
    block = write_block(f"{tmp_path}/v.npy", f"{tmp_path}/i.npy", 0, np.array([1, 2], np.int32), np.eye(2, dtype=np.float64))
    assert (block.ids().dtype, block.vectors().dtype) == (np.int64, np.float32)
    np.testing.assert_array_equal(block.vectors(), np.eye(2))


@given(array=nps.arrays(st.sampled_from(["f4", "f8", "i8", "u1"]), nps.array_shapes(max_dims=3)), turned=st.booleans())
@settings(max_examples=50, deadline=None)
def test_arrays_keep_bits_dtype_and_shape(tmp_path_factory, array, turned):
    array = array.T if turned else array
    path = str(tmp_path_factory.mktemp("array") / "a.npy")
    save_array(path, array)
    found = load_array(path)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tobytes() == array.tobytes()


def test_pickles_are_neither_written_nor_read(folder, tmp_path):
    objects = np.array([{"a": 1}], dtype=object)
    with pytest.raises(ValueError, match="allow_pickle"):
        save_array(f"{folder}/a.npy", objects)
    np.save(tmp_path / "b.npy", objects, allow_pickle=True)
    write_bytes(f"{folder}/b.npy", (tmp_path / "b.npy").read_bytes())
    with pytest.raises(ValueError, match=r"allow_pickle|Python objects"):
        load_array(f"{folder}/b.npy")


def test_all_blocks_together_are_in_position_order_whatever_the_order_given(folder):
    made = [make_block(folder, start, rows) for start, rows in ((0, 3), (3, 1), (4, 5), (10, 2))]
    ids, vectors = load_all([made[i][0] for i in (2, 0, 3, 1)])
    np.testing.assert_array_equal(ids, np.concatenate([one[1] for one in made]))
    np.testing.assert_array_equal(vectors, np.concatenate([one[2] for one in made]))


@given(
    vectors=nps.arrays(np.float32, (4, 6), elements=st.floats(-(2.0**50), 2.0**50, width=32)), scale=st.sampled_from([1, 1e-15])
)
def test_unit_vectors_have_length_one_and_do_not_depend_on_the_rows_beside_them(vectors, scale):
    vectors = vectors * np.float32(scale)
    vectors[:, 0] += np.float32(1e-12)
    vectors = vectors[np.linalg.norm(vectors.astype(np.float64), axis=1) > 1e-18]
    units = unit_vectors(vectors)
    assert units.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(units.astype(np.float64), axis=1), 1, atol=1e-6)
    for row, unit in zip(vectors, units, strict=True):
        np.testing.assert_array_equal(unit_vectors(row[None])[0], unit)


def test_no_blocks():
    ids, vectors = load_all([])
    assert (ids.shape, ids.dtype, vectors.shape, vectors.dtype) == ((0,), np.int64, (0, 0), np.float32)
