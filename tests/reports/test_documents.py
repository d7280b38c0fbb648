from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reports.generation import write_documents
from transforms.reports.documents import Document, excerpt, find_documents, keeps_text, rows_of

TEXTS = {f"id{i}": f"text {i} " + "x" * i for i in range(50)}


def test_finds_the_wanted_documents_with_metadata(tmp_path: Path) -> None:
    write_documents(tmp_path, TEXTS, parts=3, section="net")
    found = find_documents(str(tmp_path), {("id3", 0), ("id49", 0), ("id49", 1), ("absent", 0)}, 400)
    assert found == {
        ("id3", 0): Document("id3", TEXTS["id3"], (("section", "net"),)),
        ("id49", 0): Document("id49", TEXTS["id49"], (("section", "net"),)),
    }


def test_documents_without_text_are_found_without_it(tmp_path: Path) -> None:
    write_documents(tmp_path, TEXTS, keep_text=False)
    assert find_documents(str(tmp_path), {("id3", 0)}, 400) == {("id3", 0): Document("id3", None, ())}
    assert not keeps_text(str(tmp_path))


def test_no_documents_folder(tmp_path: Path) -> None:
    assert find_documents(str(tmp_path), {("id3", 0)}, 400) == {}
    assert not keeps_text(str(tmp_path))


def test_texts_are_read_only_from_row_groups_that_hold_a_wanted_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_documents(tmp_path, TEXTS, parts=3)
    read = []
    original = pq.ParquetFile.read_row_group

    def spy(self: pq.ParquetFile, group: int, columns: list[str] | None = None, **rest: object) -> object:
        read.append(columns)
        return original(self, group, columns=columns, **rest)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", spy)
    assert sum(table.num_rows for table in rows_of(str(tmp_path), {"id7"}, ["doc_id", "text"], 100)) == 1
    assert len(read) > 10
    assert [columns for columns in read if columns is None or "text" in columns] == [["doc_id", "text"]]


def test_a_long_text_is_cut_before_it_becomes_a_python_string(tmp_path: Path) -> None:
    write_documents(tmp_path, {"long": "word " * 100_000})
    (table,) = rows_of(str(tmp_path), {"long"}, ["doc_id", "text"], 100)
    assert len(table["text"][0].as_py()) == 404


@given(st.text(), st.integers(1, 40))
def test_an_excerpt_is_one_line_of_bounded_length_and_says_when_it_cut(text: str, characters: int) -> None:
    shown, line = excerpt(text, characters), " ".join(text.split())
    assert len(shown) <= characters
    assert "\n" not in shown
    if shown != line:
        assert len(line) > characters
        assert shown.endswith("…")
        assert line.startswith(shown[:-1])
