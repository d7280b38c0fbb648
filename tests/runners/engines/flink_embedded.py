"""Flink inside Beam's job server: one process, no cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.runners.engines.engine import Engine
from tests.runners.engines.java import flink_jars, java
from tests.runners.engines.processes import accepts, free_ports, process_group


@contextmanager
def flink_embedded(folder: Path, parallelism: int = 2) -> Iterator[Engine]:
    """The job server with an embedded Flink; the submitting process works for it."""
    jars = flink_jars()
    job, artifact, expansion = free_ports(3)
    with process_group(folder) as processes:
        command = java(jars, processes.tmp, 1024, "org.apache.beam.runners.flink.FlinkJobServerDriver")
        ports = ["--job-port", str(job), "--artifact-port", str(artifact), "--expansion-port", str(expansion)]
        where = ["--flink-master=[local]", "--artifacts-dir", str(processes.tmp / "artifacts")]
        processes.start("job-server", [*command, *ports, *where])
        processes.wait("job server", lambda: accepts(job))
        yield Engine(
            (
                "--runner=PortableRunner",
                f"--job_endpoint=localhost:{job}",
                "--environment_type=LOOPBACK",
                f"--parallelism={parallelism}",
            ),
        )
