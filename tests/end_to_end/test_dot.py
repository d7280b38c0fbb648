"""A model that was trained for dot product, through the whole run, against the library and brute force."""

import json
from pathlib import Path

import faiss
import numpy as np
import pyarrow.parquet as pq
import pytest
from sentence_transformers import SentenceTransformer

from pipelines.cli import main
from tests.embedding.tiny import build_model
from transforms.generations import Generation, open_generation

THRESHOLD = 0.97
SETTINGS = [
    "embedding.precision=fp32",
    "embedding.device=cpu",
    "corpus.rows_per_part=32",
    f"duplicates.threshold={THRESHOLD}",
    "neighbors.k=24",
    "topics.min_cluster_size=5",
    "topics.n_epochs=20",
]
_LETTERS = list("abcdefghijklmnopqrstuvwxyz")


def _texts() -> list[str]:
    generator = np.random.default_rng(5)
    words = ["".join(generator.choice(_LETTERS, generator.integers(1, 5))) for _ in range(40)]
    return sorted({" ".join(generator.choice(words, generator.integers(1, 7))) for _ in range(120)})


TEXTS = _texts()
QUERIES = ["abc de", "z", "hello world", TEXTS[7]]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    prompts = {"query": "query: ", "document": "passage: "}
    return build_model(tmp_path_factory.mktemp("dot"), prompts, similarity="dot", name="tiny-dot", seed=3)


def reindex(root: Path, model: str, *settings: str) -> int:
    source = root.parent / "corpus.jsonl"
    source.write_text("".join(json.dumps({"id": f"d{i:03d}", "text": text}) + "\n" for i, text in enumerate(TEXTS)))
    options = [part for setting in (f"embedding.model={model}", *SETTINGS, *settings) for part in ("--set", setting)]
    return main(["reindex", "--root", str(root), "--input", str(source), *options])


@pytest.fixture(scope="module")
def published(model, tmp_path_factory) -> Generation:
    root = tmp_path_factory.mktemp("published") / "root"
    assert reindex(root, model) == 0
    return open_generation(str(root))


@pytest.fixture(scope="module")
def library(model) -> SentenceTransformer:
    return SentenceTransformer(model, device="cpu", local_files_only=True)


@pytest.fixture(scope="module")
def raw(library) -> np.ndarray:
    """What the library gives for the documents, in the order of TEXTS."""
    return library.encode_document(TEXTS).astype(np.float64)


def position(doc_id: str) -> int:
    return int(doc_id[1:])


def by_id(published: Generation) -> dict[int, int]:
    rows = pq.read_table(published.path("index/ids.parquet")).to_pylist()
    return {row["id"]: position(row["doc_id"]) for row in rows}


def test_the_index_holds_the_vectors_as_the_model_gives_them(published, raw):
    index = faiss.read_index(published.path("index/index.faiss"))
    assert index.metric_type == faiss.METRIC_INNER_PRODUCT
    assert index.ntotal == len(TEXTS)
    for number, row in by_id(published).items():
        np.testing.assert_allclose(index.reconstruct(number), raw[row], atol=1e-5)
    lengths = np.linalg.norm(raw, axis=1)
    assert lengths.max() / lengths.min() > 1.05  # or the test could not tell lengths from none
    assert abs(lengths - 1).min() > 0.1


@pytest.mark.parametrize("query", QUERIES)
def test_answers_are_brute_force_by_dot_product(published, library, raw, corpusbeam, query):
    expected = raw @ library.encode_query([query])[0].astype(np.float64)
    ran = corpusbeam("search", "--root", published.root, query, "-k", len(TEXTS), "--format", "json")
    hits = ran.json["hits"]
    assert len(hits) == len(TEXTS)
    assert {hit["metric"] for hit in hits} == {"dot"}
    np.testing.assert_allclose([hit["score"] for hit in hits], np.sort(expected)[::-1], rtol=1e-4)
    np.testing.assert_allclose([expected[position(hit["doc_id"])] for hit in hits], np.sort(expected)[::-1], rtol=1e-4)
    cosines = expected / np.linalg.norm(raw, axis=1)
    assert [position(hit["doc_id"]) for hit in hits] != np.argsort(-cosines).tolist()


