"""The user's own queries: measured beside the corpus's, judged by a gate of their own, and noticed when they change."""

import shutil

import faiss
import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from tests.embedding.tiny import build_model
from tests.end_to_end.test_reuse import TEXTS, reindex
from transforms.embedding import Encoder, ModelError
from transforms.files import read_json, read_table
from transforms.generations import open_generation

PROMPTS = {"query": "query: ", "document": "passage: "}
# Half of the nearest of four lists is not enough for everybody.
TYPE = ("index.type=IVF4,Flat", "index.recall_target=0.9", "index.recall_gate=0.5")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return build_model(tmp_path_factory.mktemp("tiny"), PROMPTS)


@pytest.fixture
def asked(tmp_path):
    def write(*texts: str) -> str:
        path = tmp_path / "queries.txt"
        path.write_text("\n".join(texts))
        return f"index.recall_queries_file={path}"

    return write


QUERIES = ["where is text number five?", "xyz", "an unrelated question of somebody", "number", "b"]


@pytest.fixture(scope="module")
def first(tmp_path_factory, model):
    """A root with one generation that was measured on QUERIES."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "queries.txt").write_text("\n".join(QUERIES))
    assert reindex(folder / "root", TEXTS, model, *TYPE, f"index.recall_queries_file={folder}/queries.txt") == 0
    return folder / "root"


def test_recall_of_the_users_queries_is_measured_and_published(first, model):
    generation = open_generation(str(first))
    rows = read_table(generation.path("index/recall.parquet")).to_pylist()
    assert [(row["query_set"], row["k"]) for row in rows] == [(name, k) for name in ("corpus", "file") for k in (1, 10, 100)]
    assert {row["queries"] for row in rows if row["query_set"] == "file"} == {5}
    gates = {gate.name: gate.value for gate in generation.manifest.gates}
    # By the library alone: what the published file answers, against all products.
    library = SentenceTransformer(model, device="cpu")
    texts = list(TEXTS.values())
    vectors = library.encode_document(texts, normalize_embeddings=True)
    queries = library.encode_query(QUERIES, normalize_embeddings=True)
    ids = read_table(generation.path("index/ids.parquet")).to_pylist()
    place = {row["id"]: list(TEXTS).index(row["doc_id"]) for row in ids}
    _, found = faiss.read_index(generation.path("index/index.faiss")).search(queries, 10)
    scores = queries @ vectors.T
    limits = np.sort(scores, axis=1)[:, -10]
    hits = [scores[q, place[i]] >= limits[q] - 1e-5 for q, answer in enumerate(found.tolist()) for i in answer if i >= 0]
    assert (
        gates["recall_at_10_file"]
        == pytest.approx(sum(hits) / 50)
        == next(row["recall"] for row in rows if (row["query_set"], row["k"]) == ("file", 10))
    )
    metrics = read_json(generation.path("metrics.json"))["stages"]
    assert metrics["queries"]["queries"] == metrics["recall"]["file_queries"] == 5


def test_other_queries_are_another_run_and_the_same_elsewhere_are_not(first, tmp_path, model, asked):
    root = shutil.copytree(first, tmp_path / "root")
    published = open_generation(str(root)).id
    (tmp_path / "moved.txt").write_text("\n".join(QUERIES))
    assert reindex(root, TEXTS, model, *TYPE, f"index.recall_queries_file={tmp_path}/moved.txt") == 0
    assert open_generation(str(root)).id == published
    assert reindex(root, TEXTS, model, *TYPE, asked(*QUERIES[:2])) == 0
    second = open_generation(str(root))
    assert second.id != published
    rows = read_table(second.path("index/recall.parquet")).to_pylist()
    assert {row["queries"] for row in rows if row["query_set"] == "file"} == {2}
    # Another setting: index and recall are taken over, and nothing is embedded.
    assert reindex(root, TEXTS, model, *TYPE, asked(*QUERIES[:2]), "report.map_points=10") == 0
    stages = read_json(open_generation(str(root)).path("metrics.json"))["stages"]
    assert stages["recall"]["reused"]
    assert stages["recall"]["file_queries"] == 2
    assert "queries" not in stages


def test_a_file_that_cannot_be_used_is_refused_before_anything_else(tmp_path, model, asked, capsys):
    root = tmp_path / "root"
    assert reindex(root, TEXTS, model, f"index.recall_queries_file={tmp_path}/absent.txt") == 2
    assert "index.recall_queries_file: query file" in capsys.readouterr().err
    assert reindex(root, TEXTS, model, asked("", " ")) == 2
    assert "has no query" in capsys.readouterr().err
    assert not (root / "work").exists()


def test_queries_that_are_not_found_well_enough_stop_the_run(tmp_path, model, asked, capsys):
    root = tmp_path / "root"
    settings = ("index.type=IVF4,RaBitQ", "index.recall_gate=0.999", asked(*QUERIES))
    assert reindex(root, TEXTS, model, *settings) == 3
    told = capsys.readouterr().err
    assert "gate recall_at_10_file refused: " in told
    # No number of lists was enough.
    assert "reaches index.recall_target 0.99: the codes are too coarse. Recall at 10 for the" in told


def test_a_query_that_the_model_fails_on_is_named_before_the_index_is_built(tmp_path, model, asked, capsys, monkeypatch):
    root = tmp_path / "root"

    def broken(encoder, texts, tokens_per_batch=None):
        raise ModelError(f"model 'tiny' fails on {texts[2]!r}: out of range")

    monkeypatch.setattr(Encoder, "encode_queries", broken)
    assert reindex(root, TEXTS, model, asked(*QUERIES)) == 2
    told = capsys.readouterr().err
    assert "index.recall_queries_file: model 'tiny' fails on query 3 of 5: out of range; correct or remove" in told
    assert QUERIES[2] not in told
    assert {path.stem for path in root.glob("work/*/stages/*.json")} >= {"embed"}
    assert not list(root.glob("work/*/stages/index.json"))
