import bz2
import gzip
import json
import lzma

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from tests.corpus.helpers import build, write_jsonl, write_parquet
from transforms.corpus import CorpusOptions, InputError, check_readable, jsonl, lines, plan_units, read_unit, text
from transforms.corpus.units import Slice


def reasons_by_row(corpus):
    return {row["row"]: row["reason"] for row in corpus.quarantine()}


BAD_LINES = [
    (b'{"id": "1", "text": "good"}', None),
    (b'{"id": "2", "text": "cut', "invalid_json"),
    (b'{"id": "3", "text": "\xff"}', "undecodable"),
    (b'["4", "a list"]', "not_an_object"),
    (b"null", "not_an_object"),
    (b"", "blank line"),
    (b"   ", "blank line"),
    (b'{"id": "5", "text": "half \\ud83d pair"}', "lone_surrogate"),
    (b'{"id": "6", "text": "whole \\ud83d\\ude00 pair"}', None),
    (b'{"text": "x"}', "missing_id"),
    (b'{"id": "7"}', "missing_text"),
    (b'{"id": null, "text": "x"}', "null_id"),
    (b'{"id": 1.5, "text": "x"}', "bad_id"),
    (b'{"id": true, "text": "x"}', "bad_id"),
    (b'{"id": ["x"], "text": "x"}', "bad_id"),
    (b'{"id": "", "text": "x"}', "empty_id"),
    (b'{"id": "8", "text": null}', "null_text"),
    (b'{"id": "9", "text": ""}', "empty_text"),
    (b'{"id": "10", "text": " \\t "}', "blank_text"),
    (b'{"id": "11", "text": 5}', "not_a_string"),
    (b'{"id": "12", "text": {"a": 1}}', "not_a_string"),
    (b'{"id": 13, "text": "integer id"}', None),
    (b'{"id": "a\\ud800", "text": "x"}', "lone_surrogate"),
    (b"[" * 100_000, "invalid_json"),
    (b'{"id": ' + b"1" * 5000 + b', "text": "x"}', "invalid_json"),
    (b'{"id": "14", "text": "last"}\r', None),
]


def test_a_bad_line_costs_only_itself(tmp_path):
    corpus = build(tmp_path / "out", input=[write_jsonl(tmp_path / "a.jsonl", [line for line, _ in BAD_LINES])])
    expected = {i: reason for i, (_, reason) in enumerate(BAD_LINES, 1) if reason not in (None, "blank line")}
    assert reasons_by_row(corpus) == expected
    assert {row["doc_id"]: row["text"] for row in corpus.rows()} == {
        "1": "good",
        "6": "whole 😀 pair",
        "13": "integer id",
        "14": "last",
    }
    (unit,) = corpus.units
    assert unit.rows_read == len(BAD_LINES) - 2 == unit.rows_valid + sum(dict(unit.reasons).values())
    for row in corpus.quarantine():
        assert row["source"].endswith("a.jsonl")
        assert len(row["excerpt"] or "") <= 200


@example([b"\xef\xbb\xbf"])
@example([b"\xef\xbb\xbf\xef\xbb\xbf", b"\xef\xbb\xbf"])
@given(st.lists(st.binary(max_size=20) | st.sampled_from([line for line, _ in BAD_LINES[:9]]), max_size=8))
def test_no_bytes_can_stop_the_reader(tmp_path_factory, pieces):
    path = tmp_path_factory.mktemp("x") / "a.jsonl"
    path.write_bytes(b"\n".join(pieces))
    rows = list(jsonl.read(Slice(str(path), "a", 0), CorpusOptions()))
    # A byte order mark at the start of the file is no part of its first line.
    written = [line for line in b"\n".join(pieces).removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    # \x0b and the like are white space to bytes.strip and not line ends to anyone
    assert len(rows) == len(written)


def test_every_written_row_is_read_back(tmp_path):
    @given(st.lists(st.tuples(st.integers(), st.text(min_size=1)), max_size=20))
    def check(pairs):
        path = write_jsonl(tmp_path / "a.jsonl", [{"id": doc_id, "text": text} for doc_id, text in pairs])
        rows = list(jsonl.read(Slice(path, "a", 0), CorpusOptions()))
        assert [(row.doc_id, row.text) for row in rows] == [(str(doc_id), text) for doc_id, text in pairs]

    check()


COMPRESS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstandard.ZstdCompressor().compress}


