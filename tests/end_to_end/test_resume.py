"""A command that is killed while it embeds, by SIGKILL and at a known place: what the next run still has to embed."""

import json
import os
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from pipelines.config import load_config
from pipelines.reindex import reindex
from tests.embedding.tiny import build_model
from tests.runners.faults import SETTINGS, command, write_corpus
from transforms.embedding import Encoder
from transforms.generations import Generation, open_generation, verify_generation

pytestmark = pytest.mark.slow

# The texts of this corpus have about 50 characters: eight or nine are a batch, four or five batches a part.
CHARACTERS = 400
BATCHES = (*SETTINGS, "topics.n_epochs=20", f"embedding.characters_per_batch={CHARACTERS}")

# Writes down, in every process of the command, what the model has embedded.
_SITECUSTOMIZE = """
import os, sys

if {"pipelines.cli", "pipelines.worker", "pipelines.encoder_server"} & set(sys.orig_argv):
    import json
    from transforms.embedding import Encoder

    encode_documents = Encoder.encode_documents

    def logged(self, texts, *rest):
        encoded = encode_documents(self, texts, *rest)
        with open(os.path.join(os.environ["EMBEDDED"], str(os.getpid())), "a") as file:
            file.write(json.dumps(list(texts)) + "\\n")
        return encoded

    Encoder.encode_documents = logged
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return build_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, corpus, model) -> Generation:
    return publish(tmp_path_factory.mktemp("undisturbed"), corpus, model)


def publish(root: Path, corpus: Path, model: str) -> Generation:
    overrides = {"root": str(root), "corpus.input": [str(corpus)], "embedding.model": model}
    assert reindex(load_config(None, BATCHES, overrides)).published
    return open_generation(str(root))


def digests(generation: Generation) -> dict[str, str]:
    """Checksums of all published files but those that tell of the run."""
    found = {file.path.removeprefix(f"generations/{generation.id}/"): file.sha256 for file in generation.manifest.files}
    folders = ("vectors", "documents", "index", "neighbors", "duplicates", "topics")
    return {path: digest for path, digest in found.items() if path.startswith(folders)}


def kill_in_a_shard(folder: Path, corpus: Path, model: str, stop_at: str, workers: int) -> list[list[str]]:
    """Start a command, kill it with its workers where it stops, and return the batches of texts that it had embedded."""
    signal_file, embedded = folder / "stopped", folder / "embedded"
    embedded.mkdir()
    (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE)
    path = os.pathsep.join([str(folder), str(Path(__file__).parents[2])])
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "EMBEDDED": str(embedded),
        "CORPUSBEAM_STOP_AT": f"{stop_at}={signal_file}",
    }
    arguments = command(corpus, model, folder / "root", workers)
    arguments += [part for setting in BATCHES[-2:] for part in ("--set", setting)]
    run = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while not signal_file.exists():
            assert run.poll() is None, run.stderr.read()
            time.sleep(0.02)
        processes = [*psutil.Process(run.pid).children(recursive=True), psutil.Process(run.pid)]
        for process in processes:
            process.suspend()  # all at one moment
        for process in processes:
            process.kill()
        run.communicate(timeout=60)
        psutil.wait_procs(processes, timeout=60)
    finally:
        run.kill()
    assert run.returncode == -9
    return [json.loads(line) for file in embedded.iterdir() for line in file.read_text().splitlines()]


def text_of_key(generation: Generation) -> dict[bytes, str]:
    tables = [pq.read_table(generation.checked(file)) for file in generation.manifest.under("documents")]
    return {row["content_key"]: row["text"] for table in tables for row in table.to_pylist()}


def stored_keys(root: Path) -> list[bytes]:
    return [key for path in root.glob("vectors/*/*.parquet") for key in pq.read_table(path)["content_key"].to_pylist()]


@pytest.mark.parametrize(("stop_at", "workers"), [pytest.param("mid_shard:3", 1, marks=pytest.mark.long), ("mid_shard:2", 2)])
def test_what_was_stored_is_not_embedded_again(tmp_path, corpus, model, undisturbed, monkeypatch, stop_at, workers):
    before = kill_in_a_shard(tmp_path, corpus, model, stop_at, workers)
    root = tmp_path / "root"
    assert not (root / "CURRENT").exists()
    texts = text_of_key(undisturbed)
    stored = [texts[key] for key in stored_keys(root)]
    assert len(stored) == len(set(stored)), "a text was stored twice"
    lost = [batch for batch in before if not set(batch) & set(stored)]
    assert 1 <= len(lost) <= workers
    assert Counter(stored) == Counter(text for batch in before if batch not in lost for text in batch)
    if workers == 1:
        assert len(before) == int(stop_at.partition(":")[2])
    assert all(sum(map(len, batch[:-1])) < CHARACTERS for batch in before)

    embedded: list[str] = []
    real = Encoder.encode_documents
    monkeypatch.setattr(Encoder, "encode_documents", lambda self, some, *rest: embedded.extend(some) or real(self, some, *rest))
    again = publish(root, corpus, model)
    assert sorted(embedded) == sorted(set(texts.values()) - set(stored))
    # Embedded twice: what the killed workers had in their hands.
    assert set(embedded) & {text for batch in before for text in batch} == {text for batch in lost for text in batch}
    counts = json.loads(Path(again.path("metrics.json")).read_text())["stages"]["embed"]
    assert (counts["texts_embedded"], counts["texts_reused"]) == (len(embedded), len(stored))
    assert digests(again) == digests(undisturbed)
    assert sorted(texts[key] for key in stored_keys(root)) == sorted(texts.values())


def test_a_changed_shard_is_not_published_again(tmp_path, corpus, model, undisturbed, capsys):
    """A flipped byte between two runs: the second, which embeds nothing else, publishes what a run from nothing does."""
    root = tmp_path / "root"
    first = publish(root, corpus, model)
    shards = [file for file in first.manifest.files if file.path.startswith("vectors/")]
    damaged = root / shards[len(shards) // 2].path
    data = damaged.read_bytes()
    damaged.write_bytes(data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :])
    problems = verify_generation(str(root), first.id).problems
    assert len(problems) == 1
    assert damaged.name in problems[0]

    overrides = {"root": str(root), "corpus.input": [str(corpus)], "embedding.model": model}
    outcome = reindex(load_config(None, [*BATCHES, "duplicates.threshold=0.8"], overrides))
    rows = shards[len(shards) // 2].rows
    assert outcome.metrics["stages"]["embed"]["texts_embedded"] == rows
    warning = f"the stored vectors in {shards[len(shards) // 2].path} were changed after they were written"
    assert warning in capsys.readouterr().err
    assert any(warning in line for line in outcome.metrics["warnings"])
    second = open_generation(str(root))
    same = ("vectors/", "documents/", "index/", "neighbors/")
    assert {path: digest for path, digest in digests(second).items() if path.startswith(same)} == {
        path: digest for path, digest in digests(undisturbed).items() if path.startswith(same)
    }
    assert verify_generation(str(root), second.id).problems == ()
