"""The reading verbs on a published generation, through the command line."""

import json
import shutil
from pathlib import Path

import pytest

from pipelines.cli import main
from tests.end_to_end.conftest import SENTENCES
from transforms.embedding import EmbeddingOptions, encoder_spec


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    rows = [json.dumps({"id": f"q{i:02d}", "text": text}) for i, text in enumerate(SENTENCES)]
    (folder / "corpus.jsonl").write_text("\n".join([*rows, ""]))
    assert main(["reindex", "--root", str(folder / "root"), "--input", str(folder / "corpus.jsonl")]) == 0
    return folder


@pytest.fixture
def root(published, tmp_path) -> Path:
    """A root of one's own; `corpus.jsonl` beside it is its corpus."""
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    return tmp_path / "root"


def test_reading_verbs(corpusbeam, root, sentences, tmp_path):
    found = corpusbeam("search", "--root", root, "password forgotten", "-k", 2, "--format", "json")
    assert found.code == 0, found.err
    assert {hit["doc_id"] for hit in found.json["hits"]} == {"q00", "q01"}
    assert found.json["hits"][0]["text"] in sentences[:2]
    assert "q00" in corpusbeam("search", "--root", root, "password forgotten").out

    status = corpusbeam("status", "--root", root, "--format", "json").json
    assert status["counts"]["documents"] == len(sentences)
    assert status["generations"] == [status["generation"]]
    assert all(gate["passed"] for gate in status["gates"])

    report = corpusbeam("report", "--root", root)
    assert report.code == 0
    assert "report.html" in report.out

    verified = corpusbeam("verify", "--root", root, "--format", "json")
    assert (verified.code, verified.json["problems"]) == (0, [])

    again = corpusbeam("reindex", "--root", root, "--input", tmp_path / "corpus.jsonl")
    assert again.code == 0
    assert "No change" in again.out

    plan = corpusbeam("plan", "--root", root, "--input", tmp_path / "corpus.jsonl", "--format", "json").json
    assert (plan["texts_to_embed"], plan["texts_stored"], plan["encoder_changed"]) == (0, len(sentences), False)
    changed = ("--set", "embedding.max_tokens=64", "--format", "json")
    plan = corpusbeam("plan", "--root", root, "--input", tmp_path / "corpus.jsonl", *changed).json
    assert (plan["texts_to_embed"], plan["encoder_changed"]) == (len(sentences), True)


@pytest.mark.parametrize("name", ["index/index.faiss", "index/ids.parquet", "documents/part-00000.parquet"])
def test_a_changed_byte_is_found_by_verify_and_refused_by_search(corpusbeam, root, name):
    (path,) = root.glob(f"generations/*/{name}")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    verified = corpusbeam("verify", "--root", root)
    assert verified.code == 1
    assert name in verified.out
    refused = corpusbeam("search", "--root", root, "password")
    assert refused.code == 1
    assert refused.out == ""
    assert name in refused.err


def test_search_refuses_another_models_index(corpusbeam, root, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(encoder_spec(EmbeddingOptions()).folder, folder)
    settings = json.loads((folder / "sentence_bert_config.json").read_text())
    (folder / "sentence_bert_config.json").write_text(json.dumps({**settings, "max_seq_length": 128}))
    ran = corpusbeam("search", "--root", root, "password", "--model", folder)
    assert ran.code == 3
    assert "fingerprint" in ran.err
    assert corpusbeam("search", "--root", root, "password", "--model", encoder_spec(EmbeddingOptions()).folder).code == 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["", "-k", "3"], "blank"),
        (["x", "-k", "0"], "0"),
        (["x", "--where", "section = 'net'"], "there is no column 'section'"),
        (["x", "--where", "doc_id ="], "expected 'text'"),
    ],
)
def test_queries_that_cannot_be_answered(corpusbeam, root, arguments, word):
    ran = corpusbeam("search", "--root", root, *arguments)
    assert ran.code == 2
    assert word in ran.err


