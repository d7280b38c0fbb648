"""Runs above `neighbors.exact_up_to`: what they publish and say, when they refuse, and what the next run makes of them."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines.cli import main
from pipelines.errors import EXIT_REFUSED
from tests.embedding.tiny import build_model
from tests.neighbors.approximately import true_shares
from transforms.files import read_table
from transforms.generations import open_generation, read_current
from transforms.neighbors import read_neighbors
from transforms.vectors import find_vectors
from transforms.vectors.lookup import describe_shards

WORDS = [a + b for a in "abcdefghij" for b in "klmnop"]


def random_texts(count: int) -> dict[str, str]:
    draw = random.Random(0)
    return {f"d{i}": " ".join(draw.choice(WORDS) for _ in range(draw.randint(3, 9))) for i in range(count)}


TEXTS = random_texts(300)
SETTINGS = (
    "embedding.device=cpu",
    "embedding.precision=fp32",
    "neighbors.k=5",
    "neighbors.rows_per_tile=100",
    "neighbors.texts_per_bucket=15",
    "neighbors.buckets_per_text=2",
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
    assert recall < 1
    assert "recall@5 of the approximate neighbour graph on 300 texts" in gate.meaning
    assert generation.manifest.counts["approximate_lists"] == 300
    counts = json.loads(Path(generation.path("metrics.json")).read_text())["stages"]["neighbors"]
    assert counts["recall"] == pytest.approx(recall, abs=1e-6)
    assert 0 < counts["recall_low"] <= counts["recall"] <= counts["recall_high"] <= 1
    assert (counts["rows"], counts["recall_rows"], counts["buckets"]) == (300, 300, 20)
    assert main(["report", "--root", str(first)]) == 0
    assert f"recall@5 {recall:.4f} of the approximate neighbour graph" in " ".join(capsys.readouterr().out.split())


@pytest.fixture
def root(first, tmp_path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(first, tmp_path / "root"))


def test_a_graph_below_the_gate_is_not_published(root, model, capsys):
    """And is there for a run with a lower gate, which does not make it again."""
    before, poor = read_current(str(root)), ("neighbors.exact_up_to=200", "neighbors.buckets_per_text=1")
    assert reindex(root, model, *poor) == EXIT_REFUSED
    said = capsys.readouterr().err
    assert "gate neighbors_recall refused: 0." in said
    assert "limit 0.98" in said
    assert read_current(str(root)) == before
    assert reindex(root, model, *poor, "neighbors.recall_gate=0.1", "neighbors.rows_per_chunk=100") == 0
    generation = open_generation(str(root))
    stages = json.loads(Path(generation.path("metrics.json")).read_text())["stages"]
    assert all(stages[name]["resumed"] for name in ("neighbors", "duplicates", "topics"))
    assert {gate.name: gate.limit for gate in generation.manifest.gates}["neighbors_recall"] == 0.1


@pytest.mark.long
def test_an_exact_graph_takes_nothing_over_from_an_approximate_one(root, model):
    assert reindex(root, model) == 0
    generation = open_generation(str(root))
    parts = [read_neighbors(generation.checked(file)) for file in generation.manifest.under("neighbors")]
    ids, _, cosines = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    assert true_shares(vectors_of(generation, ids), cosines).min() == 1
    stage = json.loads(Path(generation.path("metrics.json")).read_text())["stages"]["neighbors"]
    assert (stage["rows_searched"], stage["rows_taken_over"]) == (300, 0)
    assert "approximate_lists" not in generation.manifest.counts
    assert "neighbors_recall" not in {gate.name for gate in generation.manifest.gates}


@pytest.mark.long
def test_pairs_of_an_exact_graph_are_complete_though_an_approximate_one_had_the_same_lists(tmp_path, model):
    """In buckets that hold everybody, nobody is missed: then the graph has the bytes of the exact one."""
    root, few = tmp_path / "root", dict(list(TEXTS.items())[:60])

    def published(*settings: str) -> tuple[dict, dict]:
        assert reindex(root, model, "neighbors.texts_per_bucket=250", *settings, texts=few) == 0
        metrics = json.loads(Path(open_generation(str(root)).path("metrics.json")).read_text())
        return graph_of(root), metrics["stages"]["duplicates"]

    approximate, before = published("neighbors.exact_up_to=10")
    exact, after = published()
    assert approximate == exact
    assert before["incomplete_because"] == ["approximate graph"]
    assert (after["reused"], after["complete"], after["incomplete_because"]) == (False, True, [])


@pytest.mark.long
def test_workers_tasks_and_what_was_published_before_change_nothing(root, tmp_path, model):
    grown = random_texts(310)
    assert reindex(root, model, *APPROXIMATE, texts=grown) == 0
    other = tmp_path / "other"
    assert reindex(other, model, *APPROXIMATE, "neighbors.rows_per_chunk=1", texts=grown, options=("--workers", "2")) == 0
    assert graph_of(other) == graph_of(root)


def test_the_plan_says_when_the_graph_will_be_approximate(root, tmp_path, model, capsys):
    def plan(*settings):
        chosen = [part for setting in (f"embedding.model={model}", *SETTINGS, *settings) for part in ("--set", setting)]
        assert main(["plan", "--root", str(root), "--input", str(tmp_path / "root.jsonl"), *chosen]) == 0
        return capsys.readouterr().out

    path = tmp_path / "root.jsonl"
    path.write_text("".join(json.dumps({"id": doc_id, "text": text}) + "\n" for doc_id, text in TEXTS.items()))
    assert "neighbour graph  approximate: more texts than neighbors.exact_up_to" in plan("neighbors.exact_up_to=299")
    assert "neighbour graph  approximate" not in plan("neighbors.exact_up_to=300")
