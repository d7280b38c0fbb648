import hashlib
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.core import url_to_fs
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.files import (
    CorruptFileError,
    describe,
    list_files,
    open_parquet,
    read_table,
    write_batches,
    write_named_by_digest,
    write_table,
)
from transforms.files.parquet import table_digest


def keyed_table(keys: list[bytes], seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rng.random(4 * len(keys), dtype=np.float32)), 4)
    return pa.table(
        {
            "row": pa.array(range(len(keys)), pa.int64()),
            "key": pa.array(keys, pa.binary(32)),
            "text": pa.array([f"text {i}" if i % 3 else None for i in range(len(keys))], pa.string()),
            "vector": vectors,
        }
    )


def random_keys(n: int, seed: int = 0) -> list[bytes]:
    rng = np.random.default_rng(seed)
    return sorted(rng.bytes(32) for _ in range(n))


# --- writing -------------------------------------------------------------------------------------------------------------


def test_a_reference_describes_the_bytes_on_disk(tmp_path):
    ref = write_table(str(tmp_path / "a" / "t.parquet"), keyed_table(random_keys(10)))
    data = Path(ref.path).read_bytes()
    assert (ref.size, ref.rows, ref.sha256) == (len(data), 10, hashlib.sha256(data).hexdigest())
    assert pq.read_table(ref.path).equals(keyed_table(random_keys(10)))


def test_equal_tables_are_equal_bytes_however_they_are_chunked(tmp_path):
    table = keyed_table(random_keys(300))
    pieces = pa.concat_tables([table.slice(0, 7), table.slice(7, 100), table.slice(107)])
    shifted = pa.concat_tables([table.slice(0, 3), table]).slice(3)
    digests = {write_table(str(tmp_path / "t.parquet"), one, 64).sha256 for one in (table, pieces, shifted)}
    assert len(digests) == 1
    assert len({table_digest(one) for one in (table, pieces, shifted)}) == 1
    assert table_digest(table) != table_digest(table.slice(1))


def test_columns_are_compressed_without_dictionaries(tmp_path):
    ref = write_table(str(tmp_path / "t.parquet"), keyed_table([b"a" * 32] * 100))
    group = pq.ParquetFile(ref.path).metadata.row_group(0)
    for i in range(group.num_columns):
        assert not group.column(i).has_dictionary_page
        assert group.column(i).compression == "ZSTD"


def test_a_digest_name_is_a_function_of_the_bytes(folder):
    first = write_named_by_digest(folder, keyed_table(random_keys(20)))
    again = write_named_by_digest(folder, keyed_table(random_keys(20)))
    other = write_named_by_digest(folder, keyed_table(random_keys(20, seed=1)), prefix="shard")
    assert first == again
    assert list_files(folder) == sorted([first.path, other.path])  # and no temporary is left beside them
    fs, inner = url_to_fs(first.path)
    digest = hashlib.sha256(fs.cat_file(inner)).hexdigest()
    assert first.sha256 == digest
    assert first.name.startswith("part-")
    assert first.name.removeprefix("part-").removesuffix(".parquet") == digest[:32]
    assert other.name.startswith("shard-")
    assert read_table(first.path).equals(keyed_table(random_keys(20)))


def test_batches_are_streamed_into_one_file(folder):
    table = keyed_table(random_keys(50))
    asked = []

    def batches():
        for start in range(0, 50, 20):
            asked.append(start)
            yield table.slice(start, 20)

    ref = write_batches(f"{folder}/t.parquet", table.schema, batches())
    assert asked == [0, 20, 40]
    assert ref.rows == 50
    assert read_table(ref.path).equals(table)


def test_no_batches_make_an_empty_table_with_its_columns(folder):
    schema = keyed_table(random_keys(1)).schema
    ref = write_batches(f"{folder}/t.parquet", schema, [])
    assert ref.rows == 0
    assert read_table(ref.path).schema.equals(schema)


