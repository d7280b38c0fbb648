"""One job on an engine in another process: submitted, watched until it ends, cancelled there when this process has to stop."""

import concurrent.futures
import contextlib
import logging
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import apache_beam as beam
import grpc
import psutil
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.runner import PipelineState
from apache_beam.runners.worker import sdk_worker
from tqdm import tqdm

from pipelines.daemon import ignore_lost_connections, in_daemon_thread
from pipelines.engine import Engine
from pipelines.flink import cancel_job
from pipelines.monitor import SECONDS_BETWEEN_LINES
from pipelines.remote_errors import original_error

Value = TypeVar("Value")

# Short jobs must not wait for a look, long ones must not be asked all the time.
_FIRST_LOOK, _LONGEST_WAIT = 0.05, 1.0
_SECONDS_FOR_LAST_MESSAGES = 5.0
_COUNTER = re.compile(r"(?!beam/)[a-z]+/[a-z-]+")
_ENDED = (PipelineState.DONE, PipelineState.FAILED, PipelineState.CANCELLED, PipelineState.DRAINED, PipelineState.UPDATED)


class RemoteJobError(Exception):
    """A job has failed on its engine, or the engine does not answer any more. The message says why and where to look."""


class JobTooSlowError(RemoteJobError):
    """A job with a time limit has not ended within it, and was cancelled."""


