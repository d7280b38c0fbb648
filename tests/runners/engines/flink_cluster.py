"""A standalone Flink cluster: JobManager, TaskManagers and Beam's job server, each a process of its own."""

import json
import os
import shlex
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.runners.engines.engine import Engine
from tests.runners.engines.java import flink_jars, java
from tests.runners.engines.processes import ProcessGroup, Started, accepts, free_ports, process_group

_WORKER = Path(__file__).with_name("worker.py")
_JOB_SERVER = Path(__file__).with_name("JobServer.java")
_REPOSITORY = Path(__file__).parents[3]

# Flink's shell scripts compute the sizes; without them a TaskManager wants to be told every one.
_SIZES_MB = {
    "taskmanager.memory.framework.heap.size": 128,
    "taskmanager.memory.framework.off-heap.size": 128,
    "taskmanager.memory.task.heap.size": 512,
    "taskmanager.memory.task.off-heap.size": 64,
    "taskmanager.memory.managed.size": 256,
    "taskmanager.memory.network.min": 64,
    "taskmanager.memory.network.max": 64,
    "taskmanager.memory.jvm-metaspace.size": 256,
    "taskmanager.memory.jvm-overhead.min": 192,
    "taskmanager.memory.jvm-overhead.max": 192,
}
_DEFAULTS = {
    "jobmanager.rpc.address": "localhost",
    "jobmanager.bind-host": "localhost",
    "rest.address": "localhost",
    "rest.bind-address": "localhost",
    "taskmanager.host": "localhost",
    "taskmanager.bind-host": "localhost",
    "taskmanager.cpu.cores": "1.0",
    "taskmanager.numberOfTaskSlots": "1",
    "cluster.evenly-spread-out-slots": "true",
    "classloader.resolve-order": "parent-first",
    "parallelism.default": "2",
    **{name: f"{size}m" for name, size in _SIZES_MB.items()},
}


@dataclass
class FlinkCluster:
    """A cluster that runs. `configuration` is what all of its processes read, `engine` how a run reaches it."""

    configuration: Mapping[str, str]
    engine: Engine
    rest_url: str
    _processes: ProcessGroup
    _jars: Path
    task_managers: list[Started] = field(default_factory=list)

    def rest(self, path: str) -> Any:
        """Answer of Flink's REST API, such as rest("overview")."""
        with urllib.request.urlopen(f"{self.rest_url}/{path}", timeout=10) as answer:
            return json.load(answer)

    def start_task_manager(self) -> Started:
        """Start one more TaskManager; it serves once `wait_for_task_managers` has seen it."""
        number = len(self.task_managers) + 1
        sizes = {name.removeprefix("taskmanager.memory."): _megabytes(self.configuration[name]) for name in _SIZES_MB}
        direct = sizes["framework.off-heap.size"] + sizes["task.off-heap.size"] + sizes["network.max"]
        limits = [f"-XX:MaxDirectMemorySize={direct + 64}m", f"-XX:MaxMetaspaceSize={sizes['jvm-metaspace.size']}m"]
        heap = sizes["framework.heap.size"] + sizes["task.heap.size"]
        command = java(self._jars, self._processes.tmp, heap, "org.apache.flink.runtime.taskexecutor.TaskManagerRunner", limits)
        command += ["--configDir", str(self._processes.folder), "-D", f"taskmanager.resource-id=task-manager-{number}"]
        started = self._processes.start(f"task-manager-{number}", command)
        self.task_managers.append(started)
        return started

    def wait_for_task_managers(self, count: int) -> None:
        """Return when the JobManager knows so many TaskManagers that have not failed yet, as far as it can tell."""
        alive = [process for process in self.task_managers if process.alive]
        self._processes.wait(f"cluster of {count} TaskManagers", lambda: self._known() == count, alive)

    def _known(self) -> int:
        try:
            return int(self.rest("overview")["taskmanagers"])
        except (urllib.error.URLError, OSError):
            return -1

    def logs(self) -> str:
        """The ends of the logs of all processes."""
        return self._processes.logs()


@contextmanager
def flink_cluster(
    folder: Path,
    configuration: Mapping[str, str] = {},
    environment: Mapping[str, str] = {},
    *,
    task_managers: int = 2,
    parallelism: int = 2,
) -> Iterator[FlinkCluster]:
    """A cluster whose workers are processes that the TaskManagers start, with this interpreter and `environment`.

    `configuration` goes over the defaults above, in the file of all processes.
    """
    jars = flink_jars()
    rest, rpc, blob, job, artifact, expansion = free_ports(6)
    with ExitStack() as stack:
        processes = stack.enter_context(process_group(folder, environment))
        tmp = processes.tmp
        configuration = {
            **_DEFAULTS,
            "jobmanager.rpc.port": str(rpc),
            "rest.port": str(rest),
            "blob.server.port": str(blob),
            "io.tmp.dirs": str(tmp),
            **configuration,
        }
        (folder / "flink-conf.yaml").write_text("".join(f"{name}: {value}\n" for name, value in configuration.items()))
        job_manager = java(jars, tmp, 384, "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint")
        processes.start("job-manager", [*job_manager, "--configDir", str(folder)])
        ports = ["--job-port", str(job), "--artifact-port", str(artifact), "--expansion-port", str(expansion)]
        where = [f"--flink-master=localhost:{rest}", "--artifacts-dir", str(tmp / "artifacts")]
        processes.start("job-server", [*java(jars, tmp, 512, _JOB_SERVER), *ports, *where])
        # Unix sockets have short names only; pytest's folders are long.
        server = str(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="corpusbeam-"))) / "workers")
        processes.start(
            "workers",
            [sys.executable, "-m", "tests.runners.engines.worker_server", server],
            {"PYTHONPATH": os.pathsep.join([*filter(None, [environment.get("PYTHONPATH")]), str(_REPOSITORY)])},
        )
        engine = _engine(folder, server, job, parallelism)
        cluster = FlinkCluster(configuration, engine, f"http://localhost:{rest}", processes, jars)
        for _ in range(task_managers):
            cluster.start_task_manager()
        cluster.wait_for_task_managers(task_managers)
        processes.wait("job server", lambda: accepts(job))
        processes.wait("server of SDK workers", Path(server).exists)
        yield cluster


def _engine(folder: Path, server: str, job_port: int, parallelism: int) -> Engine:
    # Flink starts one program, without arguments of its own.
    script = folder / "worker"
    command = shlex.join([sys.executable, "-I", "-S", str(_WORKER), server])
    script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    script.chmod(0o755)
    return Engine(
        (
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{job_port}",
            "--environment_type=PROCESS",
            f"--environment_config={json.dumps({'command': str(script)})}",
            f"--parallelism={parallelism}",
        ),
    )


def _megabytes(size: str) -> int:
    return int(size.removesuffix("m"))