def test_batches_that_fail_leave_nothing(folder):
    table = keyed_table(random_keys(5))

    def batches():
        yield table
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        write_batches(f"{folder}/t.parquet", table.schema, batches())
    with pytest.raises(pa.ArrowInvalid):
        write_batches(f"{folder}/t.parquet", pa.schema([("row", pa.int8())]), [pa.table({"row": [1000]})])
    assert list_files(folder) == []


# --- descriptions --------------------------------------------------------------------------------------------------------


def test_descriptions_are_kept_in_the_file(tmp_path):
    table = keyed_table(random_keys(3))
    described = describe(table.schema, {"key": "who it is", "vector": "where it is"})
    assert described.types == table.schema.types
    ref = write_table(str(tmp_path / "t.parquet"), table.cast(described))
    schema = pq.read_schema(ref.path)
    found = {name: (schema.field(name).metadata or {}).get(b"description") for name in schema.names}
    assert found == {"row": None, "key": b"who it is", "text": None, "vector": b"where it is"}


def test_nullability_survives_a_description():
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False)])
    assert not describe(schema, {"a": "a number"}).field("a").nullable


def test_a_description_of_no_column_is_an_error():
    with pytest.raises(KeyError, match="nope"):
        describe(pa.schema([("a", pa.int64())]), {"nope": "?"})


# --- range reads ---------------------------------------------------------------------------------------------------------


def check_range(folder, kind, values, low, high, row_group_rows, columns):
    table = pa.table({"row": pa.array(range(len(values)), pa.int64()), "key": pa.array(sorted(values), kind)})
    path = f"{folder}/range.parquet"
    write_table(path, table, row_group_rows)
    found = read_table(path, columns, key="key", low=low, high=high)
    rows = [
        row
        for row in table.to_pylist()
        if row["key"] is not None and (low is None or row["key"] >= low) and (high is None or row["key"] < high)
    ]
    names = columns or ["row", "key"]
    assert found.column_names == names
    assert found.to_pylist() == [{name: row[name] for name in names} for row in rows]


# Bytes at the ends of the range and with NULs at both ends are the cases where comparisons go wrong.
KEYS = st.one_of(st.sampled_from([b"\0" * 4, b"\xff" * 4, b"a\0\0\0", b"\0\0\0a"]), st.binary(min_size=4, max_size=4))
COLUMNS = st.sampled_from([None, ["row"], ["key"], ["key", "row"], ["row", "key"]])


@given(values=st.lists(KEYS, max_size=25), low=st.none() | KEYS, high=st.none() | KEYS, rows=st.integers(1, 7), columns=COLUMNS)
@settings(max_examples=80, deadline=None)
def test_a_range_read_is_a_filter_by_bytes(tmp_path_factory, values, low, high, rows, columns):
    check_range(str(tmp_path_factory.mktemp("range")), pa.binary(4), values, low, high, rows, columns)


@given(
    values=st.lists(st.text(max_size=3), max_size=15), low=st.none() | st.text(max_size=3), high=st.none() | st.text(max_size=3)
)
@settings(max_examples=50, deadline=None)
def test_a_range_read_is_a_filter_by_strings_on_another_file_system(values, low, high):
    check_range("memory://corpusbeam-range", pa.string(), values, low, high, 3, None)


NUMBERS = st.integers(-(2**63), 2**63 - 1)


@given(values=st.lists(NUMBERS, max_size=15), low=st.none() | NUMBERS, high=st.none() | NUMBERS)
@settings(max_examples=50, deadline=None)
def test_a_range_read_is_a_filter_by_numbers(tmp_path_factory, values, low, high):
    check_range(str(tmp_path_factory.mktemp("range")), pa.int64(), values, low, high, 4, ["row"])


def test_the_key_is_found_after_a_nested_column(tmp_path):
    """A struct is one field of the schema but several columns of a row group."""
    rows = list(range(10))
    table = pa.table({"place": [{"key": -i, "b": i} for i in rows], "down": [100 - i for i in rows], "key": rows})
    write_table(str(tmp_path / "t.parquet"), table, 3)
    assert read_table(str(tmp_path / "t.parquet"), ["key"], key="key", low=2, high=5)["key"].to_pylist() == [2, 3, 4]


