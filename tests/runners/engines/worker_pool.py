"""Beam's pool of SDK workers, as it stands beside a TaskManager: `environment_type=EXTERNAL`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.runners.engines.processes import accepts, free_ports, process_group


@contextmanager
def worker_pool(folder: Path, *, python: Path | str | None = None, modules: str = "") -> Iterator[tuple[str, ...]]:
    """A pool that starts its workers with `python`, by default this interpreter, and `modules` as PYTHONPATH.

    Yields the Beam options of a job for it.
    """
    first = folder / "bin"
    first.mkdir(parents=True)
    # The pool starts the first `python` on PATH, whatever runs the pool itself. A script and no link, which would lead the
    # interpreter to look for its packages elsewhere.
    script = first / "python"
    script.write_text(f'#!/bin/sh\nexec "{python or sys.executable}" "$@"\n')
    script.chmod(0o755)
    (port,) = free_ports(1)
    environment = {"PATH": os.pathsep.join([str(first), os.environ["PATH"]]), "PYTHONPATH": modules}
    with process_group(folder / "pool", environment) as processes:
        module = "apache_beam.runners.worker.worker_pool_main"
        processes.start("pool", [sys.executable, "-m", module, f"--service_port={port}"])
        processes.wait("worker pool", lambda: accepts(port))
        yield "--environment_type=EXTERNAL", f"--environment_config=localhost:{port}"
