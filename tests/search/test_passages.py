from types import SimpleNamespace

import pyarrow as pa
import pytest

from transforms.corpus import doc_hash, part_of
from transforms.files import write_table
from transforms.search import find_passages
from transforms.search.passages import Passages

PARTS = 4


@pytest.fixture
def generation(tmp_path):
    """Thirty documents of one to three passages in four parts; `opened` lists the parts that were checked."""
    rows = [(f"d{i}", number) for i in range(30) for number in range(1 + i % 3)]
    parts = []
    for part in range(PARTS):
        own = sorted(row for row in rows if part_of(doc_hash(row[0]), PARTS) == part)
        columns = {"doc_id": [name for name, _ in own], "passage_no": pa.array([number for _, number in own], pa.int32())}
        table = pa.table(columns | {"text": [f"{name} says {number}" for name, number in own]})
        parts.append(write_table(f"{tmp_path}/part-{part:05d}.parquet", table))
    opened = []

    def checked(file):
        opened.append(file)
        return file.path

    return SimpleNamespace(manifest=SimpleNamespace(under=lambda _: parts), checked=checked, opened=opened)


def test_all_passages_of_the_documents_are_found(generation):
    found = find_passages(generation, {"d2", "d3", "nobody"}, ["text"])
    assert found == {
        ("d2", 0): {"text": "d2 says 0"},
        ("d2", 1): {"text": "d2 says 1"},
        ("d2", 2): {"text": "d2 says 2"},
        ("d3", 0): {"text": "d3 says 0"},
    }


def test_only_parts_that_can_hold_them_are_opened(generation):
    find_passages(generation, {"d5"}, ["text"])
    assert [file.path[-13] for file in generation.opened] == [str(part_of(doc_hash("d5"), PARTS))]


def test_a_column_that_is_not_kept_is_none(generation):
    assert find_passages(generation, ["d0"], ["text", "section"]) == {("d0", 0): {"text": "d0 says 0", "section": None}}


def test_only_the_parts_used_last_stay_open(generation, monkeypatch):
    monkeypatch.setattr("transforms.search.passages._PARTS", 2)
    passages = Passages(generation)
    for i in range(30):
        assert passages.find((f"d{i}", 0))[0]["text"] == f"d{i} says 0"
        assert len(passages._opened) <= 2
    assert passages.find(("d1", 7)) is None
    monkeypatch.setattr("transforms.search.passages._BYTES", 1)
    for i in range(10):
        assert passages.find((f"d{i}", 0))[0]["text"] == f"d{i} says 0"
        assert len(passages._opened) == 1
