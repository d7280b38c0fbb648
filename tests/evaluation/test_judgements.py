import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.corpus import InputError
from transforms.evaluation import read_judgements

QUERIES = {"q1": "first", "q2": "second", "q3": " \u200b", "q4": "fourth", "q5": "fifth"}
QRELS = [("q1", "a", 2), ("q1", "b", 0), ("q2", "c", 1), ("q3", "d", 1), ("q4", "e", 0), ("q9", "f", 1)]
LEFT_OUT = {
    "queries without a text": 1,
    "judgements of queries without a text": 2,
    "queries without a judgement": 1,
    "queries without a relevant document": 1,
}


def beir(folder):
    (folder / "qrels").mkdir(parents=True)
    lines = [json.dumps({"_id": name, "text": text, "metadata": {}}) for name, text in QUERIES.items()]
    (folder / "queries.jsonl").write_text("\n".join(lines) + "\n")
    rows = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in QRELS)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(rows) + "\n")
    return str(folder)


def tables(folder, qrels=QRELS, queries=None):
    paths = [str(folder / f"{name}.parquet") for name in ("qrels", "queries")]
    columns = zip(*qrels, strict=True)
    pq.write_table(pa.table(dict(zip(("query_id", "doc_id", "relevance"), map(list, columns), strict=True))), paths[0])
    queries = QUERIES if queries is None else queries
    pq.write_table(pa.table({"query_id": list(queries), "text": list(queries.values())}), paths[1])
    return paths


@pytest.mark.parametrize("made", [lambda folder: [beir(folder / "beir")], tables])
def test_what_is_judged_is_read_and_the_rest_counted(tmp_path, made):
    found = read_judgements(*made(tmp_path))
    assert found.texts == {"q1": "first", "q2": "second"}
    assert found.relevance == {"q1": {"a": 2, "b": 0}, "q2": {"c": 1}}
    assert found.judged == 3
    assert found.left_out == LEFT_OUT


def test_numbers_as_ids_are_taken_as_text(tmp_path):
    paths = tables(tmp_path, [(1, 7, 1)], {1: "one"})
    assert read_judgements(*paths).relevance == {"1": {"7": 1}}


@pytest.mark.parametrize(
    ("qrels", "queries", "said"),
    [
        ([("q1", "a", 0.5)], None, "row 0 has relevance 0.5"),
        ([("q1", "a", float("nan"))], None, "row 0 has relevance nan"),
        ([("q1", "a", float("inf"))], None, "row 0 has relevance inf"),
        ([("q1", 1.0, 1), ("q1", None, 1)], None, "has the id 1.0, a fraction"),
        ([("q1", "a", None)], None, "row 0 has relevance None"),
        ([("q1", None, 1)], None, "row 0 has no document"),
        ([("q1", "a", 1), ("q1", "a", 2)], None, "two relevances"),
        (
            [("q1", "a", 0)],
            None,
            "no query to measure, 1 queries without a text, 3 queries without a judgement",
        ),
        ([("q1", "a", 1)], {None: "text"}, "row 0 has no id"),
    ],
)
def test_what_cannot_be_understood_is_named(tmp_path, qrels, queries, said):
    with pytest.raises(InputError, match=said):
        read_judgements(*tables(tmp_path, qrels, queries))


def test_missing_files_columns_and_queries_are_named(tmp_path):
    qrels, queries = tables(tmp_path)
    with pytest.raises(InputError, match="have no queries: give their file"):
        read_judgements(qrels)
    with pytest.raises(InputError, match="does not exist"):
        read_judgements(str(tmp_path / "none.parquet"), queries)
    with pytest.raises(InputError, match=r"test\.tsv' does not exist"):
        read_judgements(str(tmp_path), queries)
    with pytest.raises(InputError, match="no column 'doc_id'"):
        read_judgements(queries, queries)
    (tmp_path / "surrogate.jsonl").write_text('{"query_id": "q1", "text": "\\ud800"}\n')
    with pytest.raises(InputError, match="row 0 is no Unicode"):
        read_judgements(qrels, str(tmp_path / "surrogate.jsonl"))
    (tmp_path / "broken.jsonl").write_text('{"query_id": "a", "text": "b"}\n{"query_id"\n')
    with pytest.raises(InputError, match="line 2 is not JSON"):
        read_judgements(qrels, str(tmp_path / "broken.jsonl"))


def test_no_password_of_a_path_is_shown():
    for qrels, queries in (("q.tsv", None), ("none.tsv", "none.tsv"), ("none.txt", "none.txt")):
        given = [None if name is None else f"memory://user:s3cret@x/{name}" for name in (qrels, queries)]
        with pytest.raises(InputError) as error:
            read_judgements(*given)
        assert "s3cret" not in str(error.value)
        assert "***@x/" in str(error.value)


def test_whole_numbers_may_be_written_with_a_point(tmp_path):
    (tmp_path / "qrels.tsv").write_text("query_id\tdoc_id\trelevance\nq1\ta\t2.0\n")
    assert read_judgements(str(tmp_path / "qrels.tsv"), tables(tmp_path)[1]).relevance == {"q1": {"a": 2}}


@pytest.mark.parametrize(
    ("name", "separator", "repair"),
    [("q.csv", ",", "quote texts with commas"), ("q.tsv", "\t", "write tabs in texts as spaces")],
)
def test_a_row_with_more_fields_than_the_header_is_named(tmp_path, name, separator, repair):
    """Its text would be cut at the first separator, and the figures be those of another query."""
    rows = [["query_id", "text"], ["q1", "a text"], ["q2", "red", " green"]]
    (tmp_path / name).write_text("".join(separator.join(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=f"{name}': line 3 has more fields than the header: {repair}"):
        read_judgements(tables(tmp_path)[0], str(tmp_path / name))


def test_a_quoted_text_may_have_commas_and_lines(tmp_path):
    (tmp_path / "q.csv").write_text('query_id,text\nq1,"red, green\nand blue"\nq2,"two ""quoted"""\n')
    found = read_judgements(tables(tmp_path)[0], str(tmp_path / "q.csv"))
    assert found.texts == {"q1": "red, green\nand blue", "q2": 'two "quoted"'}
