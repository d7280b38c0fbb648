"""Real commands with two worker processes: what they publish, what a death or a signal does, and that nobody is left."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from pipelines.config import load_config
from pipelines.reindex import reindex
from tests.embedding.tiny import build_model
from tests.runners.faults import SETTINGS, command, environment, write_corpus
from transforms.generations import Generation, open_generation

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return build_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def of_one(tmp_path_factory, corpus, model) -> Generation:
    """What one worker publishes, which is this process."""
    return _publish(tmp_path_factory.mktemp("one"), corpus, model, 1)


def _publish(folder: Path, corpus: Path, model: str, workers: int) -> Generation:
    overrides = {"root": str(folder), "corpus.input": [str(corpus)], "embedding.model": model, "runner.workers": workers}
    assert reindex(load_config(None, SETTINGS, overrides)).published
    return open_generation(str(folder))


def _digests(generation: Generation) -> dict[str, str]:
    """Checksums of all published files but those that tell the time of the run."""
    digests = {file.path.removeprefix(f"generations/{generation.id}/"): file.sha256 for file in generation.manifest.files}
    return {path: digest for path, digest in digests.items() if path not in ("metrics.json", "report.html")}


def _children(process: subprocess.Popen) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def test_two_workers_publish_the_bytes_of_one(tmp_path, corpus, model, of_one):
    of_two = _publish(tmp_path, corpus, model, 2)
    assert _digests(of_two) == _digests(of_one)
    names = {path.split("/")[0] for path in _digests(of_two)}
    assert names >= {"documents", "vectors", "index", "neighbors", "duplicates", "topics"}, names
    assert of_two.manifest.counts["pairs"] > 0
    assert of_two.manifest.counts["groups"] > 0
    assert not [child for child in psutil.Process().children(recursive=True) if "pipelines.worker" in child.cmdline()]
    stages = json.loads(Path(of_two.path("metrics.json")).read_text())["stages"]
    workers = stages["embed"]["workers"]
    assert len({worker["worker"] for worker in workers}) == 2
    assert all(worker["counts"]["texts_embedded"] and worker["peak_rss_mb"] for worker in workers)
    assert sum(worker["counts"]["texts_embedded"] for worker in workers) == stages["embed"]["texts_embedded"]
    # Nor is the driver, which has one task of some stages for itself, one of those that do the others.
    of_driver = {worker["worker"] for worker in stages["report"]["workers"]}
    assert len(of_driver) == 1
    assert not of_driver & {worker["worker"] for worker in workers}


def test_a_killed_worker_ends_the_run_and_the_next_one_takes_over(tmp_path, corpus, model, of_one):
    root, marker = tmp_path / "root", tmp_path / "killed"
    run = subprocess.Popen(
        command(corpus, model, root, 2),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path, "kill", marker),
        start_new_session=True,
    )
    try:
        out, err = run.communicate(timeout=240)
    finally:
        run.kill()
    assert marker.exists(), f"no worker was killed: {err}"
    assert run.returncode == 1
    assert out == ""
    assert err.startswith("corpusbeam: worker ")
    assert f"(process {marker.read_text()}) was killed by SIGKILL in job EmbedPassages: most likely" in err
    assert err.count("\n") == 1, err
    assert not [process for process in psutil.process_iter() if _session(process) == run.pid]
    assert not (root / "CURRENT").exists()
    assert not list(root.glob("generations/*"))

    again = _publish(root, corpus, model, 1)
    assert json.loads(Path(again.path("metrics.json")).read_text())["stages"]["embed"]["texts_reused"] > 0
    assert _digests(again) == _digests(of_one)


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGTERM, marks=pytest.mark.long), signal.SIGINT], ids=lambda number: number.name
)
def test_a_signal_ends_the_run_and_its_workers(tmp_path, corpus, model, number):
    root, marker = tmp_path / "root", tmp_path / "embedding"
    run = subprocess.Popen(
        command(corpus, model, root, 2),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path, "block", marker),
        start_new_session=True,
    )
    try:
        while not marker.exists():
            assert run.poll() is None, run.stderr.read()
            time.sleep(0.05)
        workers = _children(run)
        assert len(workers) == 2
        if number == signal.SIGINT:
            os.killpg(run.pid, number)  # as a terminal does on Ctrl-C
        else:
            run.send_signal(number)
        out, err = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 128 + number
    assert (out, err) == ("", f"corpusbeam: stopped by {number.name}; nothing was published\n")
    assert not [worker for worker in workers if _alive(worker)]
    assert not (root / "CURRENT").exists()


def test_workers_end_when_the_driver_is_killed(tmp_path, corpus, model):
    marker = tmp_path / "embedding"
    run = subprocess.Popen(
        command(corpus, model, tmp_path / "root", 2), env=environment(tmp_path, "block", marker), stderr=subprocess.DEVNULL
    )
    try:
        while not marker.exists():
            assert run.poll() is None
            time.sleep(0.05)
        workers = _children(run)
        assert len(workers) == 2
    finally:
        run.kill()
        run.wait()
    deadline = time.monotonic() + 60
    while any(_alive(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except ProcessLookupError:
        return None
