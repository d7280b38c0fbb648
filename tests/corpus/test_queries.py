import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.corpus import CorpusOptions, InputError, read_queries

QUERIES = ["how do I reset my password?", "Über die Brücke", "how do I reset my password?", "  spaces stay  "]


def test_every_format_gives_the_same_texts_in_file_order(tmp_path):
    (tmp_path / "q.txt").write_text("\n\n".join(QUERIES))
    with gzip.open(tmp_path / "q.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"text": text, "other": 1}) + "\n" for text in QUERIES)
    pq.write_table(pa.table({"text": QUERIES, "asked": [1, 2, 3, 4]}), tmp_path / "q.parquet")
    for name in ("q.txt", "q.jsonl.gz", "q.parquet"):
        assert read_queries(str(tmp_path / name), CorpusOptions()) == QUERIES


def test_of_the_corpus_only_the_text_column_counts(tmp_path):
    options = CorpusOptions(text_column="body", id_column="key", metadata_columns=["x"], sample=1, format="parquet")
    (tmp_path / "q.jsonl").write_text('{"body": "one"}\n{"body": "two"}\n')
    assert read_queries(str(tmp_path / "q.jsonl"), options) == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("q.txt", b"\n \n", "q.txt' has no query: write one text on each line"),
        ("q.jsonl", b'{"question": "a"}\n', "set text_column to one of 'question'"),
        ("q.jsonl", b'{"text": "a"}\n{"text": null}\n', "row 2 has no usable text (null_text)"),
        ("q.jsonl", b'{"text": "a"}\n{"text": 5}\n', "row 2 has no usable text (not_a_string: "),
        ("q.jsonl", b'{"text": "a"}\nnot json\n', "row 2 has no usable text (invalid_json: "),
        ("q.txt", b"good\n\xff\xfe\n", "row 2 has no usable text (undecodable)"),
        ("q.bin", b"", "q.bin"),
        ("absent/q.txt", None, "does not exist"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_queries(str(tmp_path / name), CorpusOptions())
    assert said in str(caught.value)
    assert "query file" in str(caught.value)
    assert "id_column" not in str(caught.value)