@dataclass
class RemoteJob:
    """A job called `name` on `engine`, which is asked again for `answer_seconds` when it does not answer.

    When `run` is left by an exception, the job is cancelled, which may take `cancel_seconds`.
    """

    name: str
    engine: Engine
    answer_seconds: float
    cancel_seconds: float
    # On loopback and in tests nobody needs to be told.
    quiet: bool = False
    id: str | None = None
    _result: Any = None
    _submission: concurrent.futures.Future[Any] | None = None
    _errors: list[str] = field(default_factory=list)
    _said_at: float = 0.0

    def run(self, pipeline: beam.Pipeline, limit: float | None = None) -> None:
        """Run `pipeline` and return when it is done.

        Raises JobTooSlowError when that takes more than `limit` seconds, what a transform raised when that is an error of this
        project, and otherwise RemoteJobError when the job fails or is cancelled on the engine.
        """
        ignore_lost_connections()
        if self.engine.environment == "LOOPBACK":
            _quieten_workers()
        started = time.monotonic()
        deadline = None if limit is None else started + limit
        try:
            self._submit(pipeline, deadline)
            state = self._watch(started, deadline)
        except BaseException as error:
            self._cancel(error)
            raise
        finally:
            self._clean_up()
        if state != PipelineState.DONE:
            raise self._failure(state)

    def counters(self) -> dict[str, int]:
        """Counters of the job's transforms by "namespace/name", as far as the engine knows them now.

        Raises RemoteJobError when the engine does not answer.
        """
        found: dict[str, int] = {}
        try:
            counted = self._ask(self._query)["counters"]
        except (grpc.RpcError, TimeoutError) as error:
            raise RemoteJobError(
                f"{self._place()} does not say what job {self._called()} has counted ({_reason(error)}); look at "
                f"{self.engine.where_to_look}"
            ) from error
        for result in counted:
            value = result.committed if result.committed is not None else result.attempted
            name = f"{result.key.metric.namespace}/{result.key.metric.name}"
            found[name] = found.get(name, 0) + (value or 0)
        return found

    def _query(self) -> Any:
        # What Beam's result has queried once it returns for ever.
        self._result._metrics = None
        return self._result.metrics().query()

    def _submit(self, pipeline: beam.Pipeline, deadline: float | None) -> None:
        """Hand the job over, which takes seconds where all of the engine's code goes with it."""
        if self.engine.address is None and self.engine.runner != "DataflowRunner":
            # Beam starts the engine's server and sets a handler of signals, which only the main thread may do.
            self._result = _run_with_own_server(pipeline)
        else:
            self._submission = in_daemon_thread(pipeline.run)
            self._result = self._wait_for(self._submission, deadline)
        self.id = job_id(self._result)
        if stub := getattr(self._result, "_job_service", None):
            threading.Thread(target=self._read_messages, args=(stub,), name="job-messages", daemon=True).start()

    def _wait_for(self, future: concurrent.futures.Future[Value], deadline: float | None) -> Value:
        # In short steps: a lock that this thread waits for may keep signals from it.
        while not concurrent.futures.wait([future], timeout=_LONGEST_WAIT).done:
            self._check_time(deadline)
        try:
            return future.result()
        except (grpc.RpcError, grpc.FutureTimeoutError) as error:
            raise RemoteJobError(f"job {self.name} could not be handed over to {self._place()}: {_reason(error)}") from error

    def _check_time(self, deadline: float | None) -> None:
        if deadline is not None and time.monotonic() > deadline:
            raise JobTooSlowError(f"job {self._called()} has not ended in time")

    def _watch(self, started: float, deadline: float | None) -> str:
        wait, before, answered = _FIRST_LOOK, "", time.monotonic()
        while True:
            try:
                state = self._ask(lambda: self._result.state)
                answered = time.monotonic()
            except (grpc.RpcError, TimeoutError) as error:
                if time.monotonic() - answered > self.answer_seconds:
                    raise RemoteJobError(
                        f"{self._place()} has not answered for {self.answer_seconds:g} s ({_reason(error)}): job "
                        f"{self._called()} may still be running; look at {self.engine.where_to_look}"
                    ) from error
                state = before
            if state != before or time.monotonic() - self._said_at > SECONDS_BETWEEN_LINES:
                self._tell(state, time.monotonic() - started, before)
            if state in _ENDED:
                return state
            before = state
            self._check_time(deadline)
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _tell(self, state: str, seconds: float, before: str) -> None:
        if self.quiet or (state not in (PipelineState.RUNNING, *_ENDED)):
            return
        counted = ""
        if state in _ENDED or state == before:
            with contextlib.suppress(Exception):  # a job is not worse for an engine that cannot count
                counters = sorted(self.counters().items())
                # Not what engines count by themselves, nor the probe's reports.
                counted = "".join(f", {name} {value:,}" for name, value in counters if _COUNTER.fullmatch(name))
        self._said_at = time.monotonic()
        say(f"job {self._called()}: {state} after {seconds:.0f} s{counted}")

    def _is_flink(self) -> bool:
        """Whether a job server of Flink has the job: it has options of Flink's."""
        stub = getattr(self._result, "_job_service", None)
        if stub is None or self.engine.address is None:
            return False
        described = stub.DescribePipelineOptions(beam_job_api_pb2.DescribePipelineOptionsRequest())
        return any(option.name == "flink_master" for option in described.options)

    def _ask(self, question: Callable[[], Value], more_seconds: float = 0.0) -> Value:
        """The answer to a question that may never be answered."""
        future = in_daemon_thread(question)
        deadline = time.monotonic() + self.answer_seconds + more_seconds
        while not concurrent.futures.wait([future], timeout=_LONGEST_WAIT).done:
            if time.monotonic() > deadline:
                raise TimeoutError("no answer")
        return future.result()

    def _read_messages(self, stub: Any) -> None:
        # Not Beam's own stream: on servers that use one id for a job's preparation and the job, that one has a time limit.
        with contextlib.suppress(grpc.RpcError):
            for message in stub.GetMessageStream(beam_job_api_pb2.JobMessagesRequest(job_id=self.id)):
                found = message.message_response
                if found.importance == beam_job_api_pb2.JobMessage.JOB_MESSAGE_ERROR:
                    self._errors.append(found.message_text)

    def _cancel(self, error: BaseException) -> None:
        """Ask the engine to cancel the job and wait until it has, as long as is allowed. A second signal ends the waiting.

        `error` is why. Flink is asked whatever its job server says: the server may have died, and the job goes on.
        """
        deadline = time.monotonic() + self.cancel_seconds
        if not self._may_have_begun(error):
            return
        state = "unknown"
        try:
            if self._result is not None:
                if (state := self._ask(lambda: self._result.state)) in _ENDED:
                    return
                state = self._cancel_on_server(deadline)
        except Exception as failed:  # whatever it is, what stopped this process is more important
            state = f"unknown ({_reason(failed)})"
        if self.engine.flink:
            flink = self.engine.flink
            try:
                state = self._ask(lambda: cancel_job(flink, self.name, deadline), max(0.0, deadline - time.monotonic()))
                state = PipelineState.CANCELLED if state == "CANCELED" else state
            except Exception as failed:
                state = f"unknown ({_reason(failed)})"
        if state in _ENDED:
            say(f"job {self._called()}: {state}", quiet=self.quiet)
        else:
            say(f"job {self._called()} was to be cancelled, its state is {state}: look at {self.engine.where_to_look}")

    def _may_have_begun(self, error: BaseException) -> bool:
        """Whether there is something to cancel; `error` ends this job. A job that is being handed over is waited for."""
        if self._result is not None:
            return True
        if self._submission is None:
            # The engine's own server is ended with this process, but not a Flink cluster that it has handed the job to.
            return bool(self.engine.flink) and not isinstance(error, Exception)
        concurrent.futures.wait([self._submission], timeout=self.cancel_seconds)
        if not self._submission.done():
            return True
        if (failed := self._submission.exception()) is not None:
            # What the server did not answer in time it may do all the same.
            return bool(self.engine.flink) and isinstance(failed, grpc.RpcError)
        self._result = self._submission.result()
        self.id = job_id(self._result)
        return True

    def _cancel_on_server(self, deadline: float) -> str:
        """The state, when all is well the last one, of a job that runs, after asking to cancel it."""
        self._ask(self._result.cancel)
        while (state := self._ask(lambda: self._result.state)) not in _ENDED and time.monotonic() < deadline:
            time.sleep(_FIRST_LOOK)
        if not self.engine.flink and self._ask(self._is_flink):
            return "not known: cancel it in Flink, whose address --flink_master=HOST:8081 tells, because its job server cannot"
        return str(state)

    def _clean_up(self) -> None:
        # Stops the server that the workers of a loopback environment are in.
        if (clean_up := getattr(self._result, "_cleanup", None)) is not None:
            with contextlib.suppress(Exception):
                clean_up()

    def _failure(self, state: str) -> Exception:
        text = self._last_error()
        error = original_error(RuntimeError(text))
        if error is not None and is_own(error):
            return error
        # The name of the step that Beam appends says nothing to a user, and is cut off with all that follows it.
        reason = essence(text if error is None else str(error)).partition(" [while running ")[0]
        ended = {PipelineState.CANCELLED: "was cancelled on the engine"}.get(state, f"ended as {state}")
        return RemoteJobError(
            f"job {self._called()} {ended}: {reason or 'no reason was given'}; look at {self.engine.where_to_look}"
        )

    def _last_error(self) -> str:
        """The engine's own last words on the job, which may come later than the news that it has failed."""
        if not hasattr(self._result, "_job_service"):
            try:
                self._result.wait_until_finish()
            except Exception as error:
                return str(error)
        deadline = time.monotonic() + _SECONDS_FOR_LAST_MESSAGES
        while not self._errors and time.monotonic() < deadline:
            time.sleep(_FIRST_LOOK)
        return self._errors[-1] if self._errors else ""

    def _called(self) -> str:
        if self.id is None:
            return self.name
        # Flink's job servers make an id of the name.
        return self.id if self.id.startswith(self.name) else f"{self.name} ({self.id})"

    def _place(self) -> str:
        return f"the job server at {self.engine.address}" if self.engine.address else "the engine"


