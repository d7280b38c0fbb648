"""Jobs on a job server in another process: what goes wrong there, and what stops this process, is dealt with on both sides."""

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import grpc
import psutil
import pytest
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

from pipelines.engine import Engine
from pipelines.remote import RemoteJob, RemoteJobError, essence
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
    if task == "seven seconds":
        time.sleep(7)
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
        # To be handed over, a job may need more than three seconds on a busy machine.
        options = (*engine.options, "--job_server_timeout=60")
        with pytest.raises(RemoteJobError) as lost:
            run(options, tmp_path, "wait", answer_seconds=3, cancel_seconds=1)
    assert f"the job server at {address(engine.options)} has not answered for 3 s (UNAVAILABLE" in str(lost.value)
    assert "may still be running" in str(lost.value)


def test_a_job_may_take_longer_than_the_server_to_answer(tmp_path, server):
    """Beam's own way of waiting ends with --job_server_timeout, by default 300 s, on servers such as this one and Prism."""
    assert run(server, tmp_path, "seven seconds", "--job_server_timeout=5") == ["seven seconds"]


def test_a_job_has_the_name_that_it_is_given(tmp_path, server, capfd):
    run(server, tmp_path, "work", "--job_name=nightly")
    assert "corpusbeam: job nightly (job-" in capfd.readouterr().err


FLINK = "http://flink:8081"


class Lost(grpc.RpcError):
    """As a channel to a server that is gone raises it."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return "gone"


@dataclass
class Submitted:
    """Stands for a pipeline and for the result of running it: what `run` does, and a state that may be an error."""

    does: Callable[[], None] = lambda: None
    told: str | Exception = "RUNNING"
    cancelled: bool = False

    def run(self) -> "Submitted":
        self.does()
        return self

    @property
    def state(self) -> str:
        if isinstance(self.told, Exception):
            raise self.told
        return self.told

    def cancel(self) -> None:
        self.cancelled, self.told = True, "CANCELLED"

    def metrics(self) -> None:
        threading.Event().wait()


def job_on(runner: str, server: str | None, flink: str | None) -> RemoteJob:
    return RemoteJob("corpusbeam-x", Engine(runner, server, "EXTERNAL", flink), answer_seconds=0.2, cancel_seconds=30)


@pytest.fixture
def on_flink(monkeypatch) -> list[tuple[str, str]]:
    """Addresses and names that Flink was asked to cancel."""
    asked: list[tuple[str, str]] = []

    def cancel(flink: str, name: str, _: float) -> str:
        asked.append((flink, name))
        return "CANCELED"

    monkeypatch.setattr("pipelines.remote.cancel_job", cancel)
    return asked


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    "submitted",
    [
        Submitted(told=Lost()),
        # The server may have begun what it has not answered.
        Submitted(lambda: _raise(Lost())),
    ],
    ids=["watched", "handed over"],
)
def test_flink_cancels_the_job_of_a_job_server_that_is_gone(on_flink, submitted, capfd):
    with pytest.raises(RemoteJobError):
        job_on("PortableRunner", "server:8099", FLINK).run(submitted)
    assert on_flink == [(FLINK, "corpusbeam-x")]
    assert "job corpusbeam-x: CANCELLED" in capfd.readouterr().err


def test_flink_is_not_asked_for_a_job_that_was_never_handed_over(on_flink):
    for job in (job_on("PortableRunner", "server:8099", FLINK), job_on("FlinkRunner", None, FLINK)):
        with pytest.raises(TypeError):
            job.run(Submitted(lambda: _raise(TypeError("no pipeline"))))
    assert on_flink == []


def test_an_interrupt_while_a_job_goes_through_a_server_of_its_own_reaches_flink(on_flink):
    with pytest.raises(KeyboardInterrupt):
        job_on("FlinkRunner", None, FLINK).run(Submitted(lambda: _raise(KeyboardInterrupt())))
    assert on_flink == [(FLINK, "corpusbeam-x")]


def test_an_interrupt_while_dataflow_takes_a_job_cancels_it(events, capfd):
    def accept() -> None:
        while job._submission is None:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        _go_on.wait()

    job, submitted = job_on("DataflowRunner", None, None), Submitted(accept)
    # The service answers while this process is about to end, or even before that.
    threading.Timer(0.5, _go_on.set).start()
    with pytest.raises(KeyboardInterrupt):
        job.run(submitted)
    assert submitted.cancelled
    assert "CANCELLED" in capfd.readouterr().err


def test_counters_that_do_not_come_are_waited_for_in_limited_time():
    job = job_on("PortableRunner", "server:8099", None)
    job._result = Submitted()
    with pytest.raises(RemoteJobError, match=r"server:8099 does not say what job corpusbeam-x has counted \(no answer\)"):
        job.counters()


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
