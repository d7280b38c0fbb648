"""Jobs on a job server in another process: what goes wrong there, and what stops this process, is dealt with on both sides."""

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import grpc
import psutil
import pytest
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

from pipelines.remote import RemoteJobError, essence
from pipelines.runner import Runner, RunnerOptions
from tests.runners.engines.job_service import job_service
from transforms.corpus import InputError

# Workers are threads of this process.
_begun, _go_on = threading.Event(), threading.Event()


@dataclass
class Doing(beam.PTransform):
    """str → str: does what the task says."""

    def expand(self, tasks):
        return tasks | beam.Map(_do).with_output_types(str)


def _do(task: str) -> str:
    if task == "bad input":
        raise InputError("file 'x' has no column 'y'")
    if task == "defect":
        raise ValueError("something is wrong\nwith this row")
    if task == "wait":
        _begun.set()
        _go_on.wait()
    if task == "three seconds":
        time.sleep(3)
    return task


@pytest.fixture
def events() -> Iterator[None]:
    _begun.clear()
    _go_on.clear()
    yield
    _go_on.set()


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[tuple[str, ...]]:
    with job_service(tmp_path_factory.mktemp("server") / "service") as engine:
        yield engine.options


def run(server: tuple[str, ...], folder: Path, task: str, *more: str, **limits: float) -> list[str]:
    runner = Runner(RunnerOptions(beam_options=(*server, *more), **limits))
    return runner.run(Doing(), [task], str, str(folder / "records.json"))


def address(server: tuple[str, ...]) -> str:
    return next(option for option in server if option.startswith("--job_endpoint")).partition("=")[2]


def stub(server: tuple[str, ...]) -> beam_job_api_pb2_grpc.JobServiceStub:
    return beam_job_api_pb2_grpc.JobServiceStub(grpc.insecure_channel(address(server)))


def states(server: tuple[str, ...]) -> dict[str, str]:
    """State of every job by its id."""
    jobs = stub(server).GetJobs(beam_job_api_pb2.GetJobsRequest()).job_info
    return {job.job_id: beam_job_api_pb2.JobState.Enum.Name(job.state) for job in jobs}


def test_a_job_is_told_of_and_its_records_come_back(tmp_path, server, capfd):
    assert run(server, tmp_path, "work") == ["work"]
    began, ended = capfd.readouterr().err.splitlines()
    assert re.fullmatch(r"corpusbeam: job corpusbeam-doing-[0-9a-f]{8} \(job-[-0-9a-f]+\): RUNNING after \d+ s", began)
    assert re.fullmatch(r"corpusbeam: job corpusbeam-doing-[0-9a-f]{8} \(job-[-0-9a-f]+\): DONE after \d+ s", ended)


def test_an_error_of_this_project_comes_as_it_was_raised(tmp_path, server):
    with pytest.raises(InputError, match="file 'x' has no column 'y'"):
        run(server, tmp_path, "bad input")


def test_any_other_error_says_which_job_why_and_where_to_look(tmp_path, server, capfd):
    with pytest.raises(RemoteJobError) as failed:
        run(server, tmp_path, "defect")
    (job,) = re.findall(r"\((job-[-0-9a-f]+)\)", str(failed.value))
    assert states(server)[job] == "FAILED"
    assert "ended as FAILED: something is wrong with this row; look at " in str(failed.value)
    assert f"look at the log of the job server at {next(o for o in server if 'endpoint' in o).partition('=')[2]}" in str(
        failed.value
    )
    assert "\n" not in str(failed.value)
    assert "Traceback" not in capfd.readouterr().err


def test_a_job_that_somebody_cancels_on_the_engine_has_failed(tmp_path, server, events):
    def cancel() -> None:
        _begun.wait()
        (job,) = (job for job, state in states(server).items() if state == "RUNNING")
        stub(server).Cancel(beam_job_api_pb2.CancelJobRequest(job_id=job))

    threading.Thread(target=cancel, daemon=True).start()
    with pytest.raises(RemoteJobError, match="was cancelled on the engine"):
        run(server, tmp_path, "wait")


def test_an_interrupt_cancels_the_job_on_the_engine(tmp_path, server, events, capfd):
    def interrupt() -> None:
        _begun.wait()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run(server, tmp_path, "wait")
    began, ended = capfd.readouterr().err.splitlines()
    (job,) = re.findall(r"\((job-[-0-9a-f]+)\): RUNNING", began)
    assert ended.endswith(f"({job}): CANCELLED")
    assert states(server)[job] == "CANCELLED"


def test_a_server_that_is_gone_is_given_up_and_the_job_named(tmp_path, events):
    with job_service(tmp_path / "service") as engine:
        service = _listening(int(address(engine.options).rpartition(":")[2]))

        def kill() -> None:
            _begun.wait()
            os.kill(service, signal.SIGKILL)

        threading.Thread(target=kill, daemon=True).start()
        with pytest.raises(RemoteJobError) as lost:
            run(engine.options, tmp_path, "wait", answer_seconds=1, cancel_seconds=1)
    assert f"the job server at {address(engine.options)} has not answered for 1 s (UNAVAILABLE" in str(lost.value)
    assert "may still be running" in str(lost.value)


def test_a_job_may_take_longer_than_the_server_to_answer(tmp_path, server):
    """Beam's own way of waiting ends with --job_server_timeout, by default 300 s, on servers such as this one and Prism."""
    assert run(server, tmp_path, "three seconds", "--job_server_timeout=1") == ["three seconds"]


def test_a_job_has_the_name_that_it_is_given(tmp_path, server, capfd):
    run(server, tmp_path, "work", "--job_name=nightly")
    assert "corpusbeam: job nightly (job-" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("short", "short"),
        ("two\n  lines", "two lines"),
        ("java.lang.RuntimeException: a\n\tat x.y(Z.java:1)\n\t... 3 more\n", "java.lang.RuntimeException: a"),
        (
            "a.B: outer\n\tat x(Y.java:1)\nCaused by: c.D: middle\n\tat x(Y.java:2)\nCaused by: e.F: root\n\tat z(Y.java:3)",
            "e.F: root",
        ),
        ("x" * 3000, "x" * 2000 + "…"),
        ("", ""),
    ],
)
def test_of_an_engines_error_the_innermost_cause_is_told(text, said):
    assert essence(text) == said


def _listening(port: int) -> int:
    """Process id of the server on a port of this machine."""
    (found,) = {c.pid for c in psutil.net_connections("tcp") if c.laddr.port == port and c.status == psutil.CONN_LISTEN}
    return found
