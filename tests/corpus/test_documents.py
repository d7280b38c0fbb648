import hashlib
import random
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus.helpers import build, write_jsonl, write_parquet
from transforms.corpus import (
    CorpusOptions,
    IdCollisionError,
    QuarantineLimitError,
    check_quarantine,
    content_key,
    passages,
    read,
)

TEXTS = st.sampled_from(["red", "green", "blue", "Größe", "x" * 50, "👋"])
IDS = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=3)
SIXTEEN_PARTS = {"rows_per_part": 3}


def doc_order(doc_id):
    return hashlib.sha256(doc_id.encode()).digest()[:8], doc_id


def expected_documents(rows):
    """In-memory oracle: the first row of each id, in canonical order."""
    first = {}
    for doc_id, text in rows:
        first.setdefault(doc_id, text)
    return [(doc_id, first[doc_id]) for doc_id in sorted(first, key=doc_order)]


def expected_texts(documents):
    """In-memory oracle: each text with its smallest id and its number of documents, by content key."""
    ids = defaultdict(list)
    for doc_id, text in documents:
        ids[text].append(doc_id)
    return [(text, min(ids[text]), len(ids[text])) for text in sorted(ids, key=content_key)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(IDS, TEXTS), max_size=40), st.integers(0, 40), st.integers(1, 5))
def test_the_shuffle_is_the_in_memory_sort(tmp_path_factory, rows, cut, per_part):
    out = tmp_path_factory.mktemp("shuffle")
    for name, part in (("1", rows[:cut]), ("2", rows[cut:])):
        write_parquet(
            out / f"in/{name}.parquet",
            {key: pa.array([row[i] for row in part], pa.string()) for i, key in enumerate(("id", "text"))},
        )
    corpus = build(out, input=[f"{out}/in"], rows_per_part=per_part)
    documents = expected_documents(rows)
    assert [(row["doc_id"], row["text"]) for row in corpus.rows()] == documents
    assert [row["content_key"] for row in corpus.rows()] == [content_key(text) for _, text in documents]
    assert [(row["text"], row["doc_id"], row["n_documents"]) for row in corpus.texts()] == expected_texts(documents)
    assert corpus.reasons.get("duplicate_id", 0) == len(rows) - len(documents)
    assert sorted(row["doc_id"] for row in corpus.quarantine()) == sorted(
        doc_id for doc_id in {row[0] for row in rows} for _ in range([row[0] for row in rows].count(doc_id) - 1)
    )
    assert [record.rows for record in corpus.documents] == [record.documents.rows for record in corpus.documents]
    assert sum(record.documents for record in corpus.passages) == len(documents)


@pytest.fixture(scope="module")
def rows():
    """Rows with distinct ids, repeated texts and metadata of several kinds."""
    generator = random.Random(7)
    return [
        {
            "id": f"doc-{i}",
            "text": f"text {generator.randrange(150)}",
            "number": i,
            "mixed": [i, i / 2, f"s{i}", True, None, {"a": [i]}][i % 6],
            "float": i + 0.5 if i % 2 else None,
        }
        for i in range(200)
    ]


SETTINGS = {"metadata_columns": ["number", "mixed", "float"], "rows_per_part": 30}


def test_other_files_with_the_same_rows_give_the_same_bytes(tmp_path, rows):
    def built(name, *files):
        for i, part in enumerate(files):
            write_jsonl(tmp_path / name / f"{i}.jsonl", part)
        return build(tmp_path / f"{name}-out", input=[f"{tmp_path}/{name}"], **SETTINGS)

    shuffled = random.Random(1).sample(rows, len(rows))
    reference = built("one", rows)
    assert len(reference.documents) == 8
    for other in (
        built("shuffled", shuffled),
        built("many", *(rows[i::17] for i in range(17))),
        built("some-empty", [], shuffled[:3], [], shuffled[3:]),
    ):
        assert other.digests() == reference.digests()
    assert build(tmp_path / "rev", input=[f"{tmp_path}/many/{i}.jsonl" for i in reversed(range(17))], **SETTINGS).digests() == (
        reference.digests()
    )


def test_runs_of_any_size_give_the_same_bytes(tmp_path, rows, monkeypatch):
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    reference = build(tmp_path / "one", input=[path], **SETTINGS)
    monkeypatch.setattr(read, "RUN_BYTES", 1)
    monkeypatch.setattr("transforms.corpus.rows.BATCH_ROWS", 7)
    spilled = build(tmp_path / "many", input=[path], **SETTINGS)
    assert len(spilled.units[0].runs) == 29
    assert spilled.digests() == reference.digests()


