"""The command as a scheduler starts it, whose model is in a process of its own, beside runs in this process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.config import load_config
from pipelines.reindex import reindex
from tests.embedding.tiny import build_model
from tests.end_to_end.past import without_past
from transforms.generations import open_generation

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.long
def test_two_nights_of_the_command_publish_what_one_run_from_nothing_in_this_process_does(tmp_path, sentences, write_jsonl):
    model = build_model(tmp_path)
    settings = [f"embedding.model={model}", "embedding.precision=fp32", "embedding.device=cpu", "index.recall_gate=0"]
    settings += ["topics.min_cluster_size=5", "topics.n_neighbors=5", "neighbors.k=8", "topics.n_epochs=11"]
    settings += ["topics.recluster=always"]
    first = [(str(number), text * (1 + number % 3)) for number, text in enumerate(sentences * 3)]
    second = [*first[:-1], (first[-1][0], "Another text."), ("new", "A new text.")]

    def command(rows, name: str) -> dict:
        given = [part for setting in settings for part in ("--set", setting)]
        arguments = ["--root", tmp_path / "root", "--input", write_jsonl(rows, name), "--format", "json", *given]
        done = subprocess.run(
            [sys.executable, "-m", "pipelines.cli", "reindex", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            check=True,
        )
        return json.loads(done.stdout)

    assert command(first, "corpus.jsonl")["stages"]["embed"]["texts_embedded"] == len({text for _, text in first})
    assert not command(first, "corpus.jsonl")["published"]
    assert command(second, "corpus.jsonl")["stages"]["embed"]["texts_embedded"] == 2

    overrides = {"root": str(tmp_path / "other"), "corpus.input": [str(write_jsonl(second, "corpus.jsonl"))]}
    assert reindex(load_config(None, settings, overrides)).published
    assert _content(tmp_path / "root") == _content(tmp_path / "other")


def _content(root: Path) -> dict[str, str]:
    """sha256 of the files that hold results. The store has a shard for each night, but its vectors decide all the others."""
    generation = open_generation(str(root))
    prefix = f"generations/{generation.id}/"
    files = {
        file.path.removeprefix(prefix): file.sha256
        for file in generation.manifest.files
        if not file.path.startswith("vectors/") and not file.path.endswith(("report.html", "metrics.json"))
    }
    return without_past(generation, files)
