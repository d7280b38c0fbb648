import hashlib
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from transforms.files import CorruptFileError
from transforms.vectors import find_vectors, shard_rows, store_directory, stored_shards, vector_schema, write_shard

DIM = 3

# Keys where comparisons of bytes go wrong: NULs at the end, the largest one, sign bits, neighbours in the last byte.
AWKWARD = [
    b"\0" * 32,
    b"\0" * 31 + b"\1",
    b"a" * 31 + b"\0",
    b"a" + b"\0" * 31,
    b"a\0" + b"b" * 30,
    b"\x7f" * 32,
    b"\x80" + b"\0" * 31,
    b"\xff" * 31 + b"\0",
    b"\xff" * 31 + b"\xfe",
    b"\xff" * 32,
]
KEYS = st.one_of(
    st.sampled_from(AWKWARD), st.binary(min_size=32, max_size=32), st.integers(0, 40).map(lambda i: bytes(31) + bytes([i]))
)
SHARD = st.dictionaries(KEYS, st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=25)


def write(folder: str, shard: dict[bytes, int]) -> str:
    keys = sorted(shard)
    vectors = np.array([vector_of(shard[key]) for key in keys], np.float32)
    return write_shard(folder, keys, vectors, np.array([truncated_of(shard[key]) for key in keys])).path


def truncated_of(seed: int) -> bool:
    return seed % 3 == 0


def vector_of(seed: int) -> np.ndarray:
    """Any three floats, NaN payloads and denormals among them: the store keeps bits."""
    return np.frombuffer(hashlib.sha256(str(seed).encode()).digest()[: 4 * DIM], np.float32)


@given(shards=st.lists(SHARD, max_size=4), more=st.lists(KEYS, max_size=20))
@example(shards=[dict.fromkeys(AWKWARD, 1)], more=[])
@example(shards=[{AWKWARD[-1]: 1}, {AWKWARD[0]: 2}], more=AWKWARD)
@example(shards=[{AWKWARD[5]: 1}], more=[AWKWARD[0], AWKWARD[-1]])
@settings(max_examples=120, deadline=None)
def test_look_ups_are_those_of_a_dict(tmp_path_factory, shards, more):
    folder = str(tmp_path_factory.mktemp("store"))
    paths = [write(folder, shard) for shard in shards]
    wanted = sorted({*more, *(key for shard in shards[:2] for key in list(shard)[::2])})
    oracle: dict[bytes, int] = {}
    answered = []
    for path, shard in zip(paths, shards, strict=True):
        if new := {key for key in wanted if key in shard and key not in oracle}:
            answered.append(path)
            oracle.update({key: shard[key] for key in new})

    stored = find_vectors(paths, wanted, DIM)
    vectors, found = stored.vectors, stored.found

    assert vectors.shape == (len(wanted), DIM)
    assert vectors.dtype == np.float32
    assert found.tolist() == [key in oracle for key in wanted]
    assert stored.shards == answered
    for i, key in enumerate(wanted):
        if found[i]:
            assert vectors[i].tobytes() == vector_of(oracle[key]).tobytes()
            assert stored.truncated[i] == truncated_of(oracle[key])


def test_many_rows_over_several_row_groups(tmp_path):
    rng = np.random.default_rng(0)
    keys = sorted(rng.bytes(32) for _ in range(10_000))
    vectors = rng.random((10_000, 5), dtype=np.float32)
    ref = write_shard(str(tmp_path), keys, vectors, vectors[:, 0] < 0.5)
    assert pq.ParquetFile(ref.path).num_row_groups > 1
    wanted = np.sort(rng.choice(10_000, 500, replace=False))
    stored = find_vectors([ref.path], [keys[i] for i in wanted], 5)
    assert stored.found.all()
    np.testing.assert_array_equal(stored.vectors, vectors[wanted])
    np.testing.assert_array_equal(stored.truncated, vectors[wanted, 0] < 0.5)


def test_nothing_is_read_when_all_is_found_or_nothing_is_asked(tmp_path):
    path = write(str(tmp_path), {AWKWARD[3]: 1})
    assert find_vectors(["/no/such/file"], [], DIM).shards == []
    assert find_vectors([path, "/no/such/file"], [AWKWARD[3]], DIM).shards == [path]
    with pytest.raises(FileNotFoundError):
        find_vectors([path, "/no/such/file"], [AWKWARD[3], AWKWARD[4]], DIM)


def test_vectors_of_another_dimension_are_refused(tmp_path):
    path = write(str(tmp_path), {AWKWARD[3]: 1})
    with pytest.raises(ValueError, match="3 dimensions, expected 4"):
        find_vectors([path], [AWKWARD[3]], 4)


def test_a_damaged_shard_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    keys = sorted(rng.bytes(32) for _ in range(500))
    path = Path(write_shard(str(tmp_path), keys, rng.random((500, 8), dtype=np.float32), np.zeros(500, bool)).path)
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(1)
    data = bytearray(path.read_bytes())
    data[chunk.data_page_offset + chunk.total_compressed_size - 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptFileError):
        find_vectors([str(path)], keys, 8)


@pytest.mark.parametrize("keys", [[b"b" * 32, b"a" * 32], [b"a" * 32, b"a" * 32]])
def test_keys_that_do_not_ascend_are_refused(tmp_path, keys):
    with pytest.raises(ValueError, match="strictly ascending"):
        write_shard(str(tmp_path), keys, np.zeros((2, DIM), np.float32), np.zeros(2, bool))
    assert list(tmp_path.iterdir()) == []


def test_keys_of_another_width_or_number_are_refused(tmp_path):
    for keys in ([b"a" * 31], [b"a" * 32, b"b" * 32]):
        with pytest.raises((ValueError, pa.ArrowInvalid)):
            write_shard(str(tmp_path), keys, np.zeros((1, DIM), np.float32), np.zeros(1, bool))
    assert list(tmp_path.iterdir()) == []


def test_a_shard_is_named_by_its_content_and_found_in_its_folder(tmp_path):
    folder = store_directory(str(tmp_path), "f" * 64)
    assert folder == f"{tmp_path}/vectors/{'f' * 64}"
    assert stored_shards(str(tmp_path), "f" * 64) == []
    first, again, other = (write(folder, {AWKWARD[3]: seed}) for seed in (1, 1, 2))
    assert first == again != other
    assert stored_shards(str(tmp_path), "f" * 64) == sorted([first, other])
    assert stored_shards(str(tmp_path), "e" * 64) == []


def test_a_shard_knows_its_rows(tmp_path):
    assert shard_rows(write(str(tmp_path), dict.fromkeys(AWKWARD, 1))) == len(AWKWARD)


def test_the_layout_that_other_tools_read(tmp_path):
    path = write(str(tmp_path), {AWKWARD[3]: 7, AWKWARD[9]: 8})
    schema = pq.read_schema(path)
    assert schema.field("content_key").type == pa.binary(32)
    assert schema.field("vector").type == pa.list_(pa.field("item", pa.float32(), nullable=False), DIM)
    assert schema.field("truncated").type == pa.bool_()
    assert not any(schema.field(name).nullable for name in schema.names)
    assert all(schema.field(name).metadata[b"description"] for name in vector_schema(DIM).names)
    rows = duckdb.sql(f"select content_key, vector, truncated from '{path}'").fetchall()
    assert [bytes(key) for key, _, _ in rows] == [AWKWARD[3], AWKWARD[9]]
    np.testing.assert_array_equal(np.array([vector for _, vector, _ in rows], np.float32), [vector_of(7), vector_of(8)])
    assert [truncated for _, _, truncated in rows] == [truncated_of(7), truncated_of(8)]