def test_a_long_query_and_a_large_k_are_answered(corpusbeam, root, sentences):
    long = corpusbeam("search", "--root", root, "password " * 120_000, "-k", 10_000, "--format", "json")
    assert long.code == 0, long.err
    assert "longer than the 256 tokens" in long.err
    assert len(long.json["hits"]) == len(sentences)
    assert {hit["doc_id"] for hit in long.json["hits"][:2]} == {"q00", "q01"}


def test_filters_groups_and_labels_come_with_the_answers(corpusbeam, root):
    found = corpusbeam("search", "--root", root, "password", "--where", "doc_id in ('q01', 'q05')", "--format", "json").json
    assert [hit["doc_id"] for hit in found["hits"]] == ["q01", "q05"]
    assert found["hits"][0]["theme"]["title"]
    assert set(found["hits"][0]["topic"]) == {"topic_id", "assigned_topic_id", "topic_uid", "title"}
    pairs = corpusbeam("duplicates", "--root", root, "--format", "json").json
    grouped = corpusbeam("search", "--root", root, "password", "--group-duplicates", "--format", "json").json["hits"]
    assert sum(len(hit["duplicates"]) for hit in grouped) == pairs["duplicate_documents"]
    assert len(grouped) + pairs["duplicate_documents"] >= 10


def test_reading_where_nothing_is_published(corpusbeam, tmp_path):
    for verb in (["search", "x"], ["status"], ["verify"], ["report"]):
        ran = corpusbeam(verb[0], "--root", tmp_path / "nothing", *verb[1:])
        assert ran.code == 1
        assert "nothing is published" in ran.err


def test_similarity_agrees_with_the_library(corpusbeam, minilm_spec):
    from sentence_transformers import SentenceTransformer

    texts = ["A dog runs in the park.", "A canine is running outside.", "The stock market fell."]
    vectors = SentenceTransformer(minilm_spec.folder, device="cpu", local_files_only=True).encode(texts)
    pairs = corpusbeam("similarity", *texts, "--format", "json").json["pairs"]
    assert [(pair["a"], pair["b"]) for pair in pairs] == [(texts[0], texts[1]), (texts[0], texts[2]), (texts[1], texts[2])]
    for pair in pairs:
        a, b = (vectors[texts.index(pair[side])] for side in "ab")
        assert pair["cosine"] == pytest.approx(float(a @ b), abs=1e-5)
        assert pair["euclidean"] == pytest.approx(float(((a - b) ** 2).sum() ** 0.5), abs=1e-5)
    found = corpusbeam("similarity", *texts, "--format", "json").json
    assert (found["metric"], found["rank_alike"]) == ("cosine", True)
    assert found["matrices"]["dot"][0] == pytest.approx((vectors @ vectors.T)[0].tolist(), abs=1e-5)
    table = corpusbeam("similarity", *texts).out
    assert "cosine *" in table.splitlines()[0]
    assert "All three put these pairs into one order." in table
    matrix = corpusbeam("similarity", *texts, "--matrix").out.splitlines()
    assert [line.split()[1:] for line in matrix[6:9]] == [[f"{v:.3f}" for v in row] for row in found["matrices"]["cosine"]]
    assert corpusbeam("similarity", "only one").code == 2
    assert corpusbeam("similarity", "one", " ").code == 2


def test_workers_are_a_setting(corpusbeam, tmp_path):
    ran = corpusbeam("plan", "--root", tmp_path, "--input", tmp_path / "corpus.jsonl", "--workers", 0)
    assert (ran.code, ran.out) == (2, "")
    assert "runner.workers" in ran.err


def test_config_prints_schema_and_resolved_values(corpusbeam):
    schema = corpusbeam("config", "--schema").json
    assert "corpus" in schema["properties"]
    resolved = corpusbeam("config", "--set", "neighbors.k=29", "--format", "json").json
    assert resolved["neighbors"]["k"] == 29
