"""Runner and pipeline options: the only place that knows runner names, and how a job's records come back."""

import math
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any, TypeVar

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, GoogleCloudOptions, PipelineOptions
from pydantic import BaseModel, ConfigDict, Field

from pipelines import stopped
from pipelines.beam_options import BeamOptions
from pipelines.engine import Engine, engine_of
from pipelines.job_server import check_answers
from pipelines.pool import WorkerPool
from pipelines.probe import probe_workers
from pipelines.remote import RemoteJob, end_servers
from pipelines.resources import ask_for_machines
from pipelines.tasks import JobResult, do_tasks, read_result
from pipelines.threads import threads_of_each
from transforms.embedding import EncoderSpec

Part = TypeVar("Part")

SUPPORTED_RUNNERS = ("FnApiRunner", "PortableRunner", "FlinkRunner", "PrismRunner", "DataflowRunner")

_WORKERS_KEPT_MILLISECONDS = 5_000

# Why others are not, for those that somebody may try.
_REFUSED = {
    "DaskRunner": ": it computes only one branch of a pipeline and reports success, so that results would be missing",
    "DirectRunner": ": it first tries to download another engine",
    "BundleBasedDirectRunner": ": it is slow and meant for tests of Beam itself",
}


class RunnerOptions(BaseModel):
    """Where the Beam jobs run. Options after `--` on the command line are passed to Beam as they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runner: str = Field(
        "FnApiRunner",
        description=f"Beam runner, one of {', '.join(SUPPORTED_RUNNERS)}. FnApiRunner is this machine, in process.",
    )
    workers: int = Field(
        1,
        description="Worker processes of FnApiRunner. One is this process, with all cores; more divide them.",
        ge=1,
        le=64,
    )
    worker_threads: int | None = Field(
        None,
        description="Threads that a task may use in a worker of another engine than FnApiRunner: the processors that one "
        "worker has. None takes those of the machine that submits.",
        ge=1,
        le=1024,
    )
    one_worker_ram: str | None = Field(
        None,
        description="Memory that steps which one worker does ask for, such as 32GiB. Only Dataflow chooses machines by it.",
        pattern=r"^[1-9][0-9]*(MiB|GiB|TiB)$",
    )
    accelerator: str | None = Field(
        None,
        description="Accelerator that the embedding steps ask for, such as type:nvidia-l4;count:1;install-nvidia-driver. Only "
        "Dataflow chooses machines by it.",
        pattern=r"^type:[a-z0-9-]+(;[a-z-]+(:[a-z0-9.-]+)?)*$",
    )
    beam_options: tuple[str, ...] = Field((), description="More Beam options, such as --job_endpoint=localhost:8099.")
    shared_root: bool = Field(
        False,
        description="Every worker of a remote runner has root, input and other local paths mounted under the same names.",
    )
    answer_seconds: float = Field(
        30.0, description="How long a job server, or an engine in the middle of a job, may take to answer.", ge=1, le=3600
    )
    probe_seconds: float = Field(
        300.0,
        description="How long the first small job may take, which asks the workers what they have installed. 0 asks nothing.",
        ge=0,
        le=86400,
    )
    cancel_seconds: float = Field(
        60.0, description="How long a command that is stopped waits for the engine to cancel its job.", ge=0, le=3600
    )


class RunnerError(Exception):
    """The runner cannot be used, or the job failed on it."""


@dataclass(frozen=True)
class Runner:
    """Runs one Beam job after another with the same options. As a context manager it leaves no worker process behind."""

    options: RunnerOptions

    def __post_init__(self) -> None:
        if self._name not in SUPPORTED_RUNNERS:
            why = _REFUSED.get(self._name.rpartition(".")[2], "")
            raise RunnerError(f"runner {self._name!r} is not supported{why}; use one of {', '.join(SUPPORTED_RUNNERS)}")
        if self._beam_arguments().view_as(DirectOptions).direct_running_mode == "multi_processing":
            # Beam's own worker processes: a run would wait for ever for one that died.
            raise RunnerError("--direct_running_mode=multi_processing is not supported; use --workers (key runner.workers)")
        # A job server may have options of its engine's; it is asked when a run begins.
        if self._unknown and self.engine.address is None:
            raise RunnerError(f"Beam has no option {min(self._unknown)!r}: check the options after --")

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.close()
        if isinstance(value, KeyboardInterrupt) or stopped.received:
            # The process is about to end without what is asked for at exit. Beam may have made another error of the interrupt.
            end_servers()

    @property
    def workers(self) -> int | None:
        """How many workers do the tasks; None where another machine decides that."""
        return self.options.workers if self._name == "FnApiRunner" else None

    def threads(self, tasks: int) -> int:
        """Threads that a job of so many tasks may use in each worker."""
        elsewhere = None if self._name == "FnApiRunner" else self.options.worker_threads
        return elsewhere or threads_of_each(self._workers(tasks))

    def shares(self, parts: Sequence[Part]) -> list[tuple[Part, ...]]:
        """Tasks of consecutive parts: one for each worker, which does the parts in its threads; elsewhere one for each part."""
        tasks = min(self.workers or len(parts), len(parts))
        return [tuple(parts[len(parts) * i // tasks : len(parts) * (i + 1) // tasks]) for i in range(tasks)]

    def encoder(self, spec: EncoderSpec) -> EncoderSpec:
        """What workers are told of the model: where it is, or, on other machines, what it is called and must consist of."""
        return spec if self.engine.is_here else spec.for_elsewhere()

    @property
    def parallel_tasks(self) -> int:
        """How many tasks of a job are worked on at once: one for each worker here; elsewhere 16 are assumed."""
        return self.options.workers if self._name == "FnApiRunner" else 16

    def run(self, transform: beam.PTransform, tasks: Sequence[Any], record_type: type, records_path: str) -> list[Any]:
        """The records of `job`."""
        return self.job(transform, tasks, record_type, records_path).records

    def job(
        self,
        transform: beam.PTransform,
        tasks: Sequence[Any],
        record_type: type,
        records_path: str,
        counted: Sequence[str] = (),
    ) -> JobResult:
        """Run `tasks | transform` as one job, the tasks spread over the workers. `counted` fields are summed up by worker.

        The records go through the file `records_path`: a job on another machine hands them back in no other way.
        Raises WorkerDiedError when a worker process of this machine ends before the job, and what stopped the transform.
        """
        name = type(transform).__name__
        workers = self._workers(len(tasks)) if self._name == "FnApiRunner" else None

        def build(pipeline: beam.Pipeline) -> None:
            do_tasks(pipeline, tasks, name, transform, record_type, records_path, workers=workers)
            if self._name == "DataflowRunner":
                ask_for_machines(pipeline, self.options.one_worker_ram, self.options.accelerator)

        if self._name != "FnApiRunner":
            job, pipeline = self._job(name)
            build(pipeline)
            job.run(pipeline)
        elif workers == 1:
            with beam.Pipeline(options=self._beam_arguments()) as pipeline:
                build(pipeline)
        else:
            self._pool.run(build, self._beam_arguments(), name)
        return read_result(records_path, record_type, counted)

    def check_answers(self) -> list[str]:
        """Ask the job server that the options name, if they do, what options it has, and return warnings.

        Raises RemoteJobError when it does not answer, RunnerError for an option that neither Beam nor it knows.
        """
        if (address := self.engine.address) is None:
            return []
        known = check_answers(address, self.options.answer_seconds)
        if unknown := self._unknown - known:
            raise RunnerError(
                f"neither Beam nor the job server at {address} has an option {min(unknown)!r}: check the options after --"
            )
        # Workers inside this process end with it, and the job with them.
        if "flink_master" not in known or self.engine.flink or self.engine.is_here:
            return []
        return [
            "the job server is Flink's, which cannot cancel a job on the cluster: when this command is stopped, its job goes "
            "on. Give the address of Flink's REST API, --flink_master=HOST:8081, and it is cancelled there"
        ]

    def check_workers(self, existing: Sequence[str]) -> list[str]:
        """Ask workers elsewhere what they have, and return warnings about what differs there.

        `existing` are files that workers must be able to find. Raises RemoteJobError when workers do not answer, lack this
        project or have another version of it, or cannot find a file.
        """
        if not self.engine.has_foreign_workers or not self.options.probe_seconds:
            return []
        job, pipeline = self._job("Probe")
        return probe_workers(job, pipeline, self.options.probe_seconds, existing)

    def _job(self, transform: str) -> tuple[RemoteJob, beam.Pipeline]:
        """A job of its own name on the engine, and the empty pipeline to be run as it."""
        options = self._beam_arguments()
        cloud = options.view_as(GoogleCloudOptions)
        if cloud.job_name is None:
            # As Dataflow wants names to be. It is what the engine's own pages show.
            name = re.sub(r"(?<!^)(?=[A-Z])", "-", transform).lower()
            cloud.job_name = f"corpusbeam-{name}-{uuid.uuid4().hex[:8]}"
        limits = self.options.answer_seconds, self.options.cancel_seconds
        return RemoteJob(cloud.job_name, self.engine, *limits, quiet=not self.engine.is_watched), beam.Pipeline(options=options)

    def _workers(self, tasks: int) -> int:
        # A single task is done in this process: it may use all cores, and no worker has to be started for it.
        return self.options.workers if tasks > 1 else 1

    @cached_property
    def _pool(self) -> WorkerPool:
        return WorkerPool(self.options.workers, threads_of_each(self.options.workers))

    @cached_property
    def engine(self) -> Engine:
        """Where the jobs run."""
        return engine_of(self._beam_arguments(), self._name)

    @cached_property
    def _unknown(self) -> set[str]:
        """Names of options that Beam does not know: it would only warn, and run without them."""
        options = self._beam_arguments()
        return set(options.get_all_options(retain_unknown_options=True)) - set(options.get_all_options())

    @cached_property
    def _name(self) -> str:
        # Asked several times for each job, and Beam takes 10 ms to parse its options.
        return self._beam_arguments().get_all_options()["runner"] or self.options.runner

    def _beam_arguments(self) -> PipelineOptions:
        arguments = [f"--runner={self.options.runner}"]
        # The main module is the console script: nothing of it is needed on workers, and pickling it would ship it all.
        arguments += ["--no_save_main_session", "--default_sdk_harness_log_level=ERROR"]
        # Flink would start new workers for each step of a job, and each would load the model.
        arguments += [f"--environment_cache_millis={_WORKERS_KEPT_MILLISECONDS}"]
        # Beam would call `pip freeze` for each job and send the list, which nothing reads: the probe compares what matters.
        arguments += ["--experiments=disable_logging_submission_environment"]
        # For handing a job over; nothing here waits with it for a job to end.
        arguments += [f"--job_server_timeout={math.ceil(self.options.answer_seconds)}", *self.options.beam_options]
        return BeamOptions(arguments)
