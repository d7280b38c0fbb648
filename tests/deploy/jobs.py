"""Every kind of Beam job of reindexes, as Dataflow would be sent it: built in a dry run, while FnApiRunner computes the
records.

As a program, `python -m tests.deploy.jobs FOLDER`, it writes each job as Beam's portable pipeline, NUMBER-TRANSFORM.pb, with
its options beside it. It needs corpusbeam[gcp], which this process need not have: an interpreter of its own has it.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import apache_beam as beam
import fsspec

from pipelines.config import load_config
from pipelines.reindex import reindex
from pipelines.runner import Runner, RunnerOptions

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "dataflow.yaml"
IMAGE = "registry.example.com/corpusbeam:0.1.0"
ACCELERATOR = "type:nvidia-l4;count:1;install-nvidia-driver"
# What a user fills in, as configs/dataflow.yaml says, and what one may add.
BEAM_OPTIONS = [
    "--project=example-project",
    "--region=europe-west4",
    "--temp_location=gs://example-bucket/temp",
    f"--sdk_container_image={IMAGE}",
    "--dataflow_service_options=enable_prime",
]
# So that stages of many tasks have many, and every stage has something to do.
SMALL = [
    "corpus.rows_per_part=16",
    "index.type=IVF2,Flat",
    "index.retrain=always",
    "index.rows_per_shard=16",
    "index.recall_gate=0",
    "neighbors.rows_per_tile=16",
    "duplicates.threshold=0.6",
    "topics.min_cluster_size=5",
    f"runner.accelerator={ACCELERATOR}",
]
_SUBJECTS = ("invoice", "password", "parcel", "settings page", "payment", "delivery", "account", "report")
_EVENTS = ("is missing", "cannot be found", "was sent twice", "does not open", "crashed again", "is late", "was changed")


class _SeenAllError(Exception):
    """A run has come to jobs that an earlier one had too."""


def run_jobs(record: Callable[[str, Runner, Any], None]) -> None:
    """Reindex a part of a corpus in this process's memory, then begin to reindex all of it, once for each kind of graph.

    `record` is called for the first job of each name, with the runner that the configuration asks for and the arguments of its
    `job`, once FnApiRunner has left the job's records.
    """
    fs = fsspec.filesystem("memory")
    texts = [f"The {subject} {event}." for subject in _SUBJECTS for event in _EVENTS]
    for name, count in (("all", None), ("part", -5)):
        lines = [json.dumps({"id": number, "text": text}) for number, text in enumerate(texts)]
        fs.pipe_file(f"/corpus/{name}.jsonl", "\n".join(lines[:count]).encode())
    fs.pipe_file("/corpus/queries.txt", b"Where is my parcel?\nI forgot my password.")
    places = {"root": "memory://published", "index.recall_queries_file": "memory://corpus/queries.txt"}
    seen: set[str] = set()

    def first(transform: Any, asked: Runner, arguments: Any) -> None:
        name = "-".join([type(transform).__name__, *([transform.step.__name__] if hasattr(transform, "step") else [])])
        if name not in seen:
            seen.add(name)
            record(name, asked, arguments)
        elif name == "ReadWording":
            # What follows the graph has the same jobs whatever the graph was.
            raise _SeenAllError

    for name, exact_up_to in (("part", 100), ("all", 100), ("all", 10)):
        overrides = {**places, "corpus.input": [f"memory://corpus/{name}.jsonl"], "neighbors.exact_up_to": exact_up_to}
        config = load_config(str(CONFIG), SMALL, overrides, beam_options=BEAM_OPTIONS)
        here = config.model_copy(update={"runner": RunnerOptions()})
        with _both(Runner(config.runner), first), suppress(_SeenAllError):
            reindex(here)


@contextmanager
def _both(asked: Runner, after: Callable[[Any, Runner, Any], None]) -> Iterator[None]:
    job, encoder, threads = Runner.job, Runner.encoder, Runner.threads

    def job_here(self: Runner, *arguments: Any) -> Any:
        result = job(self, *arguments)
        Runner.job = job
        after(arguments[0], asked, arguments)
        Runner.job = job_here
        return result

    # What the transforms are made with is what the runner that is asked for says.
    Runner.job = job_here
    Runner.encoder = lambda _, *arguments: encoder(asked, *arguments)
    Runner.threads = lambda _, *arguments: threads(asked, *arguments)
    try:
        yield
    finally:
        Runner.job, Runner.encoder, Runner.threads = job, encoder, threads


def main(folder: Path) -> None:
    """Write the jobs."""
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

    jobs: list[Any] = []
    run_pipeline = DataflowRunner.run_pipeline

    def recorded(self: DataflowRunner, pipeline: beam.Pipeline, options: Any, *more: Any) -> Any:
        result = run_pipeline(self, pipeline, options, *more)
        jobs.append((result.job.proto_pipeline, options))
        return result

    DataflowRunner.run_pipeline = recorded

    def record(name: str, asked: Runner, arguments: Any) -> None:
        options = asked.options.model_copy(update={"beam_options": (*asked.options.beam_options, "--dry_run=True")})
        Runner(options).job(*arguments)
        proto, used = jobs[-1]
        stem = f"{len(jobs):02}-{name}"
        (folder / f"{stem}.pb").write_bytes(proto.SerializeToString())
        (folder / f"{stem}.json").write_text(json.dumps(used.get_all_options(drop_default=True), default=str))

    run_jobs(record)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
