"""A part of many queries, with a model that fails on some of them."""

import numpy as np
import pyarrow as pa
import pytest

from transforms.embedding import EmbeddingOptions, Encoded, ModelError
from transforms.files import read_table, write_table
from transforms.rerank import Relevance
from transforms.search import HITS_SCHEMA, BatchOptions, Place, QueriesPart, search_part


class Encoder:
    dim = 1

    def encode_queries(self, texts, tokens_per_batch=None):
        if any("bad" in text for text in texts):
            raise ModelError("fails")
        return Encoded(np.array([[float(text)] for text in texts], np.float32), np.zeros(len(texts), bool), 0, 0, {})


class Searcher:
    spec = None

    def places(self, queries, k, *, where, group_duplicates, mode, weight, vectors):
        assert (k, where, group_duplicates, mode, weight) == (2, "x = 1", True, "dense", None)
        return [[Place(f"d{int(vector[0])}", 7, float(vector[0])), Place("other", 0, 0.0)] for vector in vectors]


@pytest.fixture
def part(tmp_path, monkeypatch):
    monkeypatch.setattr("transforms.search.batch._QUERIES", 2)
    monkeypatch.setattr("transforms.search.batch._searcher", lambda *_: Searcher())
    monkeypatch.setattr("transforms.search.batch.load_encoder", lambda *_: Encoder())

    def search(texts, asked=BatchOptions(2, "x = 1", True)):
        table = pa.table({"doc_id": [f"k{i}" for i in range(len(texts))], "text": texts})
        queries = write_table(f"{tmp_path}/queries.parquet", table)
        task = QueriesPart(3, queries, "root", "generation", str(tmp_path))
        return search_part(task, EmbeddingOptions(), asked)

    return search


def test_queries_that_the_model_fails_on_are_named_and_the_others_answered(part):
    record = part(["1", "2", "bad", "3", "bad too", "4"])
    assert record.failed == (("k2", "fails"), ("k4", "fails"))
    assert (record.part, record.queries, record.hits.name) == (3, 4, "part-00003.parquet")
    table = read_table(record.hits.path)
    assert table.schema.names == HITS_SCHEMA.names
    assert table.to_pylist()[:2] == [
        {
            "query_id": "k0",
            "rank": 1,
            "doc_id": "d1",
            "passage_no": 7,
            "score": 1.0,
            "rerank_score": None,
            "rerank_logit": None,
        },
        {
            "query_id": "k0",
            "rank": 2,
            "doc_id": "other",
            "passage_no": 0,
            "score": 0.0,
            "rerank_score": None,
            "rerank_logit": None,
        },
    ]
    assert table["doc_id"].to_pylist()[::2] == ["d1", "d2", "d3", "d4"]


def test_a_model_that_fails_on_all_is_an_error(part):
    with pytest.raises(ModelError, match="fails"):
        part(["bad", "bad"])


def test_the_bytes_depend_on_the_queries_only(part, monkeypatch):
    alone = part(["1", "2", "3"])
    beside = part(["1", "2", "3", "bad"])
    assert beside.failed == (("k3", "fails"),)
    monkeypatch.setattr("transforms.search.batch._QUERIES", 1)
    in_steps = part(["1", "2", "3"])
    assert alone.hits.sha256 == beside.hits.sha256
    assert read_table(in_steps.hits.path).equals(read_table(alone.hits.path))
    assert part(["1", "2"]).hits.sha256 != alone.hits.sha256


def test_every_worker_reranks_in_the_precision_that_was_found(part, monkeypatch):
    loaded = []
    monkeypatch.setattr("transforms.search.batch.load_reranker", lambda *how: loaded.append(how))
    monkeypatch.setattr("transforms.search.batch.rerank_passages", lambda *_: [[Relevance(0, 1.0, 0.7)], []])
    monkeypatch.setattr(Searcher, "generation", None, raising=False)
    monkeypatch.setattr(Searcher, "places", lambda *_, **__: [[Place("d", 0, 1.0)], []])
    part(["1", "2"], BatchOptions(2, rerank="cross", rerank_precision="bf16"))
    assert loaded == [("cross", None, None, "bf16")]
