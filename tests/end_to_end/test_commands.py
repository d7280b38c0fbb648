"""The reading verbs on a published generation, through the command line."""

import json
from pathlib import Path

import pytest

from transforms.embedding import EmbeddingOptions, encoder_spec


@pytest.fixture
def root(corpusbeam, write_jsonl, sentences, tmp_path) -> Path:
    path = write_jsonl([(f"q{i:02d}", text) for i, text in enumerate(sentences)])
    ran = corpusbeam("reindex", "--root", tmp_path / "root", "--input", path)
    assert ran.code == 0, ran.err
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
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(encoder_spec(EmbeddingOptions()).folder, folder)
    settings = json.loads((folder / "sentence_bert_config.json").read_text())
    (folder / "sentence_bert_config.json").write_text(json.dumps({**settings, "max_seq_length": 128}))
    ran = corpusbeam("search", "--root", root, "password", "--model", folder)
    assert ran.code == 3
    assert "fingerprint" in ran.err
    assert corpusbeam("search", "--root", root, "password", "--model", encoder_spec(EmbeddingOptions()).folder).code == 0


@pytest.mark.parametrize(("arguments", "word"), [(["", "-k", "3"], "blank"), (["x", "-k", "0"], "0")])
def test_queries_that_cannot_be_answered(corpusbeam, root, arguments, word):
    ran = corpusbeam("search", "--root", root, *arguments)
    assert ran.code == 2
    assert word in ran.err


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
