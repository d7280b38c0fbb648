"""Runs after the first: what is taken over from the published generation, and that it is what a run from nothing gives."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipelines.cli import main
from tests.embedding.tiny import build_model
from tests.end_to_end.past import without_past
from transforms.generations import open_generation, verify_generation
from transforms.vectors import write_shard

TEXTS = {f"d{i}": f"{'abcdefg'[i % 7]} text {'xyz' * (i % 5)} number {chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(60)}
STAGES = ("index", "recall", "duplicates", "topics", "lexical")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return build_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def first(tmp_path_factory, model) -> Path:
    """A root with one generation of TEXTS."""
    root = tmp_path_factory.mktemp("first") / "root"
    assert reindex(root, TEXTS, model) == 0
    return root


@pytest.fixture
def root(first, tmp_path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(first, tmp_path / "root"))


def reindex(root: Path, texts: dict[str, str], model: str, *settings: str) -> int:
    path = root.parent / f"{root.name}.jsonl"
    path.write_text("".join(json.dumps({"id": doc_id, "text": text}) + "\n" for doc_id, text in texts.items()))
    chosen = (
        f"embedding.model={model}",
        "embedding.device=cpu",
        "embedding.precision=fp32",
        "corpus.rows_per_part=16",
        "neighbors.rows_per_tile=20",
        "neighbors.k=12",
        "topics.n_neighbors=10",
        "topics.n_epochs=20",
        "topics.recluster=always",
        "search.lexical=true",
        *settings,
    )
    options = [part for setting in chosen for part in ("--set", setting)]
    return main(["reindex", "--root", str(root), "--input", str(path), *options, "--format", "json"])


def content(root: Path) -> dict[str, str]:
    """sha256 of every published file of the current generation that holds results, of topics without what they carry on."""
    generation = open_generation(str(root))
    assert not verify_generation(str(root), generation.id).problems
    prefix = f"generations/{generation.id}/"
    files = {
        file.path.removeprefix(prefix): file.sha256
        for file in generation.manifest.files
        if file.path.startswith(prefix) and not file.path.endswith(("report.html", "metrics.json"))
    }
    return without_past(generation, files)


def stages(root: Path) -> dict:
    return json.loads(Path(open_generation(str(root)).path("metrics.json")).read_text())["stages"]


def reused(root: Path) -> set[str]:
    return {name for name, stage in stages(root).items() if stage["reused"]}


def from_nothing(tmp_path: Path, texts: dict[str, str], model: str, *settings: str) -> dict[str, str]:
    assert reindex(tmp_path / "other", texts, model, *settings) == 0
    assert not reused(tmp_path / "other")
    return content(tmp_path / "other")


@pytest.mark.parametrize(
    ("setting", "computed"),
    [
        ("duplicates.threshold=0.9", {"duplicates"}),
        pytest.param("topics.min_samples=3", {"topics"}, marks=pytest.mark.long),
        ("index.type=IVF4,Flat", {"index", "recall"}),
        # Says how it is judged, not what it is.
        pytest.param("index.recall_gate=0.5", set(), marks=pytest.mark.long),
        ("search.k1=1.2", {"lexical"}),
        # A list that is cut is another graph.
        ("neighbors.k=11", {"duplicates", "topics"}),
    ],
)
def test_a_changed_setting_computes_only_what_depends_on_it(root, tmp_path, model, setting, computed):
    assert reindex(root, TEXTS, model, setting) == 0
    assert set(STAGES) - reused(root) == computed
    assert stages(root)["embed"]["texts_embedded"] == stages(root)["neighbors"]["rows_searched"] == 0
    counts = open_generation(str(root)).manifest.counts
    assert content(root) == from_nothing(tmp_path, TEXTS, model, setting)
    assert counts == open_generation(str(tmp_path / "other")).manifest.counts
    if "topics" not in computed:
        everything_is_where_it_was(root)


def everything_is_where_it_was(root):
    """Topics of the same texts carry on the parent's, also where they were found again."""
    now = open_generation(str(root))
    before = open_generation(str(root), now.manifest.parent)
    for name, uid in (("topics", "topic_uid"), ("themes", "theme_uid")):
        old, new = (pq.read_table(one.path(f"topics/{name}.parquet")).to_pylist() for one in (before, now))
        assert {row[uid]: row["title"] for row in new} == {row[uid]: row["title"] for row in old}
        assert {(row["first_seen"], row["generations"]) for row in new} <= {(before.id, 2)}
        assert {(row["first_seen"], row["generations"]) for row in old} <= {(None, 1)}
    assert set(pq.read_table(now.path("topics/events.parquet"))["event"].to_pylist()) <= {"continued"}
    for row in pq.read_table(now.path("topics/drift.parquet")).to_pylist():
        assert row["stayed"] == row["documents"] == row["documents_before"] == len(TEXTS)
        assert row["jensen_shannon"] == 0
    flow = pq.read_table(now.path("topics/flow.parquet")).to_pylist()
    assert {(row["from_state"], row["from_uid"]) for row in flow} == {(row["to_state"], row["to_uid"]) for row in flow}
    assert sum(row["documents"] for row in flow) == 4 * len(TEXTS), "topics, and three layers of themes"