@pytest.mark.parametrize("ending", COMPRESS)
@pytest.mark.parametrize(("name", "content"), [("a.jsonl", b'{"id": "a.jsonl", "text": "x"}\n'), ("a.txt", b"x")])
def test_compressed_files(tmp_path, ending, name, content):
    (tmp_path / (name + ending)).write_bytes(COMPRESS[ending](content))
    corpus = build(tmp_path / "out", input=[f"{tmp_path}/{name}*"])
    assert [(row["doc_id"].removesuffix(ending), row["text"]) for row in corpus.rows()] == [(name, "x")]


@pytest.mark.parametrize("ending", COMPRESS)
def test_a_truncated_compressed_file_is_never_silently_shorter(tmp_path, ending):
    rows = [json.dumps({"id": i, "text": f"text {i} {i**9}"}).encode() for i in range(20000)]
    whole = COMPRESS[ending](b"\n".join(rows))
    (tmp_path / f"a.jsonl{ending}").write_bytes(whole[: len(whole) * 9 // 10])
    settings = {"input": [f"{tmp_path}/a.jsonl{ending}"], "unreadable_files": "quarantine"}
    corpus = build(tmp_path / "out", **settings)
    assert 0 < len(corpus.rows()) < len(rows)
    assert corpus.reasons.get("unreadable_file") == 1, corpus.reasons
    check_readable(corpus.units, CorpusOptions(**settings))
    with pytest.raises(InputError, match=rf"'.*a.jsonl{ending}' cannot be read: .*unreadable_files to quarantine"):
        check_readable(corpus.units, CorpusOptions(**settings | {"unreadable_files": "fail"}))


def test_a_file_that_vanishes_after_the_plan(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("x")
    (unit,) = plan_units(CorpusOptions(input=[str(path)]))
    path.unlink()
    record = read_unit(unit, CorpusOptions(), f"{tmp_path}/runs", f"{tmp_path}/quarantine")
    assert record.reasons == (("unreadable_file", 1),)
    assert record.unreadable[0][0] == str(path)


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"", []),
        (b"a\n\n  \nb\r\nc", [(1, b"a"), (4, b"b"), (5, b"c")]),
        (b"\xef\xbb\xbfmark\n\xef\xbb\xbfno mark", [(1, b"mark"), (2, b"\xef\xbb\xbfno mark")]),
        (b"a\rb\x0bc\x85", [(1, b"a\rb\x0bc\x85")]),
    ],
)
def test_text_by_line(tmp_path, content, rows):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    options = CorpusOptions(text_unit="line")
    found = list(text.read(Slice(str(path), "deep/a.txt", 0), options))
    assert [(row.row, row.text) for row in found] == rows
    assert [row.doc_id for row in found] == [f"deep/a.txt:{number}" for number, _ in rows]


def test_text_by_file_is_exact(tmp_path):
    contents = {"a.txt": b"\xef\xbb\xbf mark\r\nline \x00 \n", "b.md": "ünï\u2028".encode(), "deep/c.rst": b"x" * 1_000_000}
    bad = {"empty.txt": (b"", "empty_text"), "blank.txt": (b" \n", "blank_text"), "latin.txt": (b"\xe9", "undecodable")}
    (tmp_path / "deep").mkdir()
    for name, content in [*contents.items(), *((name, content) for name, (content, _) in bad.items())]:
        (tmp_path / name).write_bytes(content)
    corpus = build(tmp_path / "out", input=[f"{tmp_path}"])
    texts = {row["doc_id"]: row["text"].encode() for row in corpus.rows()}
    assert texts == {name: content.removeprefix(b"\xef\xbb\xbf") for name, content in contents.items()}
    assert {row["doc_id"]: row["reason"] for row in corpus.quarantine()} == {name: reason for name, (_, reason) in bad.items()}


