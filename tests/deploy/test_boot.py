"""The worker pool of the image: Beam's own boot program starts the workers, in the environment that deploy/Dockerfile sets."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apache_beam as beam
import pytest

from pipelines.runner import Runner, RunnerOptions
from tests.deploy.test_image import DOCKERFILE, dockerfile_parse
from tests.pipelines.test_runner import Square, Squared
from tests.runners.engines.cache import cached, run_tool
from tests.runners.engines.engine import Engine, engine_or_skip
from tests.runners.engines.processes import accepts, free_ports, process_group

REPOSITORY = DOCKERFILE.parents[1]
TOOLS = ("go",)


def boot_program() -> Path:
    """/opt/apache/beam/boot of the SDK image, from the sources of the installed Beam; a minute the first time."""
    module = f"github.com/apache/beam/sdks/v2/python/container@v{beam.__version__}"
    folder = cached(f"boot-{beam.__version__}", lambda into: run_tool(["go", "install", module], {"GOBIN": str(into)}))
    return folder / "container"


@contextmanager
def boot_pool(folder: Path) -> Iterator[Engine]:
    """Beam's job service, and the pool that the image's entrypoint starts with --worker_pool."""
    boot = boot_program()
    service_port, pool_port = free_ports(2)
    environment = {
        **dockerfile_parse.DockerfileParser(str(DOCKERFILE)).envs,
        "NUMBA_CACHE_DIR": str(folder / "numba"),
        # In the image `python` is the one that has the project.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(REPOSITORY),
    }
    with process_group(folder) as processes:
        module = "apache_beam.runners.portability.local_job_service_main"
        processes.start(
            "job-service", [sys.executable, "-m", module, "--port", str(service_port), "--staging_dir", processes.tmp]
        )
        module = "apache_beam.runners.worker.worker_pool_main"
        pool = ["python", "-m", module, f"--service_port={pool_port}", f"--container_executable={boot}"]
        processes.start("worker-pool", pool, environment)
        processes.wait("job service and worker pool", lambda: accepts(service_port) and accepts(pool_port))
        options = [f"--job_endpoint=localhost:{service_port}", "--environment_type=EXTERNAL"]
        yield Engine(("--runner=PortableRunner", *options, f"--environment_config=localhost:{pool_port}"))


@pytest.mark.slow
@pytest.mark.tools(*TOOLS)
def test_workers_that_boot_starts_do_our_jobs(tmp_path):
    with engine_or_skip(boot_pool(tmp_path / "engine"), TOOLS) as engine:
        runner = Runner(RunnerOptions(beam_options=engine.options))
        records = runner.run(Square(), list(range(5)), Squared, str(tmp_path / "records.json"))
        # It finds nothing to install, and makes no environment of its own, for which it would have to be root.
        assert not Path("/opt/apache/beam-venv").exists()
    assert sorted(record.square for record in records) == [0, 1, 4, 9, 16]
