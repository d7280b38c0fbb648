"""The folder of `evaluate --output`: what is the user's stays."""

import pyarrow as pa
import pytest

from pipelines.config import ConfigurationError
from pipelines.evaluate import EvaluateCommand
from pipelines.evaluation_folder import FIGURES, TABLES, check_evaluation_folder, write_evaluation
from transforms.files import join, list_files, read_json, write_bytes, write_table

NAMES = [FIGURES, *(f"{name}.parquet" for name in TABLES)]
FOUND = {"systems": [], "resamples": 100, "sections": {}}


def tables(*names):
    return {name: TABLES[name].empty_table() for name in names}


def names(folder):
    return [path.rsplit("/", 1)[-1] for path in list_files(folder)]


def test_an_earlier_evaluation_is_replaced_as_a_whole_and_other_files_stay(folder):
    write_bytes(join(folder, "notes.parquet"), b"mine")
    write_evaluation(folder, FOUND, tables("measures", "comparisons", "queries", "rankings"))
    check_evaluation_folder(folder, ["elsewhere/qrels.parquet"])
    paths = write_evaluation(folder, FOUND | {"seed": 1}, tables("measures", "comparisons", "pairs"))
    assert sorted(paths) == [join(folder, name) for name in names(folder) if name != "notes.parquet"]
    assert names(folder) == ["comparisons.parquet", FIGURES, "measures.parquet", "notes.parquet", "pairs.parquet"]
    assert read_json(join(folder, FIGURES))["seed"] == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "made", [lambda path: write_table(path, pa.table({"text": ["a"]})), lambda path: write_bytes(path, b"[]")]
)
def test_files_of_others_are_refused(folder, name, made):
    made(join(folder, name))
    with pytest.raises(ConfigurationError, match=f"{name}, which no evaluation wrote"):
        check_evaluation_folder(folder, [])


@pytest.mark.parametrize("option", ["qrels", "queries", "pairs"])
def test_labels_in_the_output_are_refused_before_anything_is_read(tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    given = {"qrels": "/elsewhere/qrels.tsv", option: str(tmp_path / f"{option}.parquet")}
    with pytest.raises(ConfigurationError, match=f"has the labels .*{option}"):
        EvaluateCommand(**given, output=".").run()


@pytest.mark.parametrize("option", ["root", "compare_root"])
def test_nothing_is_written_among_published_files(tmp_path, monkeypatch, option):
    monkeypatch.setattr("pipelines.text_sets.read_current", lambda root: root == str(tmp_path / option) or None)
    with pytest.raises(ConfigurationError, match="inside the root"):
        EvaluateCommand(**{option: str(tmp_path / option)}, output=str(tmp_path / option / "out")).run()
