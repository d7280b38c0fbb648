"""Runner and pipeline options: the only place that knows runner names, and how a job's records come back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from pipelines.pool import WorkerPool
from pipelines.resources import ask_for_machines
from pipelines.threads import threads_of_each
from transforms.embedding import EncoderSpec
from transforms.files import read_json, write_bytes

# DirectRunner first tries to download another engine; BundleBased is slow; Dask silently computes only one branch.
SUPPORTED_RUNNERS = ("FnApiRunner", "PortableRunner", "FlinkRunner", "PrismRunner", "DataflowRunner")


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
        description="Threads that a task may use in a worker of another engine than FnApiRunner: the processors that one worker "
        "has. None takes those of the machine that submits.",
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


class RunnerError(Exception):
    """The runner cannot be used, or the job failed on it."""


@dataclass(frozen=True)
class Runner:
    """Runs one Beam job after another with the same options. As a context manager it leaves no worker process behind."""

    options: RunnerOptions

    def __post_init__(self) -> None:
        if self._engine not in SUPPORTED_RUNNERS:
            raise RunnerError(f"runner {self._engine!r} is not supported; use one of {', '.join(SUPPORTED_RUNNERS)}")
        if self._beam_arguments().view_as(DirectOptions).direct_running_mode == "multi_processing":
            # Beam's own worker processes: a run would wait for ever for one that died.
            raise RunnerError("--direct_running_mode=multi_processing is not supported; use --workers (key runner.workers)")

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.close()

    @property
    def workers(self) -> int | None:
        """How many workers do the tasks; None where another machine decides that."""
        return self.options.workers if self._engine == "FnApiRunner" else None

    def threads(self, tasks: int) -> int:
        """Threads that a job of so many tasks may use in each worker."""
        elsewhere = None if self._engine == "FnApiRunner" else self.options.worker_threads
        return elsewhere or threads_of_each(self._workers(tasks))

    def encoder(self, spec: EncoderSpec) -> EncoderSpec:
        """What workers are told of the model: where it is, or, on other machines, what it is called and must consist of."""
        return spec if self._engine == "FnApiRunner" else spec.for_elsewhere()

    @property
    def parallel_tasks(self) -> int:
        """How many tasks of a job are worked on at once: one for each worker here; elsewhere 16 are assumed."""
        return self.options.workers if self._engine == "FnApiRunner" else 16

    def run(self, transform: beam.PTransform, tasks: Sequence[Any], record_type: type, records_path: str) -> list[Any]:
        """Run `tasks | transform` as one job and return its records, in the order of their JSON.

        The records go through the file `records_path`: a job on another machine hands them back in no other way.
        Raises WorkerDiedError when a worker process of this machine ends before the job, and what stopped the transform.
        """
        name = type(transform).__name__

        def build(pipeline: beam.Pipeline) -> None:
            records = pipeline | "Tasks" >> beam.Create(list(tasks), reshuffle=False) | name >> transform
            _ = records | "CollectRecords" >> CollectRecords(record_type, records_path)
            if self._engine == "DataflowRunner":
                ask_for_machines(pipeline, self.options.one_worker_ram, self.options.accelerator)

        if self._engine == "FnApiRunner" and self._workers(len(tasks)) > 1:
            self._pool.run(build, self._beam_arguments(), name)
        else:
            with beam.Pipeline(options=self._beam_arguments()) as pipeline:
                build(pipeline)
        return TypeAdapter(list[record_type]).validate_python(read_json(records_path))  # type: ignore[valid-type]

    def _workers(self, tasks: int) -> int:
        # A single task is done in this process: it may use all cores, and no worker has to be started for it.
        return self.options.workers if tasks > 1 else 1

    @cached_property
    def _pool(self) -> WorkerPool:
        return WorkerPool(self.options.workers, threads_of_each(self.options.workers))

    @property
    def _engine(self) -> str:
        return self._beam_arguments().get_all_options()["runner"] or self.options.runner

    def _beam_arguments(self) -> PipelineOptions:
        arguments = [f"--runner={self.options.runner}"]
        # The main module is the console script: nothing of it is needed on workers, and pickling it would ship it all.
        arguments += ["--no_save_main_session", "--default_sdk_harness_log_level=ERROR"]
        # Else Beam asks pip, for every job, what is installed here, and has every worker fetch the list.
        arguments += ["--experiments=disable_logging_submission_environment", *self.options.beam_options]
        options = PipelineOptions(arguments)
        # Beam itself only warns about an option that it does not know, and runs without it.
        if unknown := set(options.get_all_options(retain_unknown_options=True)) - set(options.get_all_options()):
            raise RunnerError(f"Beam has no option {sorted(unknown)[0]!r}: check the options after --")
        return options


@dataclass
class CollectRecords(beam.PTransform):
    """Write all records (small dataclasses) as one JSON list, in canonical order, even when there are none."""

    record_type: type
    path: str

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        """Gather the records in one place and write them."""
        lines = records | "ToJson" >> beam.Map(_to_json, self.record_type).with_output_types(str)
        return (
            records.pipeline
            | "Once" >> beam.Create([self.path])
            | "Write" >> beam.Map(_write_records, beam.pvalue.AsIter(lines))
        )


def _to_json(record: Any, record_type: type) -> str:
    return TypeAdapter(record_type).dump_json(record).decode()


def _write_records(path: str, lines: Iterable[str]) -> None:
    write_bytes(path, ("[\n" + ",\n".join(sorted(lines)) + "\n]\n").encode())