def _quieten_workers() -> None:
    """Workers inside this process print every traceback that they also send to the engine, from where it comes back."""
    if not logging.getLogger(__name__).isEnabledFor(logging.INFO):
        vars(sdk_worker)["print"] = lambda *_, **__: None


# Processes of engines that Beam has started for this one and uses again for the next job.
_servers: list[psutil.Process] = []


def _run_with_own_server(pipeline: beam.Pipeline) -> Any:
    before, handler = set(psutil.Process().children()), signal.getsignal(signal.SIGINT)
    try:
        return pipeline.run()
    finally:
        _servers.extend(set(psutil.Process().children()) - before)
        if threading.current_thread() is threading.main_thread():
            # Beam's own handler would stop the server before the job can be cancelled on it.
            signal.signal(signal.SIGINT, handler)


def end_servers() -> None:
    """End the engines that Beam has started, which an interpreter that is left in a hurry would leave behind."""
    for server in _servers:
        with contextlib.suppress(psutil.Error):
            server.terminate()
    psutil.wait_procs(_servers, timeout=_SECONDS_FOR_LAST_MESSAGES)
    _servers.clear()


def job_id(result: Any) -> str | None:
    """The engine's name for a job; None where it has none."""
    if isinstance(found := getattr(result, "_job_id", None), str):
        return found
    return str(result.job_id()) if hasattr(result, "job_id") else None


def is_own(error: Exception) -> bool:
    """Whether an error of a job is one of this project, or of files: its message says what to do, wherever it was raised."""
    return type(error).__module__.partition(".")[0] in ("pipelines", "transforms") or isinstance(error, OSError)


def essence(text: str) -> str:
    """What an engine's error says, without the stack of a Java program: the innermost cause."""
    lines = [line for line in text.strip().splitlines() if not re.match(r"\s+(at |\.\.\. \d+ more|Suppressed)", line)]
    causes = [line for line in lines if line.startswith("Caused by: ")]
    said = causes[-1].removeprefix("Caused by: ") if causes else " ".join(" ".join(lines).split())
    return said if len(said) <= 2000 else f"{said[:2000]}…"


def say(text: str, *, quiet: bool = False) -> None:
    """One line on stderr, above a progress bar where there is one."""
    if not quiet:
        tqdm.write(f"corpusbeam: {text}", file=sys.stderr)


def _reason(error: BaseException) -> str:
    if isinstance(error, grpc.RpcError) and hasattr(error, "code"):
        return f"{error.code().name}: {error.details()}"
    if isinstance(error, grpc.FutureTimeoutError):
        return "no answer"
    return str(error) or type(error).__name__
