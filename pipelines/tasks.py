"""Tasks out, records back: how descriptors reach the workers of a job, and what comes back of results and of who did what.

A task names files, often the same ones as all other tasks. So that a job does not grow with tasks times files, all tasks
travel once, inside the step that hands them out, and only shares of their numbers are shuffled.
"""

import json
import os
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import apache_beam as beam
from pydantic import TypeAdapter

from pipelines.balance import balanced_shares, cost_of
from pipelines.memory import high_water_mark_mb, reset_high_water_mark
from transforms.files import read_json, write_bytes

_DONE, _RECORDS = "done", "records"


@dataclass(frozen=True)
class Work:
    """What one process did in one job, or in all jobs of a stage.

    `worker` is its host and process id. `seconds` are on the clock, from its first task to its last result, of each job, and
    `cpu_seconds` those of all its threads meanwhile. `peak_rss_mb` is its highest resident memory meanwhile (of its life where
    the system does not tell). `counts` are sums of fields of its records.
    """

    worker: str
    tasks: int
    seconds: float
    cpu_seconds: float
    peak_rss_mb: float
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class JobResult:
    """The records of a job, in the order of their JSON, and who did it."""

    records: list[Any]
    work: list[Work]


def total_work(work: Iterable[Work]) -> list[Work]:
    """The work of several jobs, each worker once, by name."""
    total: dict[str, Work] = {}
    for one in work:
        known = total.get(one.worker, Work(one.worker, 0, 0.0, 0.0, 0.0))
        counts = {name: known.counts.get(name, 0) + one.counts.get(name, 0) for name in (*known.counts, *one.counts)}
        total[one.worker] = Work(
            one.worker,
            known.tasks + one.tasks,
            round(known.seconds + one.seconds, 3),
            round(known.cpu_seconds + one.cpu_seconds, 3),
            max(known.peak_rss_mb, one.peak_rss_mb),
            counts,
        )
    return [total[worker] for worker in sorted(total)]


@dataclass(frozen=True)
class JobDone:
    """A job that a stage has run: how many tasks it had, how long it took, and who did it."""

    name: str
    tasks: int
    seconds: float
    work: list[Work]


def work_of(jobs: Sequence[JobDone]) -> dict[str, Any]:
    """What metrics say of a stage's jobs.

    `jobs` by name, each with its tasks, its seconds on the clock and of all workers' processors, and the highest memory of a
    worker in it; `workers`, what each process did in all of them.
    """
    return {
        "jobs": {
            job.name: {
                "tasks": job.tasks,
                "seconds": job.seconds,
                "cpu_seconds": round(sum(work.cpu_seconds for work in job.work), 3),
                "peak_rss_mb": max((work.peak_rss_mb for work in job.work), default=0.0),
            }
            for job in jobs
        },
        "workers": [asdict(work) for work in total_work(work for job in jobs for work in job.work)],
    }


def do_tasks(
    pipeline: beam.Pipeline,
    tasks: Sequence[Any],
    name: str,
    transform: beam.PTransform,
    record_type: type,
    path: str,
    *,
    workers: int | None = None,
) -> None:
    """Add one job to an empty pipeline: hand out the tasks, do the transform, and write what comes back to the file `path`.

    With so many `workers` each gets a share of the tasks by their cost (`balanced_shares`), without a number the engine spreads
    them. One worker needs no shuffle. Each step here costs every job some 10 ms.
    """
    handed = pipeline | "HandOut" >> HandOut(tuple(tasks), workers)
    records = handed.tasks | name >> transform
    lines = records | "ToJson" >> beam.ParDo(_ToJson(record_type)).with_output_types(tuple[str, str])
    told = (handed[_DONE], lines) | "Together" >> beam.Flatten()
    _ = pipeline | "Once" >> beam.Impulse() | "Write" >> beam.ParDo(_Write(path), beam.pvalue.AsIter(told))


