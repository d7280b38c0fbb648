"""Prism, Beam's local runner in Go, of the installed Beam's version. Built from source: 90 s the first time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apache_beam as beam

from tests.runners.engines.cache import cached, run_tool
from tests.runners.engines.engine import Engine
from tests.runners.engines.processes import accepts, free_ports, process_group

TOOLS = ("go",)


def prism_binary() -> Path:
    """Path of the program. Raises UnavailableError when it cannot be built."""
    module = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{beam.__version__}"
    return cached(f"prism-{beam.__version__}", lambda into: run_tool(["go", "install", module], {"GOBIN": str(into)})) / "prism"


@contextmanager
def prism(folder: Path) -> Iterator[Engine]:
    """Prism as a job service; the submitting process works for it."""
    binary = prism_binary()
    (port,) = free_ports(1)
    with process_group(folder) as processes:
        processes.start("prism", [binary, "--job_port", str(port), "--serve_http=false"])
        processes.wait("job service of Prism", lambda: accepts(port))
        yield Engine(("--runner=PortableRunner", f"--job_endpoint=localhost:{port}", "--environment_type=LOOPBACK"))