def test_a_range_read_touches_only_the_row_groups_that_overlap(tmp_path):
    """Row groups outside the range may be damaged and the read still succeeds; inside, it does not."""
    keys = random_keys(60)
    ref = write_table(str(tmp_path / "t.parquet"), keyed_table(keys), row_group_rows=20)
    data = bytearray(Path(ref.path).read_bytes())
    for start, end in payloads(ref.path, row_group=0) + payloads(ref.path, row_group=2):
        data[start:end] = bytes(byte ^ 0xFF for byte in data[start:end])
    Path(ref.path).write_bytes(data)
    assert read_table(ref.path, ["row"], key="key", low=keys[20], high=keys[40])["row"].to_pylist() == list(range(20, 40))
    for low, high in ((keys[19], keys[40]), (keys[20], keys[41]), (None, keys[1]), (keys[59], None)):
        with pytest.raises(CorruptFileError):
            read_table(ref.path, ["row"], key="key", low=low, high=high)


# --- damage --------------------------------------------------------------------------------------------------------------


def payloads(path: str, row_group: int) -> list[tuple[int, int]]:
    """The bytes of every column chunk of one row group that are surely page content: its second half."""
    group = pq.ParquetFile(path).metadata.row_group(row_group)
    chunks = [group.column(i) for i in range(group.num_columns)]
    ends = [(chunk.data_page_offset, chunk.data_page_offset + chunk.total_compressed_size) for chunk in chunks]
    return [(end - (end - start) // 4, end) for start, end in ends]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    path = str(tmp_path_factory.mktemp("whole") / "t.parquet")
    write_table(path, keyed_table(random_keys(120)), row_group_rows=60)
    return Path(path).read_bytes()


@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_a_flipped_bit_in_a_page_is_refused(tmp_path_factory, whole, data):
    path = tmp_path_factory.mktemp("flip") / "t.parquet"
    path.write_bytes(whole)
    start, end = data.draw(st.sampled_from(payloads(str(path), 0) + payloads(str(path), 1)))
    at, bit = data.draw(st.integers(start, end - 1)), data.draw(st.integers(0, 7))
    path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :])
    with pytest.raises(CorruptFileError, match=r"t\.parquet"):
        read_table(str(path))


@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_a_truncated_file_is_refused(tmp_path_factory, whole, data):
    path = tmp_path_factory.mktemp("cut") / "t.parquet"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(CorruptFileError, match=r"t\.parquet"):
        read_table(str(path))


def test_any_other_file_is_refused_and_an_absent_one_is_absent(folder):
    fs, inner = url_to_fs(folder)
    fs.makedirs(inner, exist_ok=True)
    fs.pipe_file(f"{inner}/t.parquet", b"not Parquet at all" * 50)
    with pytest.raises(CorruptFileError, match="corpusbeam verify"):
        read_table(f"{folder}/t.parquet")
    with pytest.raises(FileNotFoundError):
        read_table(f"{folder}/absent.parquet")


def test_errors_of_the_reader_itself_are_not_called_damage(tmp_path):
    ref = write_table(str(tmp_path / "t.parquet"), keyed_table(random_keys(3)))
    with pytest.raises(ZeroDivisionError), open_parquet(ref.path):
        raise ZeroDivisionError


# --- other tools ---------------------------------------------------------------------------------------------------------


def test_duckdb_and_polars_read_keys_and_vectors(tmp_path):
    keys = random_keys(30)
    table = keyed_table(keys)
    ref = write_table(str(tmp_path / "t.parquet"), table, row_group_rows=8)
    vectors = table["vector"].to_pylist()
    rows = duckdb.sql(f"select key, vector, text from '{ref.path}' order by row").fetchall()
    assert [bytes(row[0]) for row in rows] == keys
    assert [list(row[1]) for row in rows] == vectors
    assert [row[2] for row in rows] == table["text"].to_pylist()
    frame = pl.read_parquet(ref.path)
    assert frame["key"].to_list() == keys
    assert [list(row) for row in frame["vector"].to_list()] == vectors
