"""Tasks and records of a job: each task once, nothing that all tasks share more than once, and who did what."""

import hashlib
from dataclasses import dataclass

import apache_beam as beam
import pytest

from pipelines.runner import Runner, RunnerOptions
from pipelines.tasks import JobDone, Work, do_tasks, read_result, this_process, total_work, work_of
from transforms.files import FileRef, read_json, write_json


@dataclass(frozen=True)
class Reads:
    """A task that names all files, as those of many stages do."""

    part: int
    files: tuple[FileRef, ...]


@dataclass(frozen=True)
class Done:
    """A record of some size."""

    part: int
    rows: int


@dataclass
class Count(beam.PTransform):
    """Reads → Done; with `gathered`, the second half of the work is after a shuffle."""

    gathered: bool = False

    def expand(self, tasks):
        done = tasks | "Count" >> beam.Map(lambda task: Done(task.part, len(task.files) + task.part))
        if not self.gathered:
            return done
        keyed = done | "Key" >> beam.Map(lambda record: (record.part % 2, record))
        return keyed | "Gather" >> beam.GroupByKey() | "Each" >> beam.FlatMap(lambda pair: pair[1])


def _tasks(count: int, files: int) -> list[Reads]:
    everything = tuple(
        FileRef(f"/root/part-{i:05d}.parquet", i, i, hashlib.sha256(str(i).encode()).hexdigest()) for i in range(files)
    )
    return [Reads(part, everything) for part in range(count)]


@pytest.mark.parametrize("gathered", [False, True])
def test_every_task_is_done_once_and_counted_for_who_did_it(tmp_path, gathered):
    done = Runner(RunnerOptions()).job(Count(gathered), _tasks(12, 3), Done, str(tmp_path / "records.json"), ("rows",))
    assert sorted(record.part for record in done.records) == list(range(12))
    (work,) = done.work
    assert (work.worker, work.tasks, work.counts) == (this_process(), 12, {"rows": 12 * 3 + 66})
    assert work.peak_rss_mb > 50
    assert work.seconds >= 0


def _size(tmp_path, count: int, files: int) -> int:
    """Bytes of the job that a driver submits."""
    pipeline = beam.Pipeline()
    do_tasks(pipeline, _tasks(count, files), "Count", Count(), Done, str(tmp_path / "records.json"))
    return pipeline.to_runner_api().ByteSize()


def test_a_job_grows_with_tasks_and_files_not_with_their_product(tmp_path):
    nothing = _size(tmp_path, 1, 1)
    of_files, of_both = _size(tmp_path, 1, 500) - nothing, _size(tmp_path, 500, 500) - nothing
    assert of_files > 5000  # the files are in it
    assert of_both < 3 * of_files


def test_work_is_told_by_worker(tmp_path):
    def seen(worker, start, end, peak):
        return {"worker": worker, "from": [start, start / 2], "to": [end, end / 2], "peak_rss_mb": peak}

    path = str(tmp_path / "records.json")
    records = [
        {"record": {"part": part, "rows": rows}, "seen": seen(worker, at, at, peak)}
        for part, rows, worker, at, peak in [(2, 5, "a:1", 9.0, 70.0), (0, 1, "b:7", 4.0, 50.0), (1, 2, "a:1", 6.0, 10.0)]
    ]
    done = [seen("a:1", 1.0, 5.0, 10.0), seen("a:1", 5.0, 6.0, 60.0), seen("b:7", 2.0, 4.0, 50.0), seen("c:3", 2.0, 2.5, 5.0)]
    write_json(path, {"records": records, "done": done})
    result = read_result(path, Done, ["rows"])
    assert result.records == [Done(0, 1), Done(1, 2), Done(2, 5)]
    assert result.work == [
        # Until its last record, which came after its last task.
        Work("a:1", 2, 8.0, 4.0, 70.0, {"rows": 7}),
        Work("b:7", 1, 2.0, 1.0, 50.0, {"rows": 1}),
        # Its task's record was made elsewhere, after a shuffle.
        Work("c:3", 1, 0.5, 0.25, 5.0, {"rows": 0}),
    ]


def test_the_work_of_several_jobs_is_added_up():
    jobs = [
        Work("b:1", 2, 1.5, 1.0, 10.0, {"rows": 3}),
        Work("a:1", 1, 1.0, 2.0, 5.0),
        Work("b:1", 4, 0.5, 0.25, 30.0, {"texts": 2}),
    ]
    assert total_work(jobs) == [Work("a:1", 1, 1.0, 2.0, 5.0), Work("b:1", 6, 2.0, 1.25, 30.0, {"rows": 3, "texts": 2})]
    assert total_work([]) == []


def test_a_stages_metrics_have_its_jobs_and_workers():
    jobs = [
        JobDone("find", 3, 1.5, [Work("a:1", 2, 1.4, 1.0, 10.0), Work("b:1", 1, 1.2, 0.75, 30.0)]),
        JobDone("none", 0, 0.1, []),
    ]
    assert work_of(jobs) == {
        "jobs": {
            "find": {"tasks": 3, "seconds": 1.5, "cpu_seconds": 1.75, "peak_rss_mb": 30.0},
            "none": {"tasks": 0, "seconds": 0.1, "cpu_seconds": 0, "peak_rss_mb": 0.0},
        },
        "workers": [
            {"worker": "a:1", "tasks": 2, "seconds": 1.4, "cpu_seconds": 1.0, "peak_rss_mb": 10.0, "counts": {}},
            {"worker": "b:1", "tasks": 1, "seconds": 1.2, "cpu_seconds": 0.75, "peak_rss_mb": 30.0, "counts": {}},
        ],
    }


def test_records_files_are_json_without_any_record(tmp_path):
    path = str(tmp_path / "records.json")
    assert Runner(RunnerOptions()).job(Count(), [], Done, path).work == []
    assert read_json(path) == {"records": [], "done": []}
