"""The folder of `search --queries`: what is the user's stays."""

import pyarrow as pa
import pytest

from pipelines.answers_folder import QUARANTINE, check_answers_folder, remove_answers, work_folder
from pipelines.config import ConfigurationError
from transforms.corpus import QUARANTINE_SCHEMA
from transforms.files import join, list_files, write_bytes, write_table
from transforms.search import HITS_SCHEMA


def names(folder):
    return [path.rsplit("/", 1)[-1] for path in list_files(folder)]


def test_only_tables_of_an_earlier_call_are_removed(folder):
    write_table(join(folder, "part-00000.parquet"), HITS_SCHEMA.empty_table())
    write_table(join(folder, QUARANTINE), QUARANTINE_SCHEMA.empty_table())
    write_bytes(join(folder, "notes.parquet"), b"mine")
    write_bytes(join(folder, "work", "notes.txt"), b"mine")
    check_answers_folder(folder, ["elsewhere/q.parquet"])
    with work_folder(folder) as work:
        write_bytes(join(work, "parts", "part-00000.parquet"), b"")
    remove_answers(folder)
    assert names(folder) == ["notes.parquet"]
    assert names(join(folder, "work")) == ["notes.txt"]
    assert names(work) == []


@pytest.mark.parametrize("name", ["part-q.parquet", "part-00000.parquet", QUARANTINE])
def test_tables_of_others_are_refused_and_stay(folder, name):
    path = join(folder, name)
    write_table(path, pa.table({"id": ["a"], "text": ["what"]}))
    with pytest.raises(ConfigurationError, match=f"{name}, which is no table of answers"):
        check_answers_folder(folder, [])
    remove_answers(folder)
    write_bytes(path, b"no Parquet")
    with pytest.raises(ConfigurationError, match="no table of answers"):
        check_answers_folder(folder, [])
    remove_answers(folder)
    assert names(folder) == [name]


@pytest.mark.parametrize("queries", ["quarantine.parquet", "*.parquet", "../hits/quarantine.parquet"])
def test_a_folder_with_the_queries_in_it_is_refused(tmp_path, queries):
    output = str(tmp_path / "hits")
    write_table(join(output, QUARANTINE), QUARANTINE_SCHEMA.empty_table())
    with pytest.raises(ConfigurationError, match="has the queries"):
        check_answers_folder(output, [join(output, queries)])