def test_parquet_and_json_lines_give_the_same_bytes(tmp_path, rows):
    simple = [{key: row[key] for key in ("id", "text", "number", "float")} for row in rows]
    options = {"metadata_columns": ["number", "float"], "rows_per_part": 30}
    table = pa.Table.from_pylist(simple)
    small = table.set_column(2, "number", table["number"].cast(pa.int16()))
    write_parquet(tmp_path / "p/1.parquet", {name: small[name][:50] for name in small.column_names}, row_group_size=9)
    write_parquet(tmp_path / "p/2.parquet", {name: table[name][50:] for name in table.column_names})
    from_parquet = build(tmp_path / "a", input=[f"{tmp_path}/p"], **options)
    from_json = build(tmp_path / "b", input=[write_jsonl(tmp_path / "j.jsonl", simple)], **options)
    assert from_parquet.digests() == from_json.digests()


def test_metadata_values_and_types(tmp_path, rows):
    corpus = build(tmp_path / "out", input=[write_jsonl(tmp_path / "a.jsonl", rows)], **SETTINGS)
    schema = pq.read_schema(corpus.documents[0].documents.path)
    assert schema.names == ["doc_id", "passage_no", "content_key", "text", "number", "mixed", "float"]
    assert [str(schema.field(name).type) for name in schema.names] == [
        "string",
        "int32",
        "fixed_size_binary[32]",
        "string",
        "int64",
        "string",
        "double",
    ]
    assert all(field.metadata[b"description"] for field in schema)
    by_id = {row["doc_id"]: row for row in corpus.rows()}
    for row in rows:
        found = by_id[row["id"]]
        assert (found["number"], found["float"]) == (row["number"], row["float"])
    assert [by_id[f"doc-{i}"]["mixed"] for i in range(6)] == ["0", "0.5", "s2", "true", None, '{"a":[5]}']


def test_a_column_that_only_some_files_fill(tmp_path):
    write_parquet(tmp_path / "in/1.parquet", {"id": ["1"], "text": ["a"], "m": pa.nulls(1)})
    write_parquet(tmp_path / "in/2.parquet", {"id": ["2"], "text": ["b"], "m": pa.array([5], pa.int32())})
    write_parquet(tmp_path / "in/3.parquet", {"id": ["3"], "text": ["c"], "m": pa.array([None], pa.float64())})
    corpus = build(tmp_path / "out", input=[f"{tmp_path}/in"], metadata_columns=["m"])
    assert {row["doc_id"]: row["m"] for row in corpus.rows()} == {"1": None, "2": 5, "3": None}
    assert pq.read_schema(corpus.documents[0].documents.path).field("m").type == pa.int64()


def test_parts_are_complete_ordered_and_in_their_range(tmp_path, rows):
    corpus = build(tmp_path / "out", input=[write_jsonl(tmp_path / "a.jsonl", rows)], rows_per_part=30)
    assert [record.part for record in corpus.documents] == list(range(8))
    for record in corpus.documents:
        ids = pq.read_table(record.documents.path)["doc_id"].to_pylist()
        assert ids == sorted(ids, key=doc_order)
        assert {doc_order(doc_id)[0][0] >> 5 for doc_id in ids} == {record.part}
    for record in corpus.passages:
        table = pq.read_table(record.passages.path)
        keys, ids = table["content_key"].to_pylist(), table["id"].to_numpy()
        assert {key[0] * len(corpus.passages) >> 8 for key in keys} == {record.part}
        assert all(one < other for one, other in pairwise(keys))
        assert np.all(np.diff(ids) > 0)
        assert table.schema == passages.PASSAGES_SCHEMA
    texts = [row["text"] for row in corpus.texts()]
    assert len(texts) == len(set(texts)) == len({row["text"] for row in rows})


def test_duplicate_ids_keep_the_first_by_source_and_row(tmp_path):
    rows = [("a", "first"), ("b", "other"), ("a", "second")]
    write_jsonl(tmp_path / "in/1.jsonl", [{"id": doc_id, "text": text} for doc_id, text in rows])
    write_jsonl(tmp_path / "in/2.jsonl", [{"id": "a", "text": "third"}, {"id": "b", "text": "other"}])
    corpus = build(tmp_path / "out", input=[f"{tmp_path}/in"])
    assert {row["doc_id"]: row["text"] for row in corpus.rows()} == {"a": "first", "b": "other"}
    assert corpus.reasons == {"duplicate_id": 3}
    found = [(row["source"][-7:], row["row"], row["doc_id"], row["detail"], row["excerpt"]) for row in corpus.quarantine()]
    one, two = f"the document is {tmp_path}/in/1.jsonl row 1", f"the document is {tmp_path}/in/1.jsonl row 2"
    assert sorted(found) == [
        ("1.jsonl", 3, "a", one, "second"),
        ("2.jsonl", 1, "a", one, "third"),
        ("2.jsonl", 2, "b", two, "other"),
    ]


