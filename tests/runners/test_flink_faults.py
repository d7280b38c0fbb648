"""A standalone Flink cluster of two TaskManagers: what a killed one, a job that cannot succeed and a signal do to a reindex."""

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.embedding.tiny import build_model
from tests.faults.commands import SECONDS, Child, reindex_arguments, run_here
from tests.faults.corpora import FIRST, SECOND, write_corpus
from tests.runners.engines.engine import engine_or_skip
from tests.runners.engines.flink_cluster import FlinkCluster, flink_cluster
from tests.runners.engines.java import TOOLS
from tests.runners.flink_faults import Faults
from transforms.generations import open_generation

pytestmark = [pytest.mark.slow, pytest.mark.tools(*TOOLS)]

# What recovery needs of a cluster; README says the same.
RECOVERY = {
    "restart-strategy": "fixed-delay",
    # A lost TaskManager costs about three attempts, until its heartbeat is missed.
    "restart-strategy.fixed-delay.attempts": "6",
    "restart-strategy.fixed-delay.delay": "2 s",
    "heartbeat.interval": "1000",
    "heartbeat.timeout": "6000",
    # The whole job must fit on one TaskManager.
    "taskmanager.numberOfTaskSlots": "2",
    "taskmanager.memory.network.min": "256m",
    "taskmanager.memory.network.max": "256m",
}


@dataclass(frozen=True)
class Place:
    """A cluster whose workers obey `faults`, a corpus and its successor, a model, and the folder of all."""

    cluster: FlinkCluster
    faults: Faults
    folder: Path
    corpora: tuple[Path, Path]
    model: str

    def start(self, root: Path, corpus: Path, name: str, stop_at: str = "", probe_seconds: int = 0) -> Child:
        """A reindex on Flink in a process of its own."""
        options = [*self.cluster.engine.options, f"--flink_master={self.cluster.rest_url}"]
        arguments = reindex_arguments(
            root, corpus, self.model, "runner.shared_root=true", f"runner.probe_seconds={probe_seconds}"
        )
        return Child([*arguments, "--", *options], self.folder / name, stop_at)

    def state(self, name: str) -> str:
        """State of the last job whose name begins so, as Flink tells."""
        return self._job(name)["state"]

    def was_restarted(self, name: str) -> bool:
        """Whether Flink has begun that job again."""
        return self.cluster.rest(f"jobs/{self._job(name)['jid']}")["timestamps"]["RESTARTING"] > 0

    def _job(self, name: str) -> dict[str, Any]:
        jobs = [job for job in self.cluster.rest("jobs/overview")["jobs"] if job["name"].startswith(name)]
        return max(jobs, key=lambda job: job["start-time"])


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("flink")
    faults = Faults(folder / "faults")
    corpora = tuple(write_corpus(folder / f"{name}.jsonl", rows) for name, rows in (("first", FIRST), ("second", SECOND)))
    with engine_or_skip(flink_cluster(folder / "cluster", RECOVERY, faults.environment), TOOLS) as cluster:
        yield Place(cluster, faults, folder, corpora, build_model(folder))


def digests(root: Path) -> dict[str, str]:
    """Checksums of all published files but those that tell the time of the run."""
    generation = open_generation(str(root))
    files = {file.path.removeprefix(f"generations/{generation.id}/"): file.sha256 for file in generation.manifest.files}
    return {path: digest for path, digest in files.items() if path not in ("metrics.json", "report.html")}


@pytest.fixture(scope="module")
def published(place) -> Path:
    """A root with what nobody has disturbed."""
    root = place.folder / "undisturbed"
    assert run_here(reindex_arguments(root, place.corpora[0], place.model)).code == 0
    return root


def kill_while_embedding(place: Place) -> None:
    """SIGKILL to one of the two TaskManagers, whose workers both embed."""
    place.faults.wait_until_begun(2)
    place.cluster.task_managers[-1].kill()
    place.faults.become("embed", "work")


def test_a_job_that_fails_for_good_leaves_what_is_published_and_says_where_to_look(place, published):
    before = (published / "CURRENT").read_bytes()
    place.faults.arm("read", "fail")
    run = place.start(published, place.corpora[1], "failed")
    assert run.wait() == 1
    assert (published / "CURRENT").read_bytes() == before
    said = run.err.splitlines()[-1]
    name = re.search(r"corpusbeam-read-corpus-[0-9a-f]+", said)[0]
    assert "ended as FAILED: the disk of this worker is broken; look at " in said
    assert f"look at the job at {place.cluster.rest_url} (Flink's web interface and REST API)" in said
    assert "Traceback" not in run.err
    assert place.state(name) == "FAILED"
    assert place.was_restarted(name)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_cancels_the_job_on_flink(place, published, number):
    before = (published / "CURRENT").read_bytes()
    place.faults.arm("read", "wait")
    run = place.start(published, place.corpora[1], f"signal-{number.name}")
    place.faults.wait_until_begun(1)
    code = run.send(number)
    place.faults.become("read", "work")
    assert code == 128 + number, run.err
    *_, cancelled, said = run.err.splitlines()
    name = re.search(r"corpusbeam-read-corpus-[0-9a-f]+", cancelled)[0]
    assert cancelled.endswith(": CANCELLED")
    assert said == f"corpusbeam: stopped by {number.name}; nothing was published"
    assert place.state(name) == "CANCELED"
    assert (published / "CURRENT").read_bytes() == before


def test_a_killed_task_manager_costs_time_only(place, published):
    """Up to the embedding on Flink, the rest here: a run elsewhere takes over what is finished."""
    root = place.folder / "root"
    place.faults.arm("embed", "wait")
    run = place.start(root, place.corpora[0], "killed", stop_at="after_embed", probe_seconds=SECONDS)
    kill_while_embedding(place)
    run.kill()
    assert place.was_restarted("corpusbeam-embed-passages")
    assert "corpusbeam: job corpusbeam-probe-" in run.err, "the workers were not asked"
    ran = run_here(reindex_arguments(root, place.corpora[0], place.model))
    assert ran.code == 0, ran.err
    assert ran.json["stages"]["embed"]["resumed"]
    assert digests(root) == digests(published)


@pytest.mark.long
def test_a_whole_run_survives_a_killed_task_manager(place, published):
    root = place.folder / "whole"
    if not all(process.alive for process in place.cluster.task_managers):
        # The test before this one has killed it.
        place.cluster.start_task_manager()
        place.cluster.wait_for_task_managers(2)
    place.faults.arm("embed", "wait")
    run = place.start(root, place.corpora[0], "whole")
    kill_while_embedding(place)
    assert run.wait() == 0, run.err
    assert place.was_restarted("corpusbeam-embed-passages")
    assert digests(root) == digests(published)
