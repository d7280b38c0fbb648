"""`corpusbeam search --queries`: the answers of single searches, as tables that do not depend on the order of the queries."""

import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.search import Searcher, search
from tests.embedding.tiny import build_model
from tests.rerank.tiny import build_cross_encoder
from transforms.files import write_table
from transforms.rerank import load_reranker
from transforms.search import HITS_SCHEMA
from transforms.search.beam import SearchQueries

QUERIES = {
    f"k{i:02d}": text for i, text in enumerate(["password forgotten", "the program crashes", "late parcel", "paying", "?"])
}
BAD = [{"id": "null", "text": None}, {"id": "blank", "text": " "}, {"id": "k00", "text": "again"}, {"text": "no id"}]


@pytest.fixture
def ask(corpusbeam, two_generations, tmp_path):
    """Search for the rows of files, and return what is in the folder of the answers."""

    def run(files: list[list[dict]], *arguments, name="hits"):
        paths = []
        for i, rows in enumerate(files):
            paths.append(tmp_path / f"{name}-{i}.jsonl")
            paths[-1].write_text("".join(json.dumps(row) + "\n" for row in rows))
        output = tmp_path / name
        ran = corpusbeam("search", "--root", two_generations, "--queries", *paths, "--output", output, *arguments)
        assert ran.code == 0, ran.err
        return ran, {path.name: path for path in output.iterdir()}

    return run


def test_answers_are_those_of_single_searches_and_bad_rows_cost_only_themselves(ask, two_generations):
    good = [{"id": query, "text": text} for query, text in QUERIES.items()]
    ran, files = ask([[*good, *BAD]], "-k", 3, "--where", "doc_id != 'q01'", "--group-duplicates", "--format", "json")
    assert sorted(files) == ["part-00000.parquet", "quarantine.parquet"]
    assert (ran.json["queries"], ran.json["quarantined"], ran.json["hits"]) == (5, 4, 15)
    hits = pq.read_table(files["part-00000.parquet"])
    assert hits.column_names == ["query_id", "rank", "doc_id", "passage_no", "score", "rerank_score", "rerank_logit"]
    assert hits["rerank_score"].null_count == hits.num_rows
    searcher = Searcher(str(two_generations))
    for query, text in QUERIES.items():
        own = hits.filter(pa.compute.equal(hits["query_id"], query)).to_pylist()
        expected = searcher.search([text], 3, where="doc_id != 'q01'", group_duplicates=True)[0]
        assert [(row["rank"], row["doc_id"], row["passage_no"]) for row in own] == [
            (hit.rank, hit.doc_id, hit.passage_no) for hit in expected
        ]
        assert [row["score"] for row in own] == pytest.approx([hit.score for hit in expected], abs=1e-4)
    reasons = sorted(pq.read_table(files["quarantine.parquet"])["reason"].to_pylist())
    assert reasons == ["blank_text", "duplicate_id", "missing_id", "null_text"]


def test_answers_are_reranked_as_those_of_single_searches(ask, two_generations, tmp_path, monkeypatch):
    build_model(tmp_path)
    model = build_cross_encoder(tmp_path / "cross", str(tmp_path / "bert"), small=True)
    good = [{"id": query, "text": text} for query, text in QUERIES.items()]
    asked = []
    monkeypatch.setattr(
        "pipelines.search_batch.SearchQueries", lambda options, one: asked.append((options, one)) or SearchQueries(options, one)
    )
    _, files = ask([good], "-k", 4, "--rerank", model, "--set", "embedding.device=cpu", "--set", "embedding.threads=1")
    ((options, one),) = asked
    assert (one.rerank_precision, options.device, options.threads) == (load_reranker(model).precision, "cpu", 1)
    hits = pq.read_table(files["part-00000.parquet"])
    for query, text in QUERIES.items():
        own = hits.filter(pa.compute.equal(hits["query_id"], query)).to_pylist()
        expected = search(str(two_generations), text, 4, rerank=model)["hits"]
        assert [(row["rank"], row["doc_id"]) for row in own] == [(hit["rank"], hit["doc_id"]) for hit in expected]
        for name in ("rerank_logit", "rerank_score"):
            assert [row[name] for row in own] == pytest.approx([hit[name] for hit in expected], rel=1e-6)
    _, files = ask([good], "-k", 4, "--rerank", tmp_path / "bert", "--rerank-optional", name="optional")
    assert pq.read_table(files["part-00000.parquet"])["rerank_logit"].null_count == 4 * len(QUERIES)


def test_neither_order_nor_files_of_the_queries_matter_and_what_was_there_is_replaced(ask):
    rows = [{"id": query, "text": text} for query, text in QUERIES.items()]
    _, one = ask([[*rows, *BAD]], name="one")
    mixed = random.Random(0).sample(rows, len(rows))
    _, two = ask([mixed[:2], mixed[2:]], name="two")
    assert sorted(two) == ["part-00000.parquet"]
    assert one["part-00000.parquet"].read_bytes() == two["part-00000.parquet"].read_bytes()
    _, again = ask([mixed], name="one")
    assert sorted(again) == ["part-00000.parquet"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--queries", "nothing.jsonl", "--output", "hits"], "does not exist"),
        (["--queries", "bad.jsonl", "--output", "hits"], "has no query that can be used (null_text 1)"),
        (["--queries", "bad.jsonl", "--output", "hits", "-k", 0], "k must be at least 1"),
        (["--queries", "bad.jsonl", "--output", "hits", "--where", "nothing = 1"], "no column 'nothing'"),
        (["--queries", "bad.jsonl", "--output", "root/hits"], "inside the root"),
        (["--queries", "bad.jsonl"], "belong together"),
        (["text", "--output", "hits"], "belong together"),
        (["text", "--queries", "bad.jsonl", "--output", "hits"], "needs a query, or --queries"),
        ([], "needs a query, or --queries"),
        (["text", "--set", "corpus.text_column=body"], "--set means nothing"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is(corpusbeam, two_generations, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.jsonl").write_text('{"id": "a", "text": null}\n')
    yesterday = yesterdays_answers(tmp_path / "hits")
    ran = corpusbeam("search", "--root", two_generations, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert {path: path.read_bytes() for path in (tmp_path / "hits").iterdir()} == yesterday


def yesterdays_answers(folder) -> dict:
    """A table that an earlier call left, with its bytes."""
    path = folder / "part-00000.parquet"
    write_table(str(path), pa.table([[] for _ in HITS_SCHEMA.names], schema=HITS_SCHEMA))
    return {path: path.read_bytes()}


def test_answers_that_are_not_complete_replace_nothing(corpusbeam, two_generations, tmp_path, monkeypatch):
    (tmp_path / "good.jsonl").write_text('{"id": "a", "text": "late parcel"}\n')
    yesterday = yesterdays_answers(tmp_path / "hits")
    answered = []

    def fail(_, records):
        answered.extend(records)
        raise OSError("the disk is full")

    monkeypatch.setattr("pipelines.search_batch._quarantine", fail)
    ran = corpusbeam("search", "--root", two_generations, "--queries", tmp_path / "good.jsonl", "--output", tmp_path / "hits")
    assert (ran.code, ran.out, len(answered)) == (1, "", 1)
    assert {path: path.read_bytes() for path in (tmp_path / "hits").iterdir()} == yesterday
