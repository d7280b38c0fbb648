import numpy as np
import pyarrow as pa
import pytest

from transforms.files import CorruptFileError, write_table
from transforms.search.row_groups import RowGroups


def test_rows_are_those_of_the_file_whatever_stays_in_memory(tmp_path):
    table = pa.table({"id": list(range(100)), "text": [f"text {i}" for i in range(100)]})
    write_table(f"{tmp_path}/t.parquet", table, 9)
    for kept in (0, 300, 1 << 20):
        groups = RowGroups(f"{tmp_path}/t.parquet", ["text", "nothing", "id"], kept)
        for row in np.random.default_rng(0).integers(0, 100, 50):
            assert groups.row(int(row)) == {"id": row, "text": f"text {row}"}
        assert (groups.rows, groups.groups) == (100, 12)
        assert len(groups._kept) <= (1 if kept == 0 else 12)


def test_an_opened_file_answers_when_its_generation_has_been_collected(tmp_path):
    write_table(f"{tmp_path}/t.parquet", pa.table({"id": [1, 2]}))
    groups = RowGroups(f"{tmp_path}/t.parquet", ["id"])
    (tmp_path / "t.parquet").unlink()
    assert groups.row(1) == {"id": 2}


def test_a_page_that_was_changed_is_told_with_the_path(tmp_path):
    write_table(f"{tmp_path}/t.parquet", pa.table({"id": np.random.default_rng(0).integers(0, 2**60, 4000)}))
    data = bytearray((tmp_path / "t.parquet").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "t.parquet").write_bytes(data)
    with pytest.raises(CorruptFileError, match=r"t\.parquet"):
        RowGroups(f"{tmp_path}/t.parquet", ["id"]).read(0)
    (tmp_path / "t.parquet").write_bytes(b"nothing")
    with pytest.raises(CorruptFileError, match="corpusbeam verify"):
        RowGroups(f"{tmp_path}/t.parquet", ["id"])
