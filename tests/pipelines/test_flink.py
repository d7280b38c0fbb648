"""Cancelling through Flink's REST API, against a server that answers as Flink does."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipelines.flink import cancel_job


class Cluster(ThreadingHTTPServer):
    """Jobs by id, with the states that they go through once they are cancelled."""

    def __init__(self) -> None:
        super().__init__(("localhost", 0), _Handler)
        self.jobs = {
            "aa": {"jid": "aa", "name": "other", "state": "RUNNING", "start-time": 9},
            "bb": {"jid": "bb", "name": "mine", "state": "FINISHED", "start-time": 1},
            "cc": {"jid": "cc", "name": "mine", "state": "RUNNING", "start-time": 2},
        }
        self.after = ["CANCELLING", "CANCELED"]
        self.cancelled: list[str] = []
        # How often the jobs are asked for before they are there.
        self.questions_before = 0

    @property
    def address(self) -> str:
        return f"http://localhost:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Cluster

    def do_GET(self) -> None:
        for job in self.server.cancelled:
            if self.server.after:
                self.server.jobs[job]["state"] = self.server.after.pop(0)
        self.server.questions_before -= 1
        self._answer({"jobs": [] if self.server.questions_before >= 0 else list(self.server.jobs.values())})

    def do_PATCH(self) -> None:
        path, _, query = self.path.partition("?")
        assert query == "mode=cancel"
        self.server.cancelled.append(path.rpartition("/")[2])
        self._answer({})

    def _answer(self, value: object) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_the_newest_job_of_the_name_is_cancelled_and_waited_for(cluster):
    assert cancel_job(f"{cluster.address}/", "mine", time.monotonic() + 60) == "CANCELED"
    assert cluster.cancelled == ["cc"]


def test_a_job_that_has_ended_is_left_alone(cluster):
    cluster.jobs["cc"]["state"] = "FAILED"
    assert cancel_job(cluster.address, "mine", time.monotonic() + 60) == "FAILED"
    assert cluster.cancelled == []


def test_the_state_is_told_when_time_is_up(cluster):
    cluster.after = ["CANCELLING"]
    assert cancel_job(cluster.address, "mine", time.monotonic() + 0.5) == "CANCELLING"


def test_a_job_is_cancelled_also_when_time_is_up(cluster):
    assert cancel_job(cluster.address, "mine", time.monotonic()) == "RUNNING"
    assert cluster.cancelled == ["cc"]


def test_a_job_that_is_on_its_way_is_waited_for(cluster):
    cluster.questions_before = 2
    assert cancel_job(cluster.address, "mine", time.monotonic() + 60) == "CANCELED"
    assert cluster.cancelled == ["cc"]


def test_a_job_that_is_not_there_and_a_cluster_that_is_not(cluster, monkeypatch):
    assert cancel_job(cluster.address, "nobody's", time.monotonic()) == "unknown"
    monkeypatch.setattr("pipelines.flink._SECONDS_TO_APPEAR", 0.1)
    assert cancel_job(cluster.address, "nobody's", time.monotonic() + 600) == "unknown"
    with pytest.raises(OSError, match="refused"):
        cancel_job("http://localhost:1", "mine", time.monotonic() + 60)
