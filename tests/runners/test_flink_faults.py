"""A standalone Flink cluster of two TaskManagers: what a killed one, a job that cannot succeed and a signal do to a reindex."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.embedding.tiny import build_model
from tests.faults.commands import Child, reindex_arguments, run_here
from tests.faults.corpora import FIRST, SECOND, write_corpus
from tests.runners.engines.engine import UnavailableError, missing_tools
from tests.runners.engines.flink_cluster import FlinkCluster, flink_cluster
from tests.runners.engines.java import TOOLS
from tests.runners.flink_faults import Faults
from transforms.generations import open_generation

pytestmark = pytest.mark.slow

# What recovery needs of a cluster; README says the same.
RECOVERY = {
    "restart-strategy": "fixed-delay",
    # A lost TaskManager costs about three attempts, until its heartbeat is missed.
    "restart-strategy.fixed-delay.attempts": "8",
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

    def start(self, root: Path, corpus: Path, name: str) -> Child:
        """A reindex on Flink in a process of its own."""
        options = [*self.cluster.engine.options, f"--flink_master={self.cluster.rest_url}"]
        arguments = reindex_arguments(root, corpus, self.model, "runner.shared_root=true", "runner.probe_seconds=0")
        return Child([*arguments, "--", *options], self.folder / name)

    def state(self, name: str) -> str:
        """State of the job whose name contains `name`, as Flink tells."""
        (state,) = {job["state"] for job in self.cluster.rest("jobs/overview")["jobs"] if name in job["name"]}
        return state


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[Place]:
    if missing := missing_tools(*TOOLS):
        pytest.skip(f"Flink needs {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("flink")
    faults = Faults(folder / "faults")
    corpora = tuple(write_corpus(folder / f"{name}.jsonl", rows) for name, rows in (("first", FIRST), ("second", SECOND)))
    try:
        with flink_cluster(folder / "cluster", RECOVERY, faults.environment) as cluster:
            yield Place(cluster, faults, folder, corpora, build_model(folder))
    except UnavailableError as error:
        pytest.skip(str(error))


def digests(root: Path) -> dict[str, str]:
    """Checksums of all published files but those that tell the time of the run."""
    generation = open_generation(str(root))
    files = {file.path.removeprefix(f"generations/{generation.id}/"): file.sha256 for file in generation.manifest.files}
    return {path: digest for path, digest in files.items() if path not in ("metrics.json", "report.html")}


def test_a_killed_task_manager_costs_time_only(place):
    undisturbed, root = place.folder / "undisturbed", place.folder / "root"
    assert run_here(reindex_arguments(undisturbed, place.corpora[0], place.model)).code == 0
    place.faults.arm("wait")
    run = place.start(root, place.corpora[0], "killed")
    place.faults.wait_until_embedding(2)
    place.cluster.task_managers[0].kill()
    begun = place.faults.embedding()
    place.faults.go_on()
    assert run.wait() == 0, run.err
    assert place.faults.embedding() - begun, "the job was not begun again"
    assert digests(root) == digests(undisturbed)
