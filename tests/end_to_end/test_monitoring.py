"""What a run leaves for monitoring, however it ends: real signals, real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.embedding.tiny import build_model
from tests.pipelines.test_prometheus import parse
from transforms.generations import read_current

TEXTS = {f"d{i}": f"{'abcdefg'[i % 7]} text {'xyz' * (i % 5)} number {chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return build_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def command(tmp_path, model):
    """The arguments of a run over so many of the texts."""

    def arguments(texts: int, *options: str) -> list[str]:
        path = tmp_path / "corpus.jsonl"
        path.write_text(
            "".join(json.dumps({"id": doc_id, "text": text}) + "\n" for doc_id, text in list(TEXTS.items())[:texts])
        )
        settings = (f"embedding.model={model}", "embedding.device=cpu", "embedding.precision=fp32", "topics.n_epochs=20")
        chosen = [part for setting in settings for part in ("--set", setting)]
        files = ["--root", str(tmp_path / "root"), "--input", str(path), "--prometheus", str(tmp_path / "run.prom")]
        return ["reindex", *files, *chosen, *options]

    return arguments


def left(tmp_path: Path) -> tuple[dict, dict[str, float], dict]:
    """`last_run.json`, the Prometheus samples that have no label of their own, and all samples by their own labels."""
    run = json.loads((tmp_path / "root" / "last_run.json").read_text())
    found = {}
    for name, samples in parse((tmp_path / "run.prom").read_text()).items():
        own = {tuple(value for key, value in labels if key != "root"): value for labels, value in samples.items()}
        found[name.removeprefix("corpusbeam_")] = own
    return run, {name: samples[()] for name, samples in found.items() if () in samples}, found


def test_every_end_of_a_run_in_this_process(corpusbeam, command, tmp_path, monkeypatch):
    before = time.time()
    assert corpusbeam(*command(30, "--dry-run")).code == 0
    run, single, _ = left(tmp_path)
    assert (run["outcome"], run["exit_code"], run["generation"], run["last_success_timestamp"]) == ("dry_run", 0, None, None)
    assert single["last_success_timestamp_seconds"] == 0

    assert corpusbeam(*command(30)).code == 0
    run, single, found = left(tmp_path)
    current = read_current(str(tmp_path / "root"))
    assert (run["outcome"], run["exit_code"], run["message"], run["generation"]) == ("published", 0, None, current)
    assert before <= run["last_success_timestamp"] == run["finished_timestamp"] <= time.time()
    assert single["last_success_timestamp_seconds"] == single["last_run_timestamp_seconds"] == run["finished_timestamp"]
    assert single["last_run_duration_seconds"] == run["seconds"] > 0
    assert found["documents"][("added",)] == 30
    assert found["gate_passed"][("recall_at_10",)] == 1
    assert found["stage_duration_seconds"][("topics",)] >= 0
    assert run["counts"]["documents"] == found["count"][("documents",)] == 30

    assert corpusbeam(*command(30)).code == 0
    success = left(tmp_path)[0]
    assert (success["outcome"], success["generation"], success["changes"]["unchanged"]) == ("no_change", current, 30)
    assert success["last_success_timestamp"] == success["finished_timestamp"]

    assert corpusbeam(*command(20)).code == 3
    run, single, found = left(tmp_path)
    assert (run["outcome"], run["exit_code"], run["changes"]["deleted"]) == ("refused", 3, 10)
    assert "10 of the 30 published documents" in run["message"]
    assert single["last_run_exit_code"] == 3
    assert single["last_success_timestamp_seconds"] == success["finished_timestamp"] < single["last_run_timestamp_seconds"]
    assert found["documents"][("deleted",)] == 10
    assert found["gate_passed"] == {("deleted_share",): 0}
    assert found["gate_value"][("deleted_share",)] == pytest.approx(1 / 3)

    def fails(*_):
        raise RuntimeError("no disk at https://user:hunter2@disks.example/d?token=hunter2")

    with monkeypatch.context() as broken:
        broken.setattr("pipelines.reindex.find_changes", fails)
        assert corpusbeam(*command(29)).code == 1
    run, single, _ = left(tmp_path)
    assert (run["outcome"], run["exit_code"]) == ("failed", 1)
    assert "no disk at https://" in run["message"]
    assert "hunter2" not in json.dumps(run) + (tmp_path / "run.prom").read_text()
    assert set(run["stages"]) == {"corpus"}
    assert single["last_success_timestamp_seconds"] == success["finished_timestamp"]

    # Not one of the files that were replaced was left behind half written.
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["corpus.jsonl", "run.prom"]


def test_a_signal_is_recorded_and_a_run_that_found_the_root_taken_is_not(corpusbeam, command, tmp_path):
    stopped = tmp_path / "stopped"
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", *command(30)],
        env={**os.environ, "CORPUSBEAM_STOP_AT": f"after_plan={stopped}"},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        while not stopped.exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        assert corpusbeam(*command(30)).code == 4
        assert not (tmp_path / "root" / "last_run.json").exists()
        assert not (tmp_path / "run.prom").exists()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    finally:
        process.kill()
        process.communicate()
    run, single, found = left(tmp_path)
    assert (run["outcome"], run["exit_code"]) == ("failed", 143)
    assert run["message"] == "stopped by SIGTERM; nothing was published"
    assert single["last_run_exit_code"] == 143
    assert found["documents"][("added",)] == 30


def test_a_metrics_file_that_cannot_be_written_is_a_warning(corpusbeam, command, tmp_path):
    (tmp_path / "run.prom").mkdir()
    ran = corpusbeam(*command(3))
    assert ran.code == 0, ran.err
    assert "warning: the run was not recorded for monitoring" in ran.err
    assert str(tmp_path / "run.prom") in ran.err