def test_documents_of_a_text_that_the_model_fails_on_go_to_quarantine(tmp_path):
    rows = [("a", "bad"), ("b", "good"), ("c", "bad"), ("d", "worse"), ("b", "again")]
    path = write_jsonl(tmp_path / "a.jsonl", [{"id": doc_id, "text": text} for doc_id, text in rows])
    failed = [(content_key("bad").hex(), "no vector"), (content_key("worse").hex(), "none"), (content_key("absent").hex(), "-")]
    corpus = build(tmp_path / "out", failed=failed, input=[path])
    assert [row["doc_id"] for row in corpus.rows()] == ["b"]
    assert [row["text"] for row in corpus.texts()] == ["good"]
    assert corpus.reasons == {"duplicate_id": 1, "model_failed": 3}
    found = {(row["doc_id"], row["row"], row["reason"], row["detail"], row["excerpt"]) for row in corpus.quarantine()}
    assert found == {
        ("a", 1, "model_failed", "no vector", "bad"),
        ("c", 3, "model_failed", "no vector", "bad"),
        ("d", 4, "model_failed", "none", "worse"),
        ("b", 5, "duplicate_id", f"the document is {path} row 2", "again"),
    }
    # What is left is what a corpus without these rows gives.
    path = write_jsonl(tmp_path / "b.jsonl", [{"id": "b", "text": "good"}])
    assert corpus.digests() == build(tmp_path / "other", input=[path]).digests()


def test_texts_stay_unpublished_when_asked(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"id": "1", "text": "secret words"}])
    corpus = build(tmp_path / "out", input=[path], keep_text=False)
    assert corpus.rows() == [{"doc_id": "1", "passage_no": 0, "content_key": content_key("secret words")}]
    assert b"secret words" not in Path(corpus.documents[0].documents.path).read_bytes()
    assert corpus.texts()[0]["text"] == "secret words"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(IDS, TEXTS), max_size=40), st.integers(1, 45), st.integers(0, 40))
def test_a_sample_is_the_smallest_hashes(tmp_path_factory, rows, size, cut):
    out = tmp_path_factory.mktemp("sample")
    write_jsonl(out / "in/1.jsonl", [{"id": doc_id, "text": text} for doc_id, text in rows[:cut]])
    write_jsonl(out / "in/2.jsonl", [{"id": doc_id, "text": text} for doc_id, text in rows[cut:]])
    corpus = build(out, input=[f"{out}/in"], sample=size, rows_per_part=4)
    chosen = sorted({doc_id for doc_id, _ in rows}, key=lambda doc_id: hashlib.sha256(doc_id.encode()).digest()[8:16])[:size]
    assert [row["doc_id"] for row in corpus.rows()] == sorted(chosen, key=doc_order)
    kept = dict(reversed(rows))
    assert all(row["text"] == kept[row["doc_id"]] for row in corpus.rows())


def test_sampled_runs_hold_no_more_than_the_sample(tmp_path, rows):
    corpus = build(tmp_path / "out", input=[write_jsonl(tmp_path / "a.jsonl", rows)], sample=10, rows_per_part=4)
    assert [run.rows for unit in corpus.units for run in unit.runs] == [10]
    assert corpus.units[0].rows_valid == len(rows)
    # The sample does not pile up in the first parts: its hash is not the one that parts are cut by.
    assert len(corpus.documents) == 4
    assert sum(record.rows > 0 for record in corpus.documents) > 1


@pytest.mark.parametrize("rows", [[], [{"id": "1", "text": ""}]], ids=["no rows", "no valid rows"])
@pytest.mark.parametrize("sample", [None, 5])
def test_an_empty_corpus_is_one_empty_part(tmp_path, rows, sample):
    corpus = build(tmp_path / "out", input=[write_jsonl(tmp_path / "a.jsonl", rows)], sample=sample)
    assert (corpus.rows(), corpus.texts()) == ([], [])
    assert (len(corpus.documents), len(corpus.passages)) == (1, 1)


def test_one_document_and_all_equal_documents(tmp_path):
    corpus = build(tmp_path / "one", input=[write_jsonl(tmp_path / "a.jsonl", [{"id": "1", "text": "x"}])])
    assert (len(corpus.rows()), len(corpus.texts())) == (1, 1)
    rows = [{"id": i, "text": "same"} for i in range(50)]
    corpus = build(tmp_path / "equal", input=[write_jsonl(tmp_path / "b.jsonl", rows)], **SIXTEEN_PARTS)
    assert len(corpus.rows()) == 50
    assert [(row["text"], row["doc_id"], row["n_documents"]) for row in corpus.texts()] == [("same", "0", 50)]


