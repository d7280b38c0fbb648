"""What the Beam options say of a job's engine: whether its workers see this machine's files, and where it can be asked."""

import re
from dataclasses import dataclass

from apache_beam.options.pipeline_options import FlinkRunnerOptions, PipelineOptions, PortableOptions
from apache_beam.runners.portability.flink_runner import MAGIC_HOST_NAMES

# A job server in this very process (`--job_endpoint`).
_EMBEDDED = "embed"


@dataclass(frozen=True)
class Engine:
    """Where a job runs. `job_server` is the address of one that is there already, "embed" or None; `environment` is Beam's word
    for how workers come into being: LOOPBACK, EXTERNAL, PROCESS or DOCKER. `flink` is the address of a Flink cluster, if known.
    """

    runner: str
    job_server: str | None
    environment: str
    flink: str | None

    @property
    def is_here(self) -> bool:
        """Whether all workers are this process or its threads, or at least on this machine, with this machine's files."""
        if self.runner == "FnApiRunner" or self.environment == "LOOPBACK":
            return True
        return self.job_server == _EMBEDDED and self.environment != "DOCKER"

    @property
    def is_watched(self) -> bool:
        """Whether jobs go to another process, which knows them by an id and can be asked how they are."""
        return self.runner != "FnApiRunner" and self.job_server != _EMBEDDED

    @property
    def has_foreign_workers(self) -> bool:
        """Whether workers have an interpreter of their own and are there already: Dataflow starts machines for each job."""
        return self.runner not in ("FnApiRunner", "DataflowRunner") and self.environment != "LOOPBACK"

    @property
    def workers_may_stay(self) -> bool:
        """Whether workers may go on with a job, and write its files, when the process that submitted it has died."""
        return self.runner != "FnApiRunner" and self.environment != "LOOPBACK"

    @property
    def address(self) -> str | None:
        """HOST:PORT of a job server that must answer; None where Beam starts one, or the engine is a cloud service."""
        return None if self.job_server == _EMBEDDED else self.job_server

    @property
    def where_to_look(self) -> str:
        """What to look at when a job is not doing well."""
        if self.runner == "DataflowRunner":
            return "the job's page in the Dataflow console"
        if self.flink:
            return f"the job at {self.flink} (Flink's web interface and REST API) and the logs of its TaskManagers"
        log = "the job server's log" if self.address is None else f"the log of the job server at {self.address}"
        return f"{log}, the engine's web interface and the logs of its workers"


def engine_of(options: PipelineOptions, runner: str) -> Engine:
    """The engine of options that name `runner`."""
    portable, flink = options.view_as(PortableOptions), options.view_as(FlinkRunnerOptions)
    master = flink.flink_master if flink.flink_master not in MAGIC_HOST_NAMES else None
    environment = portable.environment_type
    if not environment and (runner == "PrismRunner" or (runner == "FlinkRunner" and master is None)):
        # What these two runners take instead of Beam's default.
        environment = "LOOPBACK"
    if found := re.fullmatch(r"beam:env:(\w+):v\d+", environment or ""):
        environment = "LOOPBACK" if found[1] == "embedded_python_loopback" else found[1].upper()
    if master and "://" not in master:
        master = f"http://{master}"
    return Engine(runner, portable.job_endpoint, environment or "DOCKER", master)