def test_some_scores_are_lower_than_any_cosine(library, raw):
    """Or the test above would not see an answer that is lost or lifted because it is below -1."""
    assert (raw @ library.encode_query(QUERIES).T).min() < -1


def test_a_person_is_told_that_scores_are_no_cosines(published, corpusbeam):
    assert "inner products, not cosines" in corpusbeam("search", "--root", published.root, "abc", "-k", 2).out
    assert "(inner products)" in corpusbeam("report", "--root", published.root).out
    assert "inner product" in Path(published.path("report.html")).read_text()
    assert published.manifest.encoder["metric"] == "dot"
    field = pq.read_schema(published.path("index/recall.parquet")).field("recall")
    assert b"inner product" in field.metadata[b"description"]
    (shard, *_) = [file for file in published.manifest.files if file.path.startswith("vectors/")]
    field = pq.read_schema(f"{published.root}/{shard.path}").field("vector")
    assert b"inner products" in field.metadata[b"description"]


def test_neighbours_and_duplicates_are_by_cosine(published, raw):
    units = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    cosines = units @ units.T
    np.fill_diagonal(cosines, -2)
    row_of = by_id(published)
    for file in published.manifest.under("neighbors"):
        for listed in pq.read_table(published.checked(file)).to_pylist():
            own = cosines[row_of[listed["id"]]]
            np.testing.assert_allclose(listed["cosines"], np.sort(own)[::-1][:24], atol=2e-6)
    pairs = pq.read_table(published.path("duplicates/pairs.parquet")).to_pylist()
    found = {frozenset((position(row["doc_id_a"]), position(row["doc_id_b"]))) for row in pairs}
    sure, possible = (
        {frozenset(pair) for pair in np.argwhere(np.triu(cosines >= THRESHOLD + margin, 1)).tolist()}
        for margin in (1e-5, -1e-5)
    )
    assert sure
    assert sure <= found <= possible


def test_what_the_model_was_not_made_for_is_said_everywhere(model, tmp_path, corpusbeam, capsys):
    root = tmp_path / "root"
    assert reindex(root, model, "embedding.metric=cosine") == 0
    shown = capsys.readouterr()
    metrics = json.loads(Path(open_generation(str(root)).path("metrics.json")).read_text())
    assert len(metrics["warnings"]) == 2
    for warning, word in zip(metrics["warnings"], ("trained for dot", "'passage: '"), strict=True):
        assert word in warning
        assert f"corpusbeam: warning: {warning}" in shown.err
        assert " ".join(warning.split()[:6]) in " ".join(shown.out.split())
    page = Path(open_generation(str(root)).path("report.html")).read_text()
    assert "<ul class='warnings'" in page
    assert "trained for dot" in page
    options = ["--set", f"embedding.model={model}", "--set", "embedding.metric=cosine", "--input", tmp_path / "corpus.jsonl"]
    plan = corpusbeam("plan", "--root", root, *options, "--format", "json")
    assert plan.json["warnings"] == metrics["warnings"]
    assert "trained for dot" in plan.err


def test_cosine_forced_on_it_is_another_encoder(model, published, tmp_path, raw):
    root = tmp_path / "root"
    assert reindex(root, model, "embedding.metric=cosine") == 0
    other = open_generation(str(root))
    assert other.manifest.encoder["fingerprint"] != published.manifest.encoder["fingerprint"]
    index = faiss.read_index(other.path("index/index.faiss"))
    for number, row in by_id(other).items():
        np.testing.assert_allclose(index.reconstruct(number), raw[row] / np.linalg.norm(raw[row]), atol=1e-5)