def test_ids_that_collide_stop_the_run(tmp_path, monkeypatch):
    path = write_jsonl(tmp_path / "a.jsonl", [{"id": "1", "text": "one"}, {"id": "2", "text": "two"}])
    monkeypatch.setattr(passages, "ids_of", lambda keys: np.zeros(len(keys), np.int64))
    with pytest.raises(IdCollisionError, match=r"documents [12] and [12] have the same 63-bit id 0: remove one"):
        build(tmp_path / "out", input=[path])


@pytest.mark.parametrize(("bad", "refused"), [(5, False), (6, True)])
def test_the_quarantine_gate(tmp_path, bad, refused):
    rows = (
        [{"id": i, "text": "x"} for i in range(100 - bad)] + [{"id": "0", "text": "x"}] + [{"id": "e", "text": ""}] * (bad - 1)
    )
    corpus = build(tmp_path / "out", input=[write_jsonl(tmp_path / "a.jsonl", rows)])
    assert corpus.reasons == {"empty_text": bad - 1, "duplicate_id": 1}
    if not refused:
        check_quarantine(corpus.units, corpus.documents, CorpusOptions())
        return
    with pytest.raises(
        QuarantineLimitError, match=r"6 of 100 rows \(6.0%\) went to quarantine \(empty_text 5, duplicate_id 1\)"
    ):
        check_quarantine(corpus.units, corpus.documents, CorpusOptions())
    check_quarantine(corpus.units, corpus.documents, CorpusOptions(max_quarantine_fraction=0.06))


def passages_of(out, texts, passage_tokens=16, overlap=4, **settings):
    """The room's tables for a corpus whose documents are split, from {id: text}."""
    from transforms.corpus import PassageSplitter
    from transforms.embedding import find_model

    splitter = PassageSplitter(f"{find_model('all-MiniLM-L6-v2')}/tokenizer.json", passage_tokens, overlap)
    rows = [{"id": doc_id, "text": text, "m": len(text)} for doc_id, text in texts.items()]
    source = write_jsonl(out / "in.jsonl", rows)
    return build(out / "out", splitter, input=[source], metadata_columns=["m"], **settings), splitter


def test_a_split_document_has_a_row_for_each_passage(tmp_path):
    texts = {f"d{i:02d}": " ".join(f"Sentence {i} {j} is here." for j in range(i)) or "short" for i in range(40)}
    corpus, splitter = passages_of(tmp_path, texts, rows_per_part=8)
    expected = [
        (doc_id, number, passage, content_key(passage), len(text))
        for doc_id, text in sorted(texts.items(), key=lambda item: doc_order(item[0]))
        for number, passage in enumerate(splitter.split(text))
    ]
    assert [
        tuple(row[name] for name in ("doc_id", "passage_no", "text", "content_key", "m")) for row in corpus.rows()
    ] == expected
    assert [record.rows for record in corpus.documents] == [
        len({row["doc_id"] for row in pq.read_table(record.documents.path).to_pylist()}) for record in corpus.documents
    ]
    assert sum(record.rows for record in corpus.documents) == 40
    assert sum(record.passages for record in corpus.documents) == len(expected) > 200
    assert {row["text"] for row in corpus.texts()} == {row[2] for row in expected}
    assert all((row["doc_id"], row["passage_no"], row["text"]) in {row[:3] for row in expected} for row in corpus.texts())


def test_a_document_that_repeats_a_text_is_one_document(tmp_path):
    line = "The same words stand here again, over and over in every line of the page. "
    once = line.strip()
    texts = {"b": "\n\n".join([once] * 5), "c": "\n\n".join([once] * 3), "a": "\n\n".join([once, "something else " * 5, once])}
    corpus, splitter = passages_of(tmp_path, texts, passage_tokens=17, overlap=0, rows_per_part=1)
    assert len(corpus.documents) == 4
    assert splitter.split(texts["b"]) == [once] * 5
    (row,) = [row for row in corpus.texts() if row["text"] == once]
    assert (row["doc_id"], row["passage_no"], row["n_documents"]) == ("a", 0, 3)


def test_no_document_at_all_has_no_passage(tmp_path):
    corpus, _ = passages_of(tmp_path, {"blank": " "}, max_quarantine_fraction=1)
    assert (corpus.rows(), corpus.texts(), [record.passages for record in corpus.documents]) == ([], [], [0])
