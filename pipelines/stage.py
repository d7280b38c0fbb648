"""Stages of a run: what each one is given, the record it leaves, and how a run that died is picked up."""

import dataclasses
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import apache_beam as beam
from pydantic import TypeAdapter, ValidationError

from pipelines.config import Config
from pipelines.monitor import StageMonitor
from pipelines.runner import Runner
from pipelines.tasks import JobDone, work_of
from pipelines.versions import installed_versions
from transforms.corpus import PassageSplitter
from transforms.files import FileRef, digest_of, is_whole, join, reached, read_json, remove, write_json
from transforms.generations import Lease

_log = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass
class Run:
    """One run of the pipelines over one root: its settings, its folders, and what its stages have cost so far."""

    config: Config
    runner: Runner
    splitter: PassageSplitter | None = None
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    # What a run that ends early can still say to monitoring: changes, counts, gates.
    facts: dict[str, Any] = field(default_factory=dict)
    lease: Lease | None = None
    # What was done so far in the stage that runs.
    jobs: list[JobDone] = field(default_factory=list)

    @property
    def root(self) -> str:
        """The root that the run publishes to."""
        return self.config.root

    @property
    def work(self) -> str:
        """Records and temporary files of runs with these settings; safe to delete when no run is active."""
        return join(self.root, "work", self.config.results_digest()[:16])

    @property
    def staged(self) -> str:
        """Where finished files of the coming generation wait; paths below it are the paths below the generation."""
        return join(self.work, "generation")

    def scratch(self, name: str) -> str:
        """Folder for files that a stage hands to later stages but that are not published."""
        return join(self.work, name)

    def job(
        self, name: str, transform: beam.PTransform, tasks: Sequence[Any], record_type: type, counted: Sequence[str] = ()
    ) -> list[Any]:
        """Run one Beam job over descriptors and return the records that it leaves.

        `counted` are fields of the records that the stage's metrics have for each worker.
        """
        # A name of its own: a job on an engine elsewhere may outlive the run that began it, and must not answer for this one.
        records = join(self.work, "records", f"{name}-{uuid.uuid4().hex}.json")
        started = time.monotonic()
        done = self.runner.job(transform, tasks, record_type, records, counted)
        remove(records)
        self.jobs.append(JobDone(name, len(tasks), round(time.monotonic() - started, 3), done.work))
        return done.records

    def check_lease(self) -> None:
        """Raise LeaseLostError when another process has taken the root over meanwhile."""
        if self.lease is not None:
            self.lease.check()

    def stage(
        self,
        name: str,
        result_type: type[Result],
        inputs: Any,
        compute: Callable[[], Result],
        *,
        total: int | None = None,
        unit: str = "",
        reusable: Callable[[Result], bool] = lambda _: True,
    ) -> Result:
        """Run a stage, or take over its record when a run before this one finished it with the same inputs.

        `inputs` is JSON-able and names everything that decides the result; None for a stage that always runs. A record counts
        only when every file that it names is there with its checksum, and its result is `reusable`. Afterwards `metrics[name]`
        has `seconds`, `peak_rss_mb`, `driver_peak_rss_mb`, `resumed`, `reused` (the result was taken over from the published
        generation), the result's `counts`, and what `work_of` tells of its jobs.

        Raises LeaseLostError, before anything is done, when another process has taken the root over.
        """
        self.check_lease()
        self.jobs = []
        record_path, digest = self._record(name), _digest(inputs)
        # What an earlier run reported that died here is not this run's progress.
        remove(self.progress(name))
        with StageMonitor(name, total, unit, self.progress(name), lines=self.runner.engine.is_watched) as monitor:
            result = None if inputs is None else _finished(record_path, digest, result_type, self.root)
            if result is not None and not reusable(result):
                result = None
            resumed = result is not None
            if result is None:
                _log.info("stage %s", name)
                result = compute()
                reached(f"before_record_{name}")
                record = {"inputs": digest, "result": TypeAdapter(result_type).dump_python(result, mode="json")}
                write_json(record_path, {**record, "digest": digest_of(record)})
        reached(f"after_{name}")
        counts = getattr(result, "counts", {})
        self.metrics[name] = {
            "seconds": round(monitor.seconds, 3),
            "peak_rss_mb": round(monitor.peak_rss_mb, 1),
            "driver_peak_rss_mb": round(monitor.driver_peak_rss_mb, 1),
            "resumed": resumed,
            "reused": getattr(result, "reused", False),
            **counts,
        }
        if self.jobs:
            self.metrics[name] |= work_of(self.jobs)
        return result

    def has_finished(self, name: str, result_type: type, inputs: Any) -> bool:
        """Whether `stage` would take over the record of a stage."""
        return _finished(self._record(name), _digest(inputs), result_type, self.root) is not None

    def _record(self, name: str) -> str:
        return join(self.work, "stages", f"{name}.json")

    def progress(self, name: str) -> str:
        """Folder in which the tasks of a stage report how far they are."""
        return join(self.work, "progress", name)


def _digest(inputs: Any) -> str:
    return digest_of([inputs, installed_versions()])


def files_of(value: Any) -> Iterator[FileRef]:
    """Every FileRef inside a stage's result: dataclasses, lists and tuples are searched."""
    if isinstance(value, FileRef):
        yield value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for item in dataclasses.fields(value):
            yield from files_of(getattr(value, item.name))
    elif isinstance(value, list | tuple):
        for element in value:
            yield from files_of(element)


def _finished(record_path: str, digest: str, result_type: type[Result], root: str) -> Result | None:
    """The result of a finished stage with these inputs whose files are all whole, or None.

    Files elsewhere than under `root` are not taken: a root that was copied has records that name the files of the original.
    """
    try:
        record = read_json(record_path)
        if record["inputs"] != digest or record.pop("digest") != digest_of(record):
            return None
        result = TypeAdapter(result_type).validate_python(record["result"])
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, ValidationError):
        return None
    for ref in files_of(result):
        if not ref.path.startswith(root.rstrip("/") + "/") or not is_whole(ref):
            return None
    return result
