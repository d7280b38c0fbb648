"""What a second night does: changes counted, deletions guarded, nothing moved when a gate refuses."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.embedding.tiny import build_model
from transforms.generations import list_generations, open_generation, read_current

TEXTS = {f"d{i}": f"{'abcdefg'[i % 7]} text {'xyz' * (i % 5)} number {chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(40)}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return build_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def night(corpusbeam, tmp_path, model):
    """Reindex what the folder `input` holds: {file name: {id: (text, colour)}}."""
    folder = tmp_path / "input"
    folder.mkdir()

    def run(files: dict[str, dict[str, tuple[str | None, str]]], *options: str, settings: tuple[str, ...] = ()):
        for name, rows in files.items():
            table = pa.table(
                {
                    "id": pa.array(list(rows), pa.string()),
                    "text": pa.array([text for text, _ in rows.values()], pa.string()),
                    "colour": pa.array([colour for _, colour in rows.values()], pa.string()),
                }
            )
            pq.write_table(table, folder / name)
        chosen = (
            f"embedding.model={model}",
            "embedding.device=cpu",
            "embedding.precision=fp32",
            "corpus.rows_per_part=8",
            "corpus.metadata_columns=[colour]",
            "topics.n_epochs=20",
            *settings,
        )
        arguments = [part for setting in chosen for part in ("--set", setting)]
        root = tmp_path / "root"
        return corpusbeam("reindex", "--root", root, "--input", folder, *arguments, "--format", "json", *options)

    return run


def rows(texts: dict[str, str], colour: str = "red") -> dict[str, tuple[str, str]]:
    return {doc_id: (text, colour) for doc_id, text in texts.items()}


def untouched(root: Path, current: str, generations: list[str]) -> bool:
    return read_current(str(root)) == current and list_generations(str(root)) == generations


def test_changes_are_counted_in_the_output_the_manifest_and_the_summary(corpusbeam, night, tmp_path):
    root = tmp_path / "root"
    assert night({"a.parquet": rows(TEXTS)}).json["changes"] == {
        "since": None, "added": 40, "changed": 0, "metadata_only": 0, "unchanged": 0, "deleted": 0, "quarantined": 0,
    }  # fmt: skip
    first = read_current(str(root))
    now = rows(TEXTS)
    del now["d0"], now["d1"]
    now |= {"new": ("a new text", "red"), "d2": ("another text", "red"), "d3": (TEXTS["d3"], "blue"), "d4": (None, "red")}
    ran = night({"a.parquet": now})
    assert ran.code == 0, ran.err
    counts = {"added": 1, "changed": 1, "metadata_only": 1, "unchanged": 35, "deleted": 2, "quarantined": 1}
    assert ran.json["changes"] == {"since": first, **counts}
    manifest = open_generation(str(root)).manifest
    assert (manifest.parent, manifest.changes, manifest.format) == (first, counts, 2)
    gates = {gate.name: gate for gate in manifest.gates}
    assert gates["deleted_share"].value == 2 / 40
    assert gates["checksums"].value == gates["counts_add_up"].value == gates["vectors_not_finite"].value == 0
    assert 0 < gates["unit_length"].value < 1e-6
    shown = corpusbeam("report", "--root", root).out
    line = f"since {first}: 1 added, 1 changed, 1 metadata only, 2 deleted, 1 quarantined, 35 unchanged"
    assert line in " ".join(shown.split())
    assert line in Path(open_generation(str(root)).path("report.html")).read_text()

    again = night({"a.parquet": now})
    assert again.json["published"] is False
    assert again.json["changes"]["unchanged"] == 38
    assert "embed" not in again.json["stages"]


def test_many_deletions_are_refused_before_anything_is_embedded(night, tmp_path):
    root = tmp_path / "root"
    assert night({"a.parquet": rows(TEXTS)}).code == 0
    before = read_current(str(root)), list_generations(str(root))
    few = {doc_id: text for doc_id, text in TEXTS.items() if doc_id not in ("d5", "d6", "d7", "d8", "d9")}
    few["new"] = "a text that would have to be embedded"
    shards = sorted((root / "vectors").rglob("*.parquet"))
    for options in ((), ("--dry-run",)):
        ran = night({"a.parquet": rows(few)}, *options)
        assert ran.code == 3
        assert "5 of the 40 published documents (12.5%) are missing from the input" in ran.err
        assert "corpus.max_deleted_fraction 0.1" in ran.err
        assert "--allow-deletes" in ran.err
    assert untouched(root, *before)
    assert sorted((root / "vectors").rglob("*.parquet")) == shards
    assert night({"a.parquet": rows(few)}, settings=("corpus.max_deleted_fraction=0.125",)).code == 0
    less = dict(list(few.items())[:20])
    ran = night({"a.parquet": rows(less)}, "--allow-deletes")
    assert ran.code == 0, ran.err
    assert ran.json["changes"]["deleted"] == 16


def test_what_is_in_an_unreadable_file_is_not_deleted(night, tmp_path):
    root = tmp_path / "root"
    settings = ("corpus.unreadable_files=quarantine",)
    texts = list(TEXTS.items())
    files = {"a.parquet": rows(dict(texts[:38])), "b.parquet": rows(dict(texts[38:]))}
    assert night(files, settings=settings).code == 0
    before = read_current(str(root)), list_generations(str(root))
    path = tmp_path / "input" / "b.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    ran = night({}, settings=settings)
    # Two of 40 are few enough for the gate on shares, which does not know where they have gone.
    assert ran.code == 3
    assert "2 of the 40 published documents (5.0%) are missing while 1 input file could not be read" in ran.err
    assert untouched(root, *before)
    assert night({}).code == 2
    path.write_bytes(whole)
    assert night({}, settings=settings).json["published"] is False
    path.write_bytes(whole[: len(whole) // 2])
    ran = night({}, "--allow-deletes", settings=settings)
    assert ran.code == 0, ran.err
    assert ran.json["changes"]["deleted"] == 2


def test_an_empty_corpus_is_published_when_that_is_allowed(corpusbeam, night, tmp_path):
    root = tmp_path / "root"
    assert night({"a.parquet": rows(TEXTS)}).code == 0
    before = read_current(str(root)), list_generations(str(root))
    refused = night({"a.parquet": {}}, "--allow-deletes")
    assert refused.code == 3
    assert "--allow-empty" in refused.err
    assert untouched(root, *before)
    ran = night({"a.parquet": {}}, "--allow-empty")
    assert ran.code == 0, ran.err
    assert ran.json["changes"]["deleted"] == 40
    assert ran.json["counts"]["documents"] == ran.json["counts"]["distinct_texts"] == 0
    assert corpusbeam("verify", "--root", root).code == 0
    assert corpusbeam("search", "--root", root, "anything", "--format", "json").json["hits"] == []
    # It is what is published now: nothing is deleted any more, and the next documents are added.
    assert night({"a.parquet": {}}).json["published"] is False
    ran = night({"a.parquet": rows(TEXTS)})
    assert ran.code == 0, ran.err
    assert ran.json["changes"]["added"] == 40
    assert ran.json["stages"]["embed"]["texts_embedded"] == 0


def test_a_root_can_begin_empty(night, tmp_path):
    ran = night({"a.parquet": {}}, "--allow-empty")
    assert ran.code == 0, ran.err
    assert night({"a.parquet": rows(TEXTS)}).code == 0
    assert open_generation(str(tmp_path / "root")).manifest.counts["documents"] == 40


def test_a_dry_run_shows_the_gates_publishes_nothing_and_is_not_in_vain(night, tmp_path):
    root = tmp_path / "root"
    ran = night({"a.parquet": rows(TEXTS)}, "--dry-run")
    assert ran.code == 0, ran.err
    assert (ran.json["published"], ran.json["dry_run"], ran.json["refused"], ran.json["generation"]) == (
        False,
        True,
        None,
        None,
    )
    assert {gate["name"] for gate in ran.json["gates"] if gate["passed"]} == {
        "rows_lost", "counts_add_up", "quarantine_share", "deleted_share", "vectors_not_finite", "unit_length", "checksums",
        "recall_at_10",
    }  # fmt: skip
    assert Path(ran.json["report"]).is_file()
    assert not (root / "CURRENT").exists()
    assert not (root / "generations").exists()
    real = night({"a.parquet": rows(TEXTS)})
    assert real.code == 0, real.err
    stages = real.json["stages"]
    assert all(
        stages[name]["resumed"] for name in ("changes", "embed", "vectors", "index", "neighbors", "duplicates", "topics")
    )


def test_a_file_that_changed_since_it_was_written_is_refused(night, tmp_path, monkeypatch):
    """A file that changes after it was written, as a disk that fails would change it."""
    from pipelines import reindex

    topics = reindex.find_topics

    def damaging(run, *arguments):
        found = topics(run, *arguments)
        path = Path(next(file.path for file in found.published if file.name == "topics.parquet"))
        path.write_bytes(path.read_bytes()[:-1] + b"!")
        return found

    monkeypatch.setattr(reindex, "find_topics", damaging)
    # The page reads the table that was damaged: it is not what is tested.
    monkeypatch.setattr(reindex, "write_report", lambda run, metrics, *_: reindex.file_ref(metrics))
    ran = night({"a.parquet": rows(TEXTS)}, "--dry-run")
    assert ran.code == 3
    assert "gate checksums refused: 1, limit 0" in json.loads(ran.out)["refused"]
    (tmp_path / "root" / "work").rename(tmp_path / "work")
    ran = night({"a.parquet": rows(TEXTS)})
    assert ran.code == 3
    assert "gate checksums refused: 1, limit 0" in ran.err
    assert not (tmp_path / "root" / "CURRENT").exists()
