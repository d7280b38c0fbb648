"""The example service answers real requests while generations are published: none fails, none mixes two generations."""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from tests.generations.test_readers_during_publishes import publish

pytest.importorskip("fastapi", reason="the example needs FastAPI: install corpusbeam[test]")
pytest.importorskip("uvicorn", reason="the example needs uvicorn: install corpusbeam[test]")

REPOSITORY = Path(__file__).parents[2]
PUBLISHES = 12
# The service with an encoder that takes no time to load; it says its port once it listens.
SERVER = """
import socket
from types import SimpleNamespace
import uvicorn
import pipelines.search
from tests.generations.test_readers_during_publishes import OneQuery
from transforms.embedding import EmbeddingOptions
from transforms.search import searcher

pipelines.search.published_embedding = lambda *_: EmbeddingOptions()
searcher.matching_spec = lambda *_: SimpleNamespace(metric="cosine")
searcher.load_query_encoder = lambda *_: OneQuery()
from examples.serve import app

listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run([listening])
"""


@pytest.fixture
def service(tmp_path):
    """The root and the address of a service on its first generation."""
    root = str(tmp_path / "root")
    first = publish(root, 0, None)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        cwd=REPOSITORY,
        env={**os.environ, "ROOT": root, "RELOAD_SECONDS": "0.01", "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    port = process.stdout.readline().strip()
    yield root, first, f"http://127.0.0.1:{port}/search"
    process.kill()
    process.wait()
    process.stdout.close()


def ask(address: str, **parameters) -> dict:
    with urllib.request.urlopen(f"{address}?{urllib.parse.urlencode(parameters)}", timeout=60) as answer:
        found = json.load(answer)
        assert answer.headers["X-Generation"] == found["generation"]
    return found


def test_no_answer_fails_or_mixes_generations_while_some_are_published(service):
    root, current, address = service
    generations, answers, errors, stop = {current: 0}, [], [], threading.Event()

    def keep_asking():
        try:
            while not stop.is_set():
                answers.append(ask(address, q="anything", k=5))
        except BaseException as error:
            errors.append(error)

    ask(address, q="anything")
    threads = [threading.Thread(target=keep_asking) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(1, PUBLISHES):
            current = publish(root, number, current)
            generations[current] = number
            # The next one comes when this one has answered, however slow this machine is.
            while not errors and (not answers or answers[-1]["generation"] != current):
                time.sleep(0.002)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not errors
    for answer in answers:
        number = generations[answer["generation"]]
        assert len(answer["hits"]) == 5
        assert all(hit["text"] == f"text {int(hit['doc_id'][1:])} of generation {number}" for hit in answer["hits"])
        assert {(hit["metadata"]["number"], hit["topic"]["title"]) for hit in answer["hits"]} == {(number, f"topic {number}")}
    assert {answer["generation"] for answer in answers} == set(generations)


def test_bad_requests_are_told_and_the_next_is_answered(service):
    _, first, address = service
    for parameters, said in (
        ({"q": " "}, "blank"),
        ({"q": "x", "k": 0}, "greater than or equal to 1"),
        ({"q": "x", "where": "nothing = 1"}, "no column 'nothing'"),
        ({"q": "x", "where": "text ="}, "expected 'text'"),
        ({}, "Field required"),
    ):
        with pytest.raises(urllib.error.HTTPError) as error:
            ask(address, **parameters)
        assert error.value.code == 422
        assert said in error.value.read().decode()
    assert ask(address, q="x" * 50_000, k=1000)["generation"] == first
