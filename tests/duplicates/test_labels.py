import json
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from transforms.corpus import InputError
from transforms.duplicates import read_labels
from transforms.files import write_table

ROWS = [
    {"text1": "one", "text2": "two", "label": 1},
    {"text1": "three, with a comma", "text2": "four\nlines", "label": 0},
    {"text1": "five", "text2": "six", "label": None},
    {"text1": "seven", "text2": " \u200b", "label": 1},
    {"text1": None, "text2": "eight", "label": 1},
]


def write(folder, ending: str, rows: list[dict], names: tuple[str, str, str] = ("text1", "text2", "label")):
    path = folder / f"labels.{ending}"
    renamed = [dict(zip(names, row.values(), strict=True)) for row in rows]
    if ending == "csv":
        pa.csv.write_csv(pa.Table.from_pylist(renamed), path)
    elif ending == "parquet":
        pq.write_table(pa.Table.from_pylist(renamed), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in renamed))
    return str(path)


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("names", [("text1", "text2", "label"), ("sentence1", "sentence2", "is_duplicate")])
def test_texts_and_labels_are_read_from_every_format(tmp_path, ending, names):
    pairs = read_labels(write(tmp_path, ending, ROWS, names))
    assert pairs.a == ("one", "three, with a comma")
    assert pairs.b == ("two", "four\nlines")
    assert pairs.labels.tolist() == [True, False]
    assert pairs.left_out == {"without a label": 1, "without a text": 2}
    assert not pairs.named


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_documents_are_named_by_their_ids_as_they_are(tmp_path, ending):
    rows = [{"a": "007", "b": "8", "label": 1}, {"a": "9", "b": "010", "label": 0}]
    pairs = read_labels(write(tmp_path, ending, rows, ("doc_id_a", "doc_id_b", "label")))
    assert pairs.named
    assert pairs.a == (("007", None), ("9", None))
    assert pairs.b == (("8", None), ("010", None))


def test_passages_of_published_pairs_are_named_with_their_numbers(tmp_path):
    table = {"doc_id_a": ["x"], "passage_no_a": [3], "doc_id_b": ["y"], "passage_no_b": [0], "label": [1]}
    pq.write_table(pa.table(table), tmp_path / "labels.parquet")
    pairs = read_labels(str(tmp_path / "labels.parquet"))
    assert (pairs.a, pairs.b) == ((("x", 3),), (("y", 0),))


def test_texts_come_before_ids(tmp_path):
    table = {"label": [1], "id1": ["x"], "id2": ["y"], "text1": ["one"], "text2": ["two"]}
    pq.write_table(pa.table(table), tmp_path / "labels.parquet")
    assert read_labels(str(tmp_path / "labels.parquet")).a == ("one",)


@pytest.mark.parametrize("labels", [[True, False], [1.0, 0.0], np.array([1, 0], np.uint8), ["1", "0"]])
def test_labels_may_have_any_type(tmp_path, labels):
    pq.write_table(pa.table({"text1": ["a", "b"], "text2": ["c", "d"], "label": labels}), tmp_path / "labels.parquet")
    assert read_labels(str(tmp_path / "labels.parquet")).labels.tolist() == [True, False]


@pytest.mark.parametrize("labels", [[1.0, float("nan"), None, 0.0], [1, None, None, 0], [True, None, None, False]])
def test_a_pair_without_a_label_is_left_out_however_that_is_written(tmp_path, labels):
    table = pa.table({"text1": list("abcd"), "text2": list("efgh"), "label": labels})
    pq.write_table(table, tmp_path / "labels.parquet")
    pairs = read_labels(str(tmp_path / "labels.parquet"))
    assert (pairs.a, pairs.labels.tolist(), pairs.left_out) == (("a", "d"), [True, False], {"without a label": 2})


@pytest.mark.parametrize("kind", [pa.null(), pa.int64(), pa.float64(), pa.bool_(), pa.string()])
def test_labels_may_all_be_missing(tmp_path, kind):
    table = pa.table({"text1": ["a", "b"], "text2": ["c", "d"], "label": pa.array([None, None], kind)})
    pq.write_table(table, tmp_path / "labels.parquet")
    pairs = read_labels(str(tmp_path / "labels.parquet"))
    assert (len(pairs.labels), pairs.left_out) == (0, {"without a label": 2})


def test_the_row_that_is_named_is_not_one_without_a_label(tmp_path):
    table = pa.table({"text1": list("ab"), "text2": list("cd"), "label": [float("nan"), 0.5]})
    pq.write_table(table, tmp_path / "labels.parquet")
    with pytest.raises(InputError, match=r"row 1 has label 0\.5"):
        read_labels(str(tmp_path / "labels.parquet"))


@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_a_json_array_is_refused_with_what_to_do(tmp_path, ending):
    path = tmp_path / f"labels.{ending}"
    path.write_text(json.dumps(ROWS, indent=1))
    with pytest.raises(InputError, match="JSON array: write one object per line"):
        read_labels(str(path))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"text1": ["a"], "text2": ["b"], "score": [1]}, "no column for label"),
        ({"left": ["a"], "right": ["b"], "label": [1]}, "found: 'left', 'right', 'label'"),
        ({"text1": ["a", "c"], "text2": ["b", "d"], "label": [1.0, 2.5]}, "row 1 has label 2.5"),
        ({"text1": ["a"], "text2": ["b"], "label": ["yes"]}, "row 0 has label 'yes'"),
        ({"text1": [["a"]], "text2": ["b"], "label": [1]}, "not text or numbers"),
    ],
)
def test_what_cannot_be_understood_is_named(tmp_path, columns, said):
    pq.write_table(pa.table(columns), tmp_path / "labels.parquet")
    with pytest.raises(InputError, match=said):
        read_labels(str(tmp_path / "labels.parquet"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [("labels.xlsx", b"", "no known ending"), ("labels.parquet", b"no", "cannot be read"), (None, b"", "do not exist")],
)
def test_files_that_cannot_be_read_are_named(tmp_path, name, content, said):
    path = tmp_path / (name or "nowhere.csv")
    if name:
        path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_labels(str(path))


def test_no_password_of_a_path_is_shown():
    url = f"memory://user:s3cret@{uuid.uuid4().hex}/labels.parquet"
    for columns in ({"a": ["x"]}, {"text1": ["a"], "text2": ["b"], "label": [7]}):
        write_table(url, pa.table(columns))
        with pytest.raises(InputError) as error:
            read_labels(url)
        assert "s3cret" not in str(error.value)
        assert "***@" in str(error.value)
