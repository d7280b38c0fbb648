import numpy as np
import pyarrow as pa
import pytest

from transforms.corpus import content_keys
from transforms.files import filesystem_of, read_table, write_table
from transforms.index import IdCollisionError, ids_schema, write_ids
from transforms.index.ids import is_in


def make_documents(folder: str, keys: pa.Array, rows_per_part: int):
    """Documents in another order than that of their keys; the last ones share the texts of the first."""
    count = len(keys) + min(len(keys), 50)
    table = pa.table(
        {
            "doc_id": [f"d{(i * 7919) % count:06d}" for i in range(count)],
            "passage_no": pa.array(np.arange(count) % 3, pa.int32()),
            "content_key": pa.array([keys[i % len(keys)].as_py() for i in range(count)], pa.binary(32)),
        }
    ).sort_by("doc_id")
    return [
        write_table(f"{folder}/d{low:06d}.parquet", table.slice(low, rows_per_part)) for low in range(0, count, rows_per_part)
    ]


@pytest.mark.parametrize("texts", [1, 4046, 9000])
def test_the_bytes_do_not_depend_on_what_fits_into_memory(folder, texts):
    documents = make_documents(folder, content_keys([f"text {i}" for i in range(texts)]), 500)
    at_once, different = write_ids(documents, f"{folder}/a.parquet", f"{folder}/work")
    rows = [(row["id"], row["content_key"], row["doc_id"], row["passage_no"]) for row in read_table(at_once.path).to_pylist()]
    assert rows == sorted(rows)
    assert different == texts == len({row[0] for row in rows})
    assert len(rows) == at_once.rows == texts + min(texts, 50)
    expected = write_table(f"{folder}/b.parquet", pa.Table.from_pylist(read_table(at_once.path).to_pylist(), ids_schema()))
    assert at_once.sha256 == expected.sha256
    for limit in (1, 700, 3000):
        parts, again = write_ids(documents[::-1], f"{folder}/c.parquet", f"{folder}/work", rows=limit)
        assert (parts.sha256, parts.rows, again) == (at_once.sha256, at_once.rows, different)
    # What waited in files is gone.
    fs, inner = filesystem_of(f"{folder}/work")
    assert not fs.exists(inner) or not fs.find(inner)


def test_colliding_ids_are_found_in_any_part(tmp_path):
    keys = content_keys([f"text {i}" for i in range(2000)]).to_pylist()
    # The same 63 bits with another key.
    keys.append(keys[1234][:8] + bytes(24))
    documents = make_documents(str(tmp_path), pa.array(keys, pa.binary(32)), 300)
    for rows in (300, 10_000):
        with pytest.raises(IdCollisionError, match=r"have the same 63-bit id \d+"):
            write_ids(documents, f"{tmp_path}/ids.parquet", f"{tmp_path}/work", rows)
    assert not (tmp_path / "ids.parquet").exists()


def test_which_ids_are_among_others():
    ids = np.array([5, 1, 9, 1])
    assert is_in(ids, np.array([1, 3, 9])).tolist() == [False, True, True, True]
    assert is_in(ids, np.empty(0, np.int64)).tolist() == is_in(ids, None).tolist() == [False] * 4
    assert is_in(ids[:0], np.array([1])).tolist() == []
