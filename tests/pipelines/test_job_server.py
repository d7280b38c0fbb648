"""A job server that does not answer is found in the stated time, before anything is written."""

import socket
import time

import pytest

from pipelines.config import load_config
from pipelines.errors import exit_code
from pipelines.job_server import check_answers
from pipelines.reindex import begin
from pipelines.remote import RemoteJobError
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


def test_another_service_at_the_address_is_told_apart():
    from concurrent.futures import ThreadPoolExecutor

    import grpc

    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("localhost:0")
    server.start()
    try:
        with pytest.raises(RemoteJobError, match=r"no Beam job server that works \(UNIMPLEMENTED"):
            check_answers(f"localhost:{port}", 5)
    finally:
        server.stop(None)
