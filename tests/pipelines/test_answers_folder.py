"""The folder of `search --queries`: what is the user's stays."""

import pyarrow as pa
import pytest

from pipelines.answers_folder import QUARANTINE, check_answers_folder, publish_answers, work_folder
from pipelines.config import ConfigurationError
from transforms.corpus import QUARANTINE_SCHEMA
from transforms.files import join, list_files, move_file, write_bytes, write_table
from transforms.search import HITS_SCHEMA


def names(folder):
    return [path.rsplit("/", 1)[-1] for path in list_files(folder)]


def write_answers(folder, *parts):
    for part in parts:
        write_table(join(folder, f"part-{part:05d}.parquet"), HITS_SCHEMA.empty_table())


def test_only_tables_of_an_earlier_call_are_replaced(folder):
    write_answers(folder, 0, 1)
    write_table(join(folder, QUARANTINE), QUARANTINE_SCHEMA.empty_table())
    write_bytes(join(folder, "notes.parquet"), b"mine")
    write_bytes(join(folder, "work", "notes.txt"), b"mine")
    check_answers_folder(folder, ["elsewhere/q.parquet"])
    with work_folder(folder) as work:
        write_bytes(join(work, "parts", "part-00000.parquet"), b"")
        write_answers(join(work, "answers"), 0)
        publish_answers(join(work, "answers"), folder)
        assert names(join(work, "answers")) == []
    assert names(folder) == ["notes.parquet", "part-00000.parquet"]
    assert names(join(folder, "work")) == ["notes.txt"]
    assert names(work) == []


def test_a_part_of_the_answers_is_never_left(folder, monkeypatch):
    write_answers(folder, 0, 1)
    write_bytes(join(folder, "notes.parquet"), b"mine")
    finished = join(folder, "work", "answers")
    write_answers(finished, 0, 1)
    moved = []

    def move(fs, source, target):
        if moved:
            raise OSError("the disk is full")
        moved.append(target)
        move_file(fs, source, target)

    monkeypatch.setattr("pipelines.answers_folder.move_file", move)
    with pytest.raises(OSError, match="the disk is full"):
        publish_answers(finished, folder)
    assert (len(moved), names(folder)) == (1, ["notes.parquet"])


@pytest.mark.parametrize("name", ["part-q.parquet", "part-00000.parquet", QUARANTINE])
def test_tables_of_others_are_refused_and_stay(folder, name):
    path = join(folder, name)
    write_table(path, pa.table({"id": ["a"], "text": ["what"]}))
    with pytest.raises(ConfigurationError, match=f"{name}, which is no table of answers"):
        check_answers_folder(folder, [])
    write_bytes(path, b"no Parquet")
    with pytest.raises(ConfigurationError, match="no table of answers"):
        check_answers_folder(folder, [])
    assert names(folder) == [name]


@pytest.mark.parametrize("queries", ["quarantine.parquet", "*.parquet", "../hits/quarantine.parquet"])
def test_a_folder_with_the_queries_in_it_is_refused(tmp_path, queries):
    output = str(tmp_path / "hits")
    write_table(join(output, QUARANTINE), QUARANTINE_SCHEMA.empty_table())
    with pytest.raises(ConfigurationError, match="has the queries"):
        check_answers_folder(output, [join(output, queries)])