def test_changed_texts_update_the_graph_and_reuse_nothing_else(root, tmp_path, model):
    texts = {**TEXTS, "d7": "another text now", "new": "one more number"}
    del texts["d3"], texts["d30"]
    assert reindex(root, texts, model) == 0
    graph = stages(root)["neighbors"]
    assert not reused(root)
    assert (
        0 < graph["rows_searched"] < graph["rows"] == graph["rows_searched"] + graph["rows_updated"] + graph["rows_taken_over"]
    )
    assert content(root) == from_nothing(tmp_path, texts, model)


@pytest.fixture(scope="module")
def other_threshold(tmp_path_factory, model) -> dict[str, str]:
    """What a run from nothing gives at another threshold."""
    return from_nothing(tmp_path_factory.mktemp("threshold"), TEXTS, model, "duplicates.threshold=0.9")


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("neighbors/part-00001.parquet", "flipped"),
        pytest.param("neighbors/part-00001.parquet", "missing", marks=pytest.mark.long),
        ("index/index.faiss", "flipped"),
        ("topics/topics.parquet", "missing"),
        pytest.param("metrics.json", "flipped", marks=pytest.mark.long),
    ],
)
def test_a_damaged_file_is_computed_again(root, other_threshold, capsys, model, file, damage):
    path = Path(open_generation(str(root)).folder, file)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink() if damage == "missing" else path.write_bytes(data)
    assert reindex(root, TEXTS, model, "duplicates.threshold=0.9") == 0
    assert f"{path} " in capsys.readouterr().err
    assert content(root) == other_threshold


def test_vectors_that_were_lost_and_came_back_otherwise_are_compared_again(root, tmp_path, model):
    """Keys and documents are the same, and yet nothing of the parent's may be taken over for these texts."""
    path = next((root / "vectors").glob("*/*.parquet"))
    table = pq.read_table(path)
    path.unlink()
    vectors = np.array(table["vector"].to_pylist(), np.float32)[:, ::-1]
    write_shard(str(path.parent), table["content_key"].to_pylist(), vectors, np.zeros(len(vectors), bool))
    shutil.copytree(root / "vectors", tmp_path / "other" / "vectors")
    assert reindex(root, TEXTS, model, "duplicates.threshold=0.9") == 0
    assert stages(root)["embed"]["texts_embedded"] == 0
    assert reused(root) == set()
    assert content(root) == from_nothing(tmp_path, TEXTS, model, "duplicates.threshold=0.9")


def test_vectors_that_were_lost_and_are_embedded_alike_are_taken_over(root, other_threshold, model):
    next((root / "vectors").glob("*/*.parquet")).unlink()
    assert reindex(root, TEXTS, model, "duplicates.threshold=0.9") == 0
    assert stages(root)["embed"]["texts_embedded"] > 0
    assert reused(root) == {"index", "recall", "topics", "lexical"}
    assert content(root) == other_threshold


def test_another_model_takes_nothing_over(root, tmp_path, model):
    other = build_model(tmp_path, seed=1)
    assert reindex(root, TEXTS, other) == 0
    assert reused(root) == set()
    assert stages(root)["neighbors"]["rows_searched"] == 60


def test_a_generation_that_is_taken_over_from_stays_whole(root, model):
    parent = open_generation(str(root)).id
    assert reindex(root, TEXTS, model, "duplicates.threshold=0.9") == 0
    assert verify_generation(str(root), parent).problems == ()