def test_a_line_or_file_beyond_the_limit_costs_only_itself(tmp_path, monkeypatch):
    for module in (lines, text, jsonl):
        monkeypatch.setattr(module, "MAX_TEXT_BYTES", 40)
    path = write_jsonl(tmp_path / "a.jsonl", [{"id": 1, "text": "a"}, {"id": 2, "text": "b" * 100}, {"id": 3, "text": "c"}])
    corpus = build(tmp_path / "out", input=[path])
    assert [row["doc_id"] for row in sorted(corpus.rows(), key=lambda row: row["doc_id"])] == ["1", "3"]
    assert reasons_by_row(corpus) == {2: "too_large"}
    (tmp_path / "t.txt").write_bytes(b"d" * 41 + b"\n" + b"e" * 40 + b"\nf")
    corpus = build(tmp_path / "out", input=[f"{tmp_path}/t.txt"], text_unit="line")
    assert reasons_by_row(corpus) == {1: "too_large"}
    assert sorted(len(row["text"]) for row in corpus.rows()) == [1, 40]
    corpus = build(tmp_path / "out", input=[f"{tmp_path}/t.txt"])
    assert reasons_by_row(corpus) == {None: "too_large"}


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int32(), pa.string())]
)
def test_parquet_text_types(tmp_path, kind):
    texts = ["a", None, "", "b", "a"]
    ids = ["1", "2", "3", None, "5"]
    columns = {"id": pa.array(ids).cast(kind), "text": pa.array(texts).cast(kind)}
    corpus = build(tmp_path / "out", input=[write_parquet(tmp_path / "a.parquet", columns)])
    assert {row["doc_id"]: row["text"] for row in corpus.rows()} == {"1": "a", "5": "a"}
    assert reasons_by_row(corpus) == {1: "null_text", 2: "empty_text", 3: "null_id"}


def test_parquet_with_null_typed_columns(tmp_path):
    columns = {"id": pa.nulls(2), "text": pa.nulls(2), "m": pa.nulls(2)}
    corpus = build(tmp_path / "out", input=[write_parquet(tmp_path / "a.parquet", columns)], metadata_columns=["m"])
    assert corpus.reasons == {"null_id": 2}


def test_zero_row_files_and_row_groups(tmp_path):
    schema = pa.schema([("id", pa.string()), ("text", pa.string())])
    with pq.ParquetWriter(tmp_path / "groups.parquet", schema) as writer:
        for rows in ([], ["a"], [], [], ["b", "c"], []):
            writer.write_table(pa.table({"id": rows, "text": [f"text {row}" for row in rows]}, schema=schema))
    assert pq.ParquetFile(tmp_path / "groups.parquet").num_row_groups == 6
    pq.write_table(schema.empty_table(), tmp_path / "empty.parquet")
    with pq.ParquetWriter(tmp_path / "none.parquet", schema):
        pass
    assert pq.ParquetFile(tmp_path / "none.parquet").num_row_groups == 0
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "blank.jsonl").write_bytes(b"\n \n")
    corpus = build(tmp_path / "out", input=[f"{tmp_path}/*.parquet", f"{tmp_path}/*.jsonl"])
    assert sorted((row["doc_id"], row["text"]) for row in corpus.rows()) == [(name, f"text {name}") for name in "abc"]
    assert corpus.reasons == {}


def test_a_damaged_parquet_page_is_found_when_it_is_read(tmp_path):
    path = tmp_path / "a.parquet"
    texts = [f"text number {i}" for i in range(5000)]
    write_parquet(path, {"id": [str(i) for i in range(5000)], "text": texts}, write_page_checksum=True, use_dictionary=False)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    path.write_bytes(damaged)
    corpus = build(tmp_path / "out", input=[str(path)])
    with pytest.raises(InputError, match=r"a.parquet' cannot be read: .*"):
        check_readable(corpus.units, CorpusOptions())
