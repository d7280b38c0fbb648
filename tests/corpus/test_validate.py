import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.corpus import content_key, doc_hash
from transforms.corpus.rows import Row, RowBatch, batch_rows
from transforms.corpus.validate import QUARANTINE_SCHEMA, validate


def batch(ids: pa.Array, texts: pa.Array) -> RowBatch:
    n = len(texts)
    return RowBatch(pa.array(["f"] * n), pa.array(range(n), pa.int64()), ids, texts)


def one(doc_id, text, id_type=None, text_type=None) -> str | None:
    """The reason for which a row is refused, or None."""
    valid, rejected = validate(batch(pa.array([doc_id], id_type), pa.array([text], text_type)))
    assert valid.num_rows + rejected.num_rows == 1
    return rejected["reason"][0].as_py() if rejected.num_rows else None


@pytest.mark.parametrize(
    ("doc_id", "text", "reason"),
    [
        ("a", "x", None),
        ("a", None, "null_text"),
        ("a", "", "empty_text"),
        ("a", " \t\n", "blank_text"),
        ("a", "\u00a0\u3000\u200b\ufeff\x00", "blank_text"),
        (None, "x", "null_id"),
        ("", "x", "empty_id"),
        ("  ", "x", "empty_id"),
        (None, None, "null_id"),
    ],
)
def test_reasons_of_strings(doc_id, text, reason):
    assert one(doc_id, text, pa.string(), pa.string()) == reason


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("é".encode(), None),
        ("é".encode("latin-1"), "undecodable"),
        (b"\xff\xfe", "undecodable"),
        ("a\ud800b".encode("utf-8", "surrogatepass"), "lone_surrogate"),
        ("\U0001f600".encode("utf-16-le", "surrogatepass"), "undecodable"),
    ],
)
@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.string()])
def test_reasons_of_bytes(raw, reason, kind):
    # Parquet files can hold string columns that are not UTF-8: Arrow does not look when it reads.
    texts = pa.array([raw], pa.binary())
    texts = texts.view(pa.string()) if kind == pa.string() else texts.cast(kind)
    assert one("a", None, pa.string(), pa.null()) == "null_text"
    valid, rejected = validate(batch(pa.array(["a"]), texts))
    assert (rejected["reason"].to_pylist() or [None]) == [reason]
    assert valid["text"].to_pylist() == ([] if reason else [raw.decode()])


def test_a_bad_neighbour_costs_only_itself():
    texts = pa.array([b"one", b"\xff", b"", "drei\ud800".encode("utf-8", "surrogatepass"), b"five"], pa.binary())
    valid, rejected = validate(batch(pa.array(list("abcde")), texts))
    assert valid["text"].to_pylist() == ["one", "five"]
    assert list(zip(rejected["doc_id"].to_pylist(), rejected["reason"].to_pylist(), strict=True)) == [
        ("b", "undecodable"),
        ("c", "empty_text"),
        ("d", "lone_surrogate"),
    ]
    assert rejected["excerpt"].to_pylist() == ["\\xff", "", "drei\\xed\\xa0\\x80"]


@pytest.mark.parametrize("kind", [pa.int8(), pa.int64(), pa.uint64()])
def test_integer_ids_become_decimal_strings(kind):
    valid, rejected = validate(batch(pa.array([7, None], kind), pa.array(["x", "y"])))
    assert valid["doc_id"].to_pylist() == ["7"]
    assert rejected["reason"].to_pylist() == ["null_id"]


@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=8)), max_size=20))
def test_texts_and_ids_are_kept_exactly_with_their_keys(pairs):
    rows = [Row("f", i, doc_id, text, ()) for i, (doc_id, text) in enumerate(pairs)]
    for part in batch_rows(rows, []):
        valid, rejected = validate(part)
        assert valid.num_rows + rejected.num_rows == len(pairs)
        for row in valid.to_pylist():
            doc_id, text = pairs[row["row"]]
            assert (row["doc_id"], row["text"]) == (doc_id, text)
            assert row["content_key"] == content_key(text)
            assert row["doc_hash"] == doc_hash(doc_id)
        for row in rejected.to_pylist():
            doc_id, text = pairs[row["row"]]
            has_surrogate = any("\ud800" <= character <= "\udfff" for character in doc_id + text)
            assert has_surrogate or not (doc_id.strip() and text.strip()) or row["reason"] in ("blank_text", "empty_id")


def test_excerpts_are_short_and_long_texts_are_valid():
    text = "x" * 1_000_000
    valid, _ = validate(batch(pa.array(["a"]), pa.array([text])))
    assert valid["text"].to_pylist() == [text]
    _, rejected = validate(batch(pa.array([None], pa.string()), pa.array([text])))
    assert rejected["excerpt"].to_pylist() == ["x" * 200]


def test_every_quarantine_column_is_described():
    assert all(field.metadata and field.metadata[b"description"] for field in QUARANTINE_SCHEMA)
