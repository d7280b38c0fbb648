"""The runner: records come back whatever the engine, and engines that lose data are refused."""

import re
import signal
from dataclasses import dataclass

import apache_beam as beam
import pytest

from pipelines import stopped
from pipelines.runner import Runner, RunnerError, RunnerOptions
from pipelines.stopped import Stopped

ENGINES = {
    "in process": (),
    "every bundle twice": ("--direct_runner_bundle_repeat=1",),
    "portable": ("--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=LOOPBACK"),
}


@dataclass(frozen=True)
class Squared:
    """A record as rooms have it."""

    number: int
    square: int


@dataclass
class Square(beam.PTransform):
    """int → Squared."""

    def expand(self, tasks):
        return tasks | beam.Map(lambda number: Squared(number, number * number))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("numbers", [[], [3], list(range(20))], ids=len)
def test_records_come_back_once_each(tmp_path, engine, numbers):
    runner = Runner(RunnerOptions(beam_options=ENGINES[engine]))
    records = runner.run(Square(), numbers, Squared, str(tmp_path / "records.json"))
    assert sorted(records, key=lambda record: record.number) == [Squared(number, number * number) for number in numbers]


@pytest.mark.parametrize("name", ["DirectRunner", "DaskRunner", "apache_beam.runners.dask.dask_runner.DaskRunner", "Nothing"])
def test_other_runners_are_refused_by_name(name):
    with pytest.raises(RunnerError, match=name):
        Runner(RunnerOptions(runner=name))
    with pytest.raises(RunnerError, match=name):
        Runner(RunnerOptions(beam_options=(f"--runner={name}",)))


def test_it_is_said_why_dask_is_refused():
    with pytest.raises(RunnerError, match="computes only one branch of a pipeline and reports success"):
        Runner(RunnerOptions(runner="apache_beam.runners.dask.dask_runner.DaskRunner"))


def test_jobs_have_names_that_engines_take():
    """Dataflow's rule is the strictest: lower case letters, digits and hyphens, from a letter to no hyphen."""
    runner = Runner(RunnerOptions(beam_options=ENGINES["portable"]))
    first, second = (runner._job("EmbedPassages")[0].name for _ in range(2))
    assert first != second
    for name in (first, second):
        assert re.fullmatch(r"corpusbeam-embed-passages-[0-9a-f]{8}", name)


@pytest.mark.parametrize(("signals", "ended"), [([], []), ([Stopped(signal.SIGTERM)], ["servers"])], ids=["error", "signal"])
def test_engines_are_ended_also_when_beam_makes_an_error_of_a_signal(monkeypatch, signals, ended):
    done: list[str] = []
    monkeypatch.setattr("pipelines.runner.end_servers", lambda: done.append("servers"))
    monkeypatch.setattr(stopped, "received", signals)
    with pytest.raises(RuntimeError), Runner(RunnerOptions()):
        raise RuntimeError("a bundle has failed")
    assert done == ended


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (RunnerOptions(), [(0, 1, 2, 3, 4)]),
        (RunnerOptions(workers=2), [(0, 1), (2, 3, 4)]),
        (RunnerOptions(workers=9), [(0,), (1,), (2,), (3,), (4,)]),
        (RunnerOptions(runner="PrismRunner"), [(0,), (1,), (2,), (3,), (4,)]),
    ],
)
def test_parts_are_shared_out_as_tasks_where_it_is_known_who_does_them(options, expected):
    assert Runner(options).shares(range(5)) == expected
    assert Runner(options).shares([]) == []
