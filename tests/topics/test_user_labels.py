"""Labels of the user's own take the place of titles, and nothing else."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.corpus import InputError
from transforms.files import read_table, write_table
from transforms.topics import THEMES_SCHEMA, TOPICS_SCHEMA, LabelTask, TopicsOptions, label_topics, read_user_labels

ROWS = [("00000000e1234567", "  Mail \n servers"), ("0012", "2024-01-01"), ("b", "größe, <b>")]
LABELS = {"00000000e1234567": "Mail servers", "0012": "2024-01-01", "b": "größe, <b>"}


def written(folder, ending, rows):
    path = folder / f"labels{ending}"
    if ending == ".parquet":
        pq.write_table(pa.table({"uid": [row[0] for row in rows], "label": [row[1] for row in rows]}), path)
    elif ending == ".csv":
        cells = [f'{uid},"{label}"' for uid, label in rows]
        path.write_text("\n".join(["uid,label", *cells]))
    else:
        path.write_text("\n".join(json.dumps({"uid": uid, "label": label}) for uid, label in rows))
    return str(path)


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl"])
def test_labels_of_every_format(tmp_path, ending):
    assert read_user_labels(written(tmp_path, ending, ROWS)) == LABELS


def test_labels_on_s3(s3_bucket, tmp_path):
    from transforms.files import filesystem_of

    fs, inner = filesystem_of(f"{s3_bucket}/labels.csv")
    with fs.open(inner, "wb") as file, open(written(tmp_path, ".csv", ROWS), "rb") as local:
        file.write(local.read())
    assert read_user_labels(f"{s3_bucket}/labels.csv") == LABELS


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "x"), ("", "y")], "row 1 has no uid"),
        ([("a", "x"), ("b", "  ")], "row 1 has no label"),
        ([("a", "x"), ("b", "y"), ("a", "x")], "row 2 labels 'a' a second time"),
        ([("a", "x" * 201)], "row 0 has a label of 201 characters"),
    ],
)
@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl"])
def test_rows_that_cannot_be_used(tmp_path, ending, rows, message):
    path = written(tmp_path, ending, rows)
    with pytest.raises(InputError, match=message) as caught:
        read_user_labels(path)
    assert path in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"uid": "a", "label": "x"}\n{"uid": "b"}', "row 1 has no label"),
        ("a.jsonl", b'{"uid": 7, "label": "x"}', "cannot be read"),
        ("a.jsonl", b'[{"uid": "a", "label": "x"}]', "JSON array"),
        ("a.jsonl", b'{"topic_uid": "a", "label": "x"}', "no column 'uid' .*'topic_uid'"),
        ("a.csv", b"uid;label\na;x", "no column 'uid'"),
        ("a.txt", b"a x", "no known ending"),
        ("a.parquet", b"", "cannot be read"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_user_labels(str(tmp_path / name))
    with pytest.raises(InputError, match="do not exist"):
        read_user_labels(str(tmp_path / "absent.csv"))


def table_of(uid, titles):
    schema = TOPICS_SCHEMA if uid == "topic_uid" else THEMES_SCHEMA
    rows = [{uid: f"{uid[:2]}{i}", "title": one, "found_title": one, "terms": [one]} for i, one in enumerate(titles)]
    return pa.Table.from_pylist(rows, schema=schema)


def test_labels_are_titles_until_they_are_taken_back(tmp_path):
    found = [
        write_table(f"{tmp_path}/{name}.parquet", table_of(uid, titles))
        for name, uid, titles in (("topics", "topic_uid", ["mail", "perl", "disk"]), ("themes", "theme_uid", ["net", "dev"]))
    ]

    def labelled(**labels):
        record = label_topics(LabelTask(*found, tuple(sorted(labels.items())), str(tmp_path)), TopicsOptions())
        return record, *(read_table(file.path) for file in (record.topics, record.themes))

    record, topics, themes = labelled(to1="Languages", th0="Networks", gone="x", older="y")
    assert (record.labelled, record.unknown, record.examples) == (2, 2, ("gone", "older"))
    assert topics["title"].to_pylist() == ["mail", "Languages", "disk"]
    assert topics["label"].to_pylist() == [None, "Languages", None]
    assert themes["title"].to_pylist() == ["Networks", "dev"]
    assert topics["terms"].to_pylist() == [["mail"], ["perl"], ["disk"]]
    record, topics, themes = labelled(to0="Post")  # from tables that have labels
    assert (topics["title"].to_pylist(), themes["title"].to_pylist()) == (["Post", "perl", "disk"], ["net", "dev"])
    record, *_ = labelled()  # byte for byte
    assert (record.topics.sha256, record.themes.sha256) == tuple(file.sha256 for file in found)