@dataclass
class HandOut(beam.PTransform):
    """An empty pipeline → `tasks`, shared out to `workers` or spread by the engine, and beside them `done`, a line for each.

    A line is a pair of what it tells of and JSON.
    """

    given: tuple[Any, ...]
    workers: int | None = None

    def expand(self, pipeline: beam.Pipeline) -> Any:
        """Spread shares of the tasks, by their numbers, over the workers, and give each number's task there."""
        take = beam.ParDo(_Take(self.given, this_process())).with_outputs(_DONE, main="tasks")
        # Of the elements of a shuffle Beam gives its own runner's workers one after the other in turn.
        shares = balanced_shares([cost_of(task) for task in self.given], self.workers or len(self.given))
        kind = tuple[int, ...]
        numbers = pipeline | "Start" >> beam.Impulse() | "Shares" >> beam.ParDo(_Give(shares)).with_output_types(kind)
        if self.workers != 1:
            numbers |= "Spread" >> beam.Reshuffle().with_output_types(kind)
        return numbers | "Take" >> take


class _Give(beam.DoFn):
    def __init__(self, shares: list[tuple[int, ...]]) -> None:
        self._shares = shares

    def process(self, _: bytes) -> Iterable[tuple[int, ...]]:
        return self._shares


class _Take(beam.DoFn):
    def __init__(self, tasks: tuple[Any, ...], driver: str) -> None:
        self._tasks, self._driver = tasks, driver

    def start_bundle(self) -> None:
        # The driver watches its own memory, over the whole stage.
        if this_process() != self._driver:
            reset_high_water_mark()

    def process(self, numbers: tuple[int, ...]) -> Iterator[Any]:
        for number in numbers:
            started = _clocks()
            yield self._tasks[number]
            # What is done with a task is fused with this step, up to a shuffle, so that it is done by now.
            yield beam.pvalue.TaggedOutput(_DONE, (_DONE, json.dumps(_seen(started))))


class _ToJson(beam.DoFn):
    def __init__(self, record_type: type) -> None:
        self._type = record_type

    def setup(self) -> None:
        self._adapter: TypeAdapter[Any] = TypeAdapter(self._type)

    def process(self, record: Any) -> Iterator[tuple[str, str]]:
        yield _RECORDS, f'{{"record": {self._adapter.dump_json(record).decode()}, "seen": {json.dumps(_seen(_clocks()))}}}'


class _Write(beam.DoFn):
    def __init__(self, path: str) -> None:
        self._path = path

    def process(self, _: bytes, told: Iterable[tuple[str, str]]) -> None:
        lines: dict[str, list[str]] = {_RECORDS: [], _DONE: []}
        for kind, line in told:
            lines[kind].append(line)
        kinds = [f'"{kind}": [\n' + ",\n".join(of_kind) + "\n]" for kind, of_kind in lines.items()]
        write_bytes(self._path, ("{" + ",\n".join(kinds) + "}\n").encode(), durable=False)


def this_process() -> str:
    """The name of this process: its host and its process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _clocks() -> tuple[float, float]:
    """Seconds since 1970, and of the processor that this process has had."""
    return time.time(), time.process_time()


def _seen(started: tuple[float, float]) -> dict[str, Any]:
    return {"worker": this_process(), "from": started, "to": _clocks(), "peak_rss_mb": round(high_water_mark_mb(), 1)}


def read_result(path: str, record_type: type, counted: Sequence[str] = ()) -> JobResult:
    """Read what `do_tasks` has written; `counted` are fields of the records whose sums are in each worker's counts."""
    told = read_json(path)
    entries = sorted(told["records"], key=lambda entry: json.dumps(entry["record"], sort_keys=True))
    adapter = TypeAdapter(list[record_type])  # type: ignore[valid-type]
    records = adapter.validate_python([entry["record"] for entry in entries])
    counts: dict[str, dict[str, int]] = {}
    for record, entry in zip(records, entries, strict=True):
        own = counts.setdefault(entry["seen"]["worker"], dict.fromkeys(counted, 0))
        for name in counted:
            own[name] += getattr(record, name)
    seen: dict[str, list[dict[str, Any]]] = {}
    for line in [*told["done"], *(entry["seen"] for entry in entries)]:
        seen.setdefault(line["worker"], []).append(line)
    tasks = {worker: sum(line["worker"] == worker for line in told["done"]) for worker in seen}
    work = []
    for worker, lines in sorted(seen.items()):
        seconds, cpu_seconds = (
            round(max(line["to"][clock] for line in lines) - min(line["from"][clock] for line in lines), 3) for clock in (0, 1)
        )
        peak = max(line["peak_rss_mb"] for line in lines)
        work.append(Work(worker, tasks[worker], seconds, cpu_seconds, peak, counts.get(worker, dict.fromkeys(counted, 0))))
    return JobResult(records, work)
