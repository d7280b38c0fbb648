"""Runner and pipeline options: the only place that knows runner names, and how a job's records come back."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

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
        description="Worker processes of FnApiRunner. One uses all cores inside the model and FAISS; more divide them.",
        ge=1,
        le=64,
    )
    beam_options: tuple[str, ...] = Field((), description="More Beam options, such as --job_endpoint=localhost:8099.")


class RunnerError(Exception):
    """The runner cannot be used, or the job failed on it."""


@dataclass(frozen=True)
class Runner:
    """Runs one Beam job after another with the same options."""

    options: RunnerOptions

    def __post_init__(self) -> None:
        name = self._beam_arguments().get_all_options()["runner"] or self.options.runner
        if name not in SUPPORTED_RUNNERS:
            raise RunnerError(f"runner {name!r} is not supported; use one of {', '.join(SUPPORTED_RUNNERS)}")

    @property
    def threads_per_worker(self) -> int:
        """Threads that the model may use in each worker of this machine."""
        return max(1, (os.cpu_count() or 1) // self.options.workers)

    def run(self, transform: beam.PTransform, tasks: Sequence[Any], record_type: type, records_path: str) -> list[Any]:
        """Run `tasks | transform` as one job and return its records, in the order of their JSON.

        The records go through the file `records_path`: a job on another machine hands them back in no other way.
        """
        with beam.Pipeline(options=self._beam_arguments()) as pipeline:
            records = pipeline | "Tasks" >> beam.Create(list(tasks), reshuffle=False) | type(transform).__name__ >> transform
            _ = records | "CollectRecords" >> CollectRecords(record_type, records_path)
        return TypeAdapter(list[record_type]).validate_python(read_json(records_path))  # type: ignore[valid-type]

    def _beam_arguments(self) -> PipelineOptions:
        arguments = [f"--runner={self.options.runner}"]
        if self.options.runner == "FnApiRunner" and self.options.workers > 1:
            arguments += ["--direct_running_mode=multi_processing", f"--direct_num_workers={self.options.workers}"]
        # The main module is the console script: nothing of it is needed on workers, and pickling it would ship it all.
        arguments += ["--no_save_main_session", "--default_sdk_harness_log_level=ERROR", *self.options.beam_options]
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
