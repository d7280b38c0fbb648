"""The encoder in a process of its own: the same vectors, errors and counts as here, and no process that stays behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar
from unittest.mock import MagicMock

import joblib
import numpy as np
import psutil
import pytest

from pipelines.ahead import embeds_here, looks_new
from pipelines.cli import _encoder_process
from pipelines.config import load_config
from pipelines.encoder_process import EncoderProcess, Loaded
from pipelines.processes import WorkerDiedError, death
from pipelines.reindex import reindex
from tests.embedding.tiny import MAX_TOKENS, build_model
from transforms.embedding import EmbeddingOptions, EncoderSpec, ModelError, encoder_spec, load_encoder
from transforms.files import STOP_AT
from transforms.generations import started_at

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS = 120
TEXTS = ["one", "a text that is longer than the limit of the model " * 8, "two", "", "one"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return build_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def options(model) -> EmbeddingOptions:
    return EmbeddingOptions(model=model, device="cpu", document_prompt="passage: ", query_prompt="query: ")


@pytest.fixture(scope="module")
def spec(options) -> EncoderSpec:
    return encoder_spec(options)


def test_a_life(spec, options):
    """One process for all of it: a start costs seconds."""
    with EncoderProcess() as encoder:
        encoder.start()
        # What is wrong with a model is told to whoever asks for the encoder.
        wrong = replace(spec, precision="int8")
        encoder.load(wrong, options.model_copy(update={"device": "cuda"}), 1)
        assert load_encoder(wrong, "cuda") is encoder
        with pytest.raises(ModelError, match=r"embedding.precision=int8 is for CPUs"):
            _ = encoder.dim

        encoder.load(spec, options, 1)
        other = load_encoder(spec, "cpu", 1)
        assert other is encoder
        process = encoder._process
        _compare(other, spec)

        with pytest.raises(ZeroDivisionError):
            other.encode_documents(TEXTS, 256, lambda texts: texts / 0)
        # The rest of that answer is nobody's: the process has ended, and the model is loaded here.
        assert process.poll() is not None
        assert load_encoder(spec, "cpu", 1) is not encoder


def _compare(other, spec):
    """Everything that an encoder says, beside one that is loaded here."""
    own = load_encoder(replace(spec, profile="the same under another key"), "cpu", 1)
    assert type(own) is not EncoderProcess
    assert (other.dim, other.max_tokens) == (own.dim, own.max_tokens)
    done: dict[str, list[int]] = {"here": [], "there": []}
    for texts in (TEXTS, []):
        here = own.encode_documents(texts, 256, done["here"].append)
        there = other.encode_documents(texts, 256, done["there"].append)
        np.testing.assert_array_equal(there.vectors, here.vectors)
        np.testing.assert_array_equal(there.truncated, here.truncated)
        assert (there.tokens, there.padded_tokens) == (here.tokens, here.padded_tokens)
        assert there.failed == here.failed == {}
    assert sum(done["there"]) == sum(done["here"]) == len(TEXTS)
    assert other.fidelity == own.fidelity
    queries = TEXTS[:1]
    np.testing.assert_array_equal(other.encode_queries(queries).vectors, own.encode_queries(queries).vectors)
    assert own.max_tokens == MAX_TOKENS


def test_a_death_is_told_and_the_next_one_loads_the_model_here(spec, options):
    with EncoderProcess() as encoder:
        encoder.load(spec, options, 1)
        os.kill(encoder._process.pid, signal.SIGKILL)
        with pytest.raises(WorkerDiedError, match=r"the process that embeds .* was killed by SIGKILL: .*memory"):
            load_encoder(spec, "cpu", 1).encode_documents(TEXTS)
        assert not isinstance(load_encoder(spec, "cpu", 1), EncoderProcess)


class Answers:
    """Stands for the connection: what the process sends, in order; asked for more, it does not wait for ever."""

    def __init__(self, *answers: tuple[str, object]) -> None:
        self.left = list(answers)

    def send(self, request: object) -> None:
        pass

    def recv(self) -> tuple[str, object]:
        return self.left.pop(0)

    def close(self) -> None:
        pass


def test_the_answer_to_a_load_is_told_as_often_as_asked_and_never_that_of_another(spec, options, monkeypatch):
    first = Answers(("error", ModelError("no model")), ("value", Loaded(3, 9, None)), ("value", Loaded(4, 9, None)))
    second = Answers(("value", Loaded(5, 9, None)))
    connections, processes = [first, second], []

    def start(encoder: EncoderProcess) -> None:
        processes.append(MagicMock())
        encoder._process, encoder._connection = processes[-1], connections.pop(0)

    monkeypatch.setattr(EncoderProcess, "start", start)
    with EncoderProcess() as encoder:
        encoder.load(spec, options, 1)
        for _ in range(2):
            with pytest.raises(ModelError, match="no model"):
                _ = encoder.dim
        for dim in (3, 4):
            encoder.load(spec, options, 1)
            assert encoder.dim == encoder.dim == dim
        encoder.load(spec, options, 1)
        # It has not answered that one, and never will.
        encoder.load(spec, options, 1)
        processes[0].kill.assert_called_once()
        assert encoder.dim == 5


@pytest.mark.parametrize(("code", "told"), [(1, "exit code 1"), (-11, "killed by SIGSEGV"), (-40, "killed by signal 40")])
def test_what_a_death_is_called(code, told):
    assert told in death(code)


@pytest.mark.skipif(joblib.cpu_count() < 2, reason="with one processor there is no such process")
def test_it_ends_with_a_driver_that_is_killed(tmp_path, model, write_corpus):
    """The command as it is started by a scheduler, killed while it reads and its other process imports or loads."""
    reached = tmp_path / "reached"
    arguments = ["--root", str(tmp_path / "root"), "--input", str(write_corpus(["a", "b", "c"])), "--set"]
    command = [sys.executable, "-m", "pipelines.cli", "reindex", *arguments, f"embedding.model={model}"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), STOP_AT: f"after_plan={reached}"}
    driver = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + SECONDS
        while not reached.exists():
            assert driver.poll() is None, "the command ended before it was stopped"
            assert time.monotonic() < until
            time.sleep(0.05)
        children = psutil.Process(driver.pid).children(recursive=True)
        assert any("pipelines.encoder_server" in child.cmdline() for child in children)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    _, alive = psutil.wait_procs(children, timeout=SECONDS)
    assert not alive


class Recorder:
    """Stands for a process, and remembers which models it was told to load."""

    def __init__(self) -> None:
        self.loaded: list[EncoderSpec] = []

    def load(self, spec: EncoderSpec, options: EmbeddingOptions, threads: int) -> None:
        self.loaded.append(spec)


def test_a_model_is_loaded_only_when_texts_have_changed(tmp_path, model, write_corpus, monkeypatch):
    """A run that would go on to publish is stopped there: what was loaded is known by then."""

    class FarEnough(Exception):
        pass

    def stop(*_: object) -> None:
        raise FarEnough

    texts = [f"text number {'x' * i}" for i in range(20)]
    settings = [f"embedding.model={model}", "embedding.precision=fp32", "embedding.threads=1", "index.recall_gate=0"]
    settings += ["topics.min_cluster_size=5", "topics.n_neighbors=5", "neighbors.k=8", "topics.n_epochs=11"]
    settings += ["corpus.metadata_columns=[place]"]

    def run(texts: list[str], place: str = "here", *more: str) -> list[EncoderSpec]:
        recorder = Recorder()
        overrides = {"root": str(tmp_path / "root"), "corpus.input": [str(write_corpus(texts, place))]}
        with contextlib.suppress(FarEnough):
            reindex(load_config(None, [*settings, *more], overrides), encoder=recorder)  # type: ignore[arg-type]
        return recorder.loaded

    assert len(run(texts)) == 1
    monkeypatch.setattr("pipelines.reindex.find_passages", stop)
    assert run(texts) == []
    assert run(texts, "elsewhere") == []
    assert run(texts[:-1]) == []
    (loaded,) = run([*texts, "another"])
    assert loaded.precision == "fp32"
    assert len(run(texts, "here", "embedding.max_tokens=16")) == 1


@pytest.fixture
def write_corpus(tmp_path):
    """Write a corpus of some texts, all of one place."""

    def write(texts: list[str], place: str = "here") -> Path:
        path = tmp_path / "corpus.jsonl"
        rows = [{"id": str(number), "text": text, "place": place} for number, text in enumerate(texts)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


class TestHint:
    """Whether the input looks new is told by listings and the published configuration alone."""

    @pytest.fixture
    def config(self, tmp_path, monkeypatch):
        source = tmp_path / "corpus.jsonl"
        source.write_text("")
        config = load_config(None, [], {"root": str(tmp_path / "root"), "corpus.input": [str(source)]})

        class Published:
            configuration: ClassVar = {"corpus": {"input": [str(source)]}}

        self.generation = "20260304T050607Z-01234567"
        monkeypatch.setattr("pipelines.ahead.read_current", lambda _: self.generation)
        monkeypatch.setattr("pipelines.ahead.read_manifest", lambda *_: Published)
        return config

    @pytest.mark.parametrize(("seconds", "new"), [(-1, False), (0, True), (5, True)])
    def test_by_the_time_of_the_files(self, config, seconds, new):
        written = started_at(self.generation).timestamp() + seconds
        os.utime(config.corpus.input[0], (written, written))
        assert looks_new(config) == new

    def test_other_files(self, config, tmp_path):
        other = tmp_path / "other.jsonl"
        other.write_text("")
        os.utime(other, (1, 1))
        assert looks_new(config.model_copy(update={"corpus": config.corpus.model_copy(update={"input": (str(other),)})}))

    def test_nothing_published(self, config):
        self.generation = None
        assert looks_new(config)

    def test_input_that_means_nothing_is_not_its_business(self, config):
        os.remove(config.corpus.input[0])
        assert not looks_new(config)


@pytest.mark.parametrize(
    ("settings", "here"),
    [
        ([], True),
        (["runner.workers=2"], False),
        (["runner.runner=PortableRunner"], False),
        (["runner.beam_options=[--runner=PortableRunner]"], False),
    ],
)
def test_where_texts_are_embedded(settings, here):
    assert embeds_here(load_config(None, settings, {})) == here


def test_a_process_that_goes_on_after_the_command_keeps_its_models():
    class Options:
        alone = False

    with _encoder_process(Options) as encoder:
        assert encoder is None
