"""Worker pools that cannot do the work are found before the first job: real pools behind Beam's own job service."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import probe, worker_report
from pipelines.config import load_config
from pipelines.errors import exit_code
from pipelines.reindex import begin
from pipelines.remote import RemoteJobError
from pipelines.runner import Runner, RunnerOptions
from pipelines.versions import installed_versions
from tests.runners.engines.job_service import job_service
from tests.runners.engines.worker_pool import worker_pool

REPOSITORY = Path(__file__).parents[2]

# As on a machine where the project was never installed.
_WITHOUT_PROJECT = """
import sys

class Missing:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in ("pipelines", "transforms"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[tuple[str, ...]]:
    """Beam options of a job service in a process of its own."""
    with job_service(tmp_path_factory.mktemp("service") / "service") as engine:
        yield engine.options


def runner(server: tuple[str, ...], pool: tuple[str, ...], seconds: float = 120) -> Runner:
    return Runner(RunnerOptions(beam_options=(*server, *pool), probe_seconds=seconds))


def test_a_pool_like_this_machine_is_fit_and_sees_the_root(tmp_path, server):
    (tmp_path / "there").touch()
    with worker_pool(tmp_path / "pool", modules=str(REPOSITORY)) as pool:
        assert runner(server, pool).check_workers([str(tmp_path / "there")]) == []
        with pytest.raises(RemoteJobError) as refused:
            runner(server, pool).check_workers([str(tmp_path / "there"), str(tmp_path / "elsewhere")])
    assert f"cannot find {tmp_path / 'elsewhere'} (is not there): workers need" in str(refused.value)


def test_an_interpreter_without_beam_is_found_in_limited_time_and_no_job_begins(tmp_path, server):
    """Its children die at once, and the engine waits for ever."""
    dying = tmp_path / "python"
    dying.write_text("#!/bin/sh\necho No module named apache_beam >&2\nexit 1\n")
    dying.chmod(0o755)
    with worker_pool(tmp_path / "pool", python=dying) as pool:
        options = [*server, *pool]
        settings = ["runner.probe_seconds=3", "runner.shared_root=true"]
        config = load_config(None, settings, {"root": str(tmp_path / "root"), "runner.beam_options": options})
        with pytest.raises(RemoteJobError) as refused, begin(config):
            raise AssertionError("a run has begun")
    assert "no worker has answered within 3 s (runner.probe_seconds): start the worker pool with" in str(refused.value)
    assert exit_code(refused.value) == 1
    # The lease was given back, and nothing else was there.
    assert [path.name for path in (tmp_path / "root").rglob("*")] == ["LEASE.lock"]


def test_an_interpreter_without_the_project_is_named(tmp_path, server):
    (tmp_path / "sitecustomize.py").write_text(_WITHOUT_PROJECT)
    with worker_pool(tmp_path / "pool", modules=str(tmp_path)) as pool, pytest.raises(RemoteJobError) as refused:
        runner(server, pool).check_workers([])
    assert str(refused.value).startswith("the worker on ")
    assert "does not have corpusbeam: install it there" in str(refused.value)


def test_another_version_of_the_project_is_told_apart(tmp_path, server):
    for package in worker_report.PACKAGES:
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "transforms" / "topics" / "__init__.py").open("a") as file:
        file.write("# Edited on the worker.\n")
    with worker_pool(tmp_path / "pool", modules=str(tmp_path)) as pool, pytest.raises(RemoteJobError) as refused:
        runner(server, pool).check_workers([])
    assert "has another version of corpusbeam than this command" in str(refused.value)


def test_reports_that_do_not_come_back_are_not_the_workers_fault(server, monkeypatch):
    job, pipeline = runner(server, ("--environment_type=EXTERNAL", "--environment_config=localhost:1"))._job("Probe")
    monkeypatch.setattr(job, "run", lambda *_: None)
    monkeypatch.setattr(job, "counters", dict)
    with pytest.raises(RemoteJobError, match=r"what its workers say did not come back; set runner\.probe_seconds: 0$"):
        probe.probe_workers(job, pipeline, 1, [])


def test_workers_inside_this_command_are_not_asked(server, monkeypatch):
    monkeypatch.setattr("pipelines.runner.probe_workers", None)
    assert runner(server, ("--environment_type=LOOPBACK",)).check_workers([]) == []
    assert Runner(RunnerOptions()).check_workers([]) == []
    external = runner(server, ("--environment_type=EXTERNAL", "--environment_config=localhost:1"), seconds=0)
    assert external.check_workers([]) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"python": "3.8"}, "runs Python 3.8, this command Python"),
        ({"versions": installed_versions() | {"torch": None}}, "lacks torch: install"),
        ({"versions": installed_versions() | {"apache-beam": "2.1.0"}}, "has apache-beam 2.1.0, this command"),
    ],
    ids=["python", "library", "beam"],
)
def test_what_makes_a_worker_unfit(change, said):
    report = worker_report.report(installed_versions()) | change
    (problem,) = probe._problems(report)
    assert said in problem


def test_other_versions_are_a_warning_and_other_builds_are_none():
    report = worker_report.report(installed_versions())
    assert probe._problems(report) == probe._differences(report) == []
    built = installed_versions() | {"torch": f"{installed_versions()['torch'].partition('+')[0]}+cu128"}
    assert probe._differences(report | {"versions": built}) == []
    (warning,) = probe._differences(report | {"versions": installed_versions() | {"numpy": "1.0"}})
    assert f"numpy 1.0 (here {installed_versions()['numpy']})" in warning
