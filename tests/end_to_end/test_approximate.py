"""Runs above `neighbors.exact_up_to`: what they publish and say, when they refuse, and what the next run makes of them."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.cli import main
from tests.embedding.tiny import build_model
from tests.neighbors.approximately import true_shares
from transforms.generations import open_generation, read_current
from transforms.neighbors import read_neighbors
from transforms.vectors import find_vectors
from transforms.vectors.lookup import describe_shards

TEXTS = {f"d{i}": f"{'abcdefg'[i % 7]} text {'xyz' * (i % 5)} number {chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(300)}
SETTINGS = (
    "embedding.device=cpu",
    "embedding.precision=fp32",
    "neighbors.k=5",
    "neighbors.rows_per_tile=100",
    "neighbors.texts_per_bucket=15",
    "neighbors.recall_rows=300",
    "topics.n_neighbors=5",
    "topics.n_epochs=20",
)
APPROXIMATE = ("neighbors.exact_up_to=200", "neighbors.recall_gate=0.9")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return build_model(tmp_path_factory.mktemp("tiny"))


def reindex(root: Path, model: str, *settings: str, texts=TEXTS, options=()) -> int:
    path = root.parent / f"{root.name}.jsonl"
    path.write_text("".join(json.dumps({"id": doc_id, "text": text}) + "\n" for doc_id, text in texts.items()))
    chosen = [part for setting in (f"embedding.model={model}", *SETTINGS, *settings) for part in ("--set", setting)]
    return main(["reindex", "--root", str(root), "--input", str(path), *chosen, "--format", "json", *options])


def graph_of(root: Path) -> dict[str, str]:
    manifest = open_generation(str(root)).manifest
    return {file.path.rsplit("/", 1)[-1]: file.sha256 for file in manifest.under("neighbors")}


def vectors_of(generation, ids: np.ndarray) -> np.ndarray:
    shards = describe_shards([generation.checked(file) for file in generation.manifest.files if "vectors/" in file.path])
    from transforms.files import read_table

    keys = sorted(key for shard in shards for key in read_table(shard.path, ["content_key"])["content_key"].to_pylist())
    assert [int.from_bytes(key[:8], "big") >> 1 for key in keys] == ids.tolist()
    vectors = find_vectors(shards, keys).vectors
    assert vectors is not None
    return vectors


@pytest.fixture(scope="module")
def first(tmp_path_factory, model) -> Path:
    """A root with one generation of TEXTS whose graph is approximate."""
    root = tmp_path_factory.mktemp("first") / "root"
    assert reindex(root, model, *APPROXIMATE) == 0
    return root


def test_the_recall_that_is_published_is_that_of_the_published_lists(first, capsys):
    generation = open_generation(str(first))
    parts = [read_neighbors(generation.checked(file)) for file in generation.manifest.under("neighbors")]
    ids, _, cosines = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    recall = true_shares(vectors_of(generation, ids), cosines).mean()
    (gate,) = [gate for gate in generation.manifest.gates if gate.name == "neighbors_recall"]
    assert (gate.value, gate.limit, gate.passed) == (pytest.approx(recall, abs=1e-9), 0.9, True)
    assert "recall@5 of the approximate neighbour graph on 300 texts" in gate.meaning
    assert generation.manifest.counts["approximate_lists"] == 300
    counts = json.loads(Path(generation.path("metrics.json")).read_text())["stages"]["neighbors"]
    assert counts["recall"] == pytest.approx(recall, abs=1e-6)
    assert 0 < counts["recall_low"] <= counts["recall"] <= counts["recall_high"] <= 1
    assert (counts["rows"], counts["recall_rows"], counts["buckets"]) == (300, 300, 20)
    assert main(["report", "--root", str(first)]) == 0
    assert f"recall@5 {recall:.4f} of the approximate neighbour graph" in " ".join(capsys.readouterr().out.split())


def test_a_graph_below_the_gate_is_not_published(tmp_path, model, capsys):
    root = tmp_path / "root"
    settings = ("neighbors.exact_up_to=200", "neighbors.buckets_per_text=1", "neighbors.recall_gate=1")
    assert reindex(root, model, *settings) == 4
    assert "gate neighbors_recall refused" in capsys.readouterr().err
    assert read_current(str(root)) is None


def test_workers_and_parts_of_the_corpus_give_the_same_graph(first, tmp_path, model):
    root = tmp_path / "root"
    assert reindex(root, model, *APPROXIMATE, "neighbors.rows_per_chunk=1", options=("--workers", "2")) == 0
    assert graph_of(root) == graph_of(first)


def test_an_exact_graph_takes_nothing_over_from_an_approximate_one(first, tmp_path, model, capsys):
    exact, after = tmp_path / "exact", tmp_path / "after"
    assert reindex(exact, model) == 0
    assert reindex(after, model, *APPROXIMATE) == 0
    assert graph_of(after) != graph_of(exact)
    assert reindex(after, model) == 0
    assert graph_of(after) == graph_of(exact)
    manifest = open_generation(str(after)).manifest
    assert "approximate_lists" not in manifest.counts
    assert "neighbors_recall" not in {gate.name for gate in manifest.gates}


def test_with_one_more_document_an_approximate_graph_is_that_of_a_run_from_nothing(first, tmp_path, model):
    grown = {**TEXTS, "new": "a text that nobody had before"}
    one, other = tmp_path / "one", tmp_path / "other"
    assert reindex(one, model, *APPROXIMATE) == 0
    assert reindex(one, model, *APPROXIMATE, texts=grown) == 0
    assert reindex(other, model, *APPROXIMATE, texts=grown) == 0
    assert graph_of(one) == graph_of(other)