def test_an_unchanged_corpus_and_a_changed_threshold_embed_nothing(model, tmp_path, monkeypatch):
    root = tmp_path / "root"
    assert reindex(root, model) == 0
    first = open_generation(str(root))
    monkeypatch.setattr("transforms.vectors.fill.load_encoder", lambda *_: pytest.fail("the model was loaded"))
    assert reindex(root, model, "duplicates.threshold=0.9") == 0
    second = open_generation(str(root))
    assert second.id != first.id
    same = [(file.path.split("/", 2)[2], file.sha256) for file in first.manifest.files if "/index/" in file.path]
    assert same == [(file.path.split("/", 2)[2], file.sha256) for file in second.manifest.files if "/index/" in file.path]


def test_plan_knows_the_vectors_of_what_is_published(model, published, corpusbeam):
    options = ["--set", f"embedding.model={model}", "--set", "embedding.precision=fp32"]
    plan = corpusbeam("plan", "--root", published.root, "--input", Path(published.root).parent / "corpus.jsonl", *options)
    assert "dot, 16 dimensions, 0.0 MB to store" in plan.out
    assert "profile none" in plan.out


def test_plan_knows_the_vectors_of_a_profile_before_the_first_run(corpusbeam, write_jsonl, sentences, tmp_path):
    source = write_jsonl([(f"q{i}", text) for i, text in enumerate(sentences)])
    settings = ["--set", "embedding.truncate_dim=64", "--format", "json"]
    plan = corpusbeam("plan", "--root", tmp_path / "root", "--input", source, *settings).json
    assert (plan["profile"], plan["metric"], plan["dimension"]) == ("all-MiniLM-L6-v2", "cosine", 64)
    assert plan["bytes_to_store"] == len(sentences) * 64 * 4
    assert plan["warnings"] == []


def test_similarity_warns_and_compares_the_vectors_as_they_are(model, library, corpusbeam):
    ran = corpusbeam("similarity", "abc", "xyz hello", "--model", model, "--format", "json")
    a, b = library.encode_document(["abc", "xyz hello"]).astype(np.float64)
    (pair,) = ran.json["pairs"]
    assert pair["dot"] == pytest.approx(a @ b, rel=1e-4)
    assert pair["cosine"] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), rel=1e-4)
    assert "similarity compares documents with each other" in ran.err


def test_another_name_of_the_models_folder_is_the_same_encoder(model, published, corpusbeam, tmp_path):
    import shutil

    shutil.copytree(model, tmp_path / "e5-small")  # a name with a profile, which must not count
    ran = corpusbeam("search", "--root", published.root, "abc", "--model", tmp_path / "e5-small", "--format", "json")
    assert ran.code == 0, ran.err
    assert ran.json == corpusbeam("search", "--root", published.root, "abc", "--format", "json").json


@pytest.mark.parametrize("metric", ["dot", "cosine"])
def test_first_dimensions_only(model, library, published, tmp_path, raw, corpusbeam, metric):
    root = tmp_path / "root"
    assert reindex(root, model, "embedding.truncate_dim=8", f"embedding.metric={metric}") == 0
    other = open_generation(str(root))
    assert other.manifest.encoder["fingerprint"] != published.manifest.encoder["fingerprint"]
    first, query = raw[:, :8], library.encode_query(["hello"])[0, :8].astype(np.float64)
    if metric == "cosine":
        first, query = first / np.linalg.norm(first, axis=1, keepdims=True), query / np.linalg.norm(query)
    index = faiss.read_index(other.path("index/index.faiss"))
    assert index.d == 8
    for number, row in by_id(other).items():
        np.testing.assert_allclose(index.reconstruct(number), first[row], atol=1e-5)
    corpusbeam()  # forget what reindex printed
    hits = corpusbeam("search", "--root", root, "hello", "-k", 5, "--format", "json").json["hits"]
    np.testing.assert_allclose([hit["score"] for hit in hits], np.sort(first @ query)[::-1][:5], rtol=1e-4)
