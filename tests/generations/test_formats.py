"""Generations of earlier versions stay readable: each folder of `tests/data/roots/` is a root as that version left it."""

import json
import shutil
from pathlib import Path

import faiss
import pyarrow.parquet as pq
import pytest

from pipelines.config import load_config
from pipelines.published import status, verify
from pipelines.reindex import reindex
from pipelines.report import print_report
from tests.embedding.tiny import build_model
from transforms.duplicates import is_current
from transforms.generations import open_generation

ROOTS = sorted((Path(__file__).parents[1] / "data" / "roots").iterdir())


@pytest.fixture(params=ROOTS, ids=lambda root: root.name)
def root(request, tmp_path) -> str:
    """A copy, so that nothing that a reader might leave behind lands in the repository."""
    return str(shutil.copytree(request.param, tmp_path / "root"))


def test_there_is_one_root_for_each_format():
    assert [root.name for root in ROOTS] == ["format-2"]


def test_every_published_file_is_as_it_was(root):
    assert verify(root, None)["problems"] == []


def test_what_the_manifest_counts_is_in_the_files(root):
    generation = open_generation(root)
    counts = generation.manifest.counts
    index = faiss.read_index(generation.path("index/index.faiss"))
    ids = pq.read_table(generation.path("index/ids.parquet"))
    documents = [pq.read_table(generation.checked(file)) for file in generation.manifest.under("documents")]
    assert index.ntotal == counts["distinct_texts"]
    assert sum(table.num_rows for table in documents) == ids.num_rows == counts["passages"]
    assert pq.read_table(generation.path("duplicates/pairs.parquet")).num_rows == counts["pairs"]
    assert pq.read_table(generation.path("topics/assignments.parquet")).num_rows == counts["passages"]


def test_its_duplicates_are_not_taken_over(root):
    """They lack columns and a table that this version publishes."""
    tables = open_generation(root).manifest.under("duplicates")
    assert [file.path.rsplit("/", 1)[-1] for file in tables] == ["groups.parquet", "pairs.parquet"]
    assert not any(is_current(pq.read_schema(open_generation(root).checked(file))) for file in tables)


@pytest.mark.parametrize("format", ["text", "json"])
def test_its_report_is_printed(root, format, capsys):
    print_report(root, format)
    assert "recall" in capsys.readouterr().out


def test_status_reads_it(root):
    assert status(root)["counts"]["documents"] == 12


def test_the_next_run_starts_from_it(root, tmp_path):
    earlier = open_generation(root)
    documents = pq.read_table([earlier.checked(file) for file in earlier.manifest.under("documents")]).to_pylist()
    rows = [{"id": row["doc_id"], "text": row["text"], "kind": row["kind"]} for row in documents]
    rows.append({"id": "new", "text": "How do I delete my account?", "kind": "question"})
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = [f"embedding.model={build_model(tmp_path)}", "corpus.metadata_columns=[kind]"]
    outcome = reindex(load_config(None, settings, {"root": root, "corpus.input": [str(tmp_path / "corpus.jsonl")]}))
    manifest = open_generation(root).manifest
    assert (outcome.published, manifest.parent) == (True, earlier.id)
    assert (manifest.changes["unchanged"], manifest.changes["added"]) == (12, 1)
