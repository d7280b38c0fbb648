import dataclasses
import json
import subprocess
import sys

import faiss
import numpy as np
import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from tests.index.helpers import at_10, build, clustered_vectors, make_corpus, random_vectors
from transforms.files import file_ref, open_parquet, read_table, write_table
from transforms.index import (
    IdCollisionError,
    IndexOptions,
    MergeTask,
    RecallRecord,
    ShardError,
    fingerprint_of,
    merge_index,
    read_recall,
    write_ids,
)


@pytest.mark.parametrize("kind", ["auto", "IVF16,SQfp16"])
def test_what_is_published_opens_in_plain_faiss_and_answers(tmp_path, kind):
    corpus = make_corpus(tmp_path, clustered_vectors(2000), rows_per_block=300)
    built = build(corpus, IndexOptions(type=kind, recall_queries=100, rows_per_shard=700))
    assert len(built.shards) == 3
    code = (
        "import faiss, numpy, sys; index = faiss.read_index(sys.argv[1]); q = numpy.load(sys.argv[2])[:20]\n"
        "print(index.ntotal, getattr(index, 'nprobe', 0), index.search(q, 1)[1][:, 0].tolist())"
    )
    arguments = [sys.executable, "-c", code, built.recall.index.path, corpus.blocks[0].path]
    printed = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == f"2000 {built.recall.nprobe} {corpus.ids[:20].tolist()}"
    assert at_10(built.recall) >= 0.99
    assert (built.recall.nprobe > 0) == (kind != "auto")
    assert file_ref(built.recall.index.path) == built.recall.index


def test_the_trained_template_is_published_when_there_is_one(tmp_path):
    corpus = make_corpus(tmp_path, clustered_vectors(500))
    flat = build(corpus, IndexOptions())
    assert flat.merged.trained is None
    assert not flat.training.trained
    assert flat.training.training_texts == 0
    trained = build(corpus, IndexOptions(type="IVF4,Flat")).merged.trained
    assert trained.path == f"{tmp_path}/index/trained.faiss"
    with open(trained.path, "rb") as file:
        data = file.read()
    assert fingerprint_of(data) == build(corpus, IndexOptions(type="IVF4,Flat")).training.fingerprint
    assert faiss.read_index(trained.path).ntotal == 0


def test_recall_table(tmp_path):
    corpus = make_corpus(tmp_path, clustered_vectors(600))
    recall = build(corpus, IndexOptions(type="IVF8,Flat", recall_queries=50)).recall
    rows = read_table(recall.table.path).to_pylist()
    assert [row["k"] for row in rows] == [1, 10, 100]
    assert {(row["query_set"], row["queries"], row["nprobe"]) for row in rows} == {("corpus", 50, recall.nprobe)}
    assert all(0.5 < row["recall_low"] <= row["recall"] <= row["recall_high"] <= 1 for row in rows)
    assert read_recall(recall.index, recall.table, recall.curve) == recall
    assert recall.curve.path == f"{tmp_path}/index/nprobe.parquet"
    for path in (recall.table.path, recall.curve.path, f"{tmp_path}/index/ids.parquet"):
        with open_parquet(path) as parquet:
            assert all(field.metadata[b"description"] for field in parquet.schema_arrow)


def test_codes_too_coarse_for_the_target_are_published_with_the_lists_that_find_something_and_their_recall(tmp_path):
    recall = build(make_corpus(tmp_path, random_vectors(1000, 64)), IndexOptions(type="IVF8,RaBitQ")).recall
    assert at_10(recall) < 0.99
    assert 1 <= recall.nprobe < 8


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_tiny_corpora(folder, rows):
    recall = build(make_corpus(folder, random_vectors(rows), copies=1), IndexOptions()).recall
    (found,) = recall.sets
    assert found.recall == (1.0, 1.0, 1.0)
    assert found.queries == (0 if rows == 1 else rows)
    assert recall.curve is None


def test_vectors_that_are_all_equal_are_all_found(tmp_path):
    vectors = np.repeat(random_vectors(1), 300, axis=0)
    recall = build(make_corpus(tmp_path, vectors), IndexOptions(type="IVF4,SQ8")).recall
    assert recall.sets[0].recall == (1.0, 1.0, 1.0)


def test_ids_lead_from_the_index_to_every_document(tmp_path):
    corpus = make_corpus(tmp_path, random_vectors(100))
    built = build(corpus, IndexOptions())
    table = read_table(built.merged.ids.path)
    rows = table.to_pylist()
    assert table.schema.names == ["id", "content_key", "doc_id", "passage_no"]
    assert [(row["id"], row["doc_id"]) for row in rows] == sorted((row["id"], row["doc_id"]) for row in rows)
    assert {row["id"] for row in rows} == set(corpus.ids.tolist())
    assert all(int.from_bytes(row["content_key"][:8], "big") >> 1 == row["id"] for row in rows)
    assert len(rows) == 103
    assert built.merged.texts == 100
    turned, _ = write_ids(corpus.documents[::-1], f"{tmp_path}/again.parquet", f"{tmp_path}/w")
    assert turned.sha256 == built.merged.ids.sha256


def test_colliding_ids_are_named(tmp_path):
    keys = [bytes(8) + bytes([i]) * 24 for i in range(2)] + [b"\1" * 32]
    table = pa.table(
        {
            "doc_id": ["a", "b", "c"],
            "passage_no": pa.array([0, 0, 0], pa.int32()),
            "content_key": pa.array(keys, pa.binary(32)),
        }
    )
    documents = write_table(f"{tmp_path}/d.parquet", table)
    with pytest.raises(IdCollisionError, match="'a' and 'b' have the same 63-bit id 0: remove one of them, or change"):
        write_ids([documents], f"{tmp_path}/ids.parquet", f"{tmp_path}/w")


def test_documents_of_another_run_are_refused(tmp_path):
    corpus = make_corpus(tmp_path, random_vectors(100))
    built = build(corpus, IndexOptions())
    task = MergeTask(built.training, tuple(built.shards), corpus.documents[:1], f"{tmp_path}/w", f"{tmp_path}/p")
    with pytest.raises(ShardError, match="of different runs"):
        merge_index(task)


def test_records_survive_json_and_builds_repeat(tmp_path):
    corpus = make_corpus(tmp_path, clustered_vectors(600))
    options = IndexOptions(type="IVF8,SQ8", recall_queries=50)
    first = build(corpus, options)
    for record in (first.training, *first.shards, first.merged, first.recall):
        text = json.dumps(dataclasses.asdict(record))
        assert TypeAdapter(type(record)).validate_python(json.loads(text)) == record
    assert isinstance(first.recall, RecallRecord)
    assert build(corpus, options) == first
    other = build(corpus, options.model_copy(update={"rows_per_shard": 200}))
    assert other.recall == first.recall
    assert len(other.shards) == 3 if len(corpus.blocks) == 3 else len(other.shards) > 1
