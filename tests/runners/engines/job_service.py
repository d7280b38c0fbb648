"""Beam's own portable job service in Python, in a process of its own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.runners.engines.engine import Engine
from tests.runners.engines.processes import accepts, free_ports, process_group


@contextmanager
def job_service(folder: Path) -> Iterator[Engine]:
    """The job service; the submitting process works for it."""
    (port,) = free_ports(1)
    with process_group(folder) as processes:
        module = "apache_beam.runners.portability.local_job_service_main"
        processes.start("job-service", [sys.executable, "-m", module, "--port", str(port), "--staging_dir", processes.tmp])
        processes.wait("job service", lambda: accepts(port))
        yield Engine(("--runner=PortableRunner", f"--job_endpoint=localhost:{port}", "--environment_type=LOOPBACK"))
