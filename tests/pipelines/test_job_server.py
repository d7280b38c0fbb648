"""A job server that does not answer is found in the stated time, before anything is written."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

from pipelines.config import load_config
from pipelines.errors import exit_code
from pipelines.job_server import check_answers
from pipelines.reindex import begin
from pipelines.remote import RemoteJobError
from pipelines.runner import Runner, RunnerError, RunnerOptions
from tests.runners.engines.job_service import job_service
from tests.runners.engines.processes import free_ports


def test_a_job_server_that_answers_is_fine(tmp_path):
    with job_service(tmp_path / "service") as engine:
        (address,) = (option.partition("=")[2] for option in engine.options if option.startswith("--job_endpoint"))
        check_answers(address, 30)


def test_nobody_at_the_address(tmp_path):
    address = f"localhost:{free_ports(1)[0]}"
    options = f"runner.beam_options=[--runner=PortableRunner, '--job_endpoint={address}', --environment_type=LOOPBACK]"
    config = load_config(None, [options, f"root={tmp_path / 'root'}", "runner.answer_seconds=1"])
    with pytest.raises(RemoteJobError) as refused, begin(config):
        raise AssertionError("a run has begun")
    assert f"no job server has answered at {address} within 1 s (runner.answer_seconds)" in str(refused.value)
    assert "--job_endpoint" in str(refused.value)
    assert exit_code(refused.value) == 1
    assert not (tmp_path / "root").exists()


def test_a_server_that_accepts_and_says_nothing_is_not_waited_for():
    with socket.create_server(("localhost", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(RemoteJobError, match="no job server has answered"):
            check_answers(f"localhost:{silent.getsockname()[1]}", 1)
        assert time.monotonic() - started < 60, "it was waited for"


class Described(beam_job_api_pb2_grpc.JobServiceServicer):
    """Has some options of Flink's."""

    def DescribePipelineOptions(self, *_: object) -> beam_job_api_pb2.DescribePipelineOptionsResponse:
        options = [beam_job_api_pb2.PipelineOptionDescriptor(name=name) for name in ("flink_master", "faster_copy")]
        return beam_job_api_pb2.DescribePipelineOptionsResponse(options=options)


@pytest.fixture(scope="module")
def flink() -> Iterator[str]:
    """Address of a job server with options of Flink's."""
    server = grpc.server(ThreadPoolExecutor(1))
    beam_job_api_pb2_grpc.add_JobServiceServicer_to_server(Described(), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    yield f"localhost:{port}"
    server.stop(None)


def warnings(server: str, *options: str) -> list[str]:
    options = ("--runner=PortableRunner", f"--job_endpoint={server}", *options)
    return Runner(RunnerOptions(beam_options=options)).check_answers()


def test_options_of_the_engine_are_the_job_servers_to_know(flink):
    warnings(flink, "--faster_copy=true")
    with pytest.raises(RunnerError, match=f"neither Beam nor the job server at {flink} has an option 'fastest_copy'"):
        warnings(flink, "--faster_copy", "--fastest_copy")
    for options in (("--faster_copy",), ("--runner=PortableRunner", "--job_endpoint=embed", "--faster_copy")):
        with pytest.raises(RunnerError, match="Beam has no option 'faster_copy'"):
            Runner(RunnerOptions(beam_options=options))


def test_a_run_says_when_flink_could_not_be_told_to_cancel(flink):
    (warning,) = warnings(flink, "--environment_type=EXTERNAL")
    assert "when this command is stopped, its job goes on" in warning
    assert "--flink_master=HOST:8081" in warning
    assert warnings(flink, "--environment_type=EXTERNAL", "--flink_master=flink:8081") == []
    assert warnings(flink, "--environment_type=LOOPBACK") == []


def test_another_service_at_the_address_is_told_apart():
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("localhost:0")
    server.start()
    try:
        with pytest.raises(RemoteJobError, match=r"no Beam job server that works \(UNIMPLEMENTED"):
            check_answers(f"localhost:{port}", 5)
    finally:
        server.stop(None)
