from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.vectors.shards import AWKWARD, DIM, truncated_of, vector_of, write
from transforms.files import file_ref
from transforms.vectors import is_named_by, store_directory, stored_shards, vector_schema, write_shard


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


def test_unfinished_and_foreign_files_are_no_shards(tmp_path):
    folder = store_directory(str(tmp_path), "f" * 64)
    path = write(folder, {AWKWARD[3]: 1})
    for name in (".abc.partial", ".abc.partial.def.tmp", "part-1.parquet.tmp", "other.parquet", f"part-{'g' * 32}.parquet"):
        Path(folder, name).write_bytes(Path(path).read_bytes())
    assert stored_shards(str(tmp_path), "f" * 64) == [path]


def test_a_shards_name_tells_its_digest(tmp_path):
    path = write(str(tmp_path), {AWKWARD[3]: 1})
    assert is_named_by(path, file_ref(path).sha256)
    assert not is_named_by(path, "0" * 64)
    assert not is_named_by(f"{tmp_path}/other.parquet", file_ref(path).sha256)


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
