"""Worker processes of this machine: started once for all jobs of a run, and watched while they work.

Beam's own `--direct_running_mode=multi_processing` starts new processes for every job, which takes seconds each time, and waits
for ever for a process that died. Here Beam only asks for its workers: the handler below is registered with Beam under a name of
its own, and hands each worker's address to a process that is already there.
"""

import concurrent.futures
import json
import logging
import signal
import subprocess
import time
import uuid
import weakref
from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.portability.fn_api_runner.worker_handlers import GrpcWorkerHandler, WorkerHandler
from apache_beam.transforms.environments import Environment, python_sdk_capabilities

from pipelines.daemon import ignore_lost_connections, in_daemon_thread
from pipelines.processes import WorkerDiedError, death, start_module
from pipelines.remote_errors import original_error
from pipelines.threads import thread_variables

_log = logging.getLogger(__name__)

_URN = "corpusbeam:env:worker_pool:v1"
_SECONDS_BETWEEN_LOOKS = 0.2
# A connection breaks a moment before the process that held it is gone.
_SECONDS_FROM_BROKEN_CONNECTION_TO_END = 2.0

_pools: weakref.WeakValueDictionary[str, "WorkerPool"] = weakref.WeakValueDictionary()


class WorkerPool:
    """So many worker processes with so many threads each. They start with the first job and stay until `close`."""

    def __init__(self, workers: int, threads: int) -> None:
        self._count, self._threads = workers, threads
        self._processes: list[subprocess.Popen[bytes]] = []
        self._given = 0
        self._key = uuid.uuid4().hex
        _pools[self._key] = self

    def run(self, build: Callable[[beam.Pipeline], None], options: PipelineOptions, job: str) -> None:
        """Run the pipeline that `build` makes as one job on all workers.

        Raises WorkerDiedError, which names `job`, soon after a worker has ended, and otherwise what a transform raised, as it
        would come from this process. After any error no worker is left.
        """
        try:
            self._start_missing(job)
            # Beam may wait for ever for a worker that died. It does so in a thread that nobody needs to wait for, and this one,
            # which receives the signals, stays free to look after the workers.
            future = in_daemon_thread(lambda: self._run_pipeline(build, options))
            while not concurrent.futures.wait([future], timeout=_SECONDS_BETWEEN_LOOKS).done:
                self._check(job)
            error = future.exception()
            if error is None:
                return
            if original := original_error(error):
                raise original from error
            deadline = time.monotonic() + _SECONDS_FROM_BROKEN_CONNECTION_TO_END
            while time.monotonic() < deadline:
                self._check(job)
                time.sleep(_SECONDS_BETWEEN_LOOKS)
            raise error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all workers now. What they have finished is in files; they hold nothing else."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            with process:  # closes the pipe and waits
                pass
        self._processes = []

    def serve(self, worker_id: str, control_address: str) -> None:
        """Let the next process be the worker `worker_id` of the job behind `control_address`."""
        process = self._processes[self._given % len(self._processes)]
        self._given += 1
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps([worker_id, control_address]).encode() + b"\n")
        except BrokenPipeError:
            _log.info("process %d has died before its job began", process.pid)  # `run` looks for that

    def _run_pipeline(self, build: Callable[[beam.Pipeline], None], options: PipelineOptions) -> None:
        direct = options.view_as(DirectOptions)
        direct.direct_num_workers = self._count
        # Not one of Beam's modes, each of which would replace the environment.
        direct.direct_running_mode = "worker_pool"
        self._given = 0
        with beam.Pipeline(FnApiRunner(default_environment=_PoolEnvironment(self._key)), options=options) as pipeline:
            build(pipeline)

    def _start_missing(self, job: str) -> None:
        for process in [process for process in self._processes if process.poll() is not None]:
            # Between jobs a worker holds no work, so its death (of memory, most likely) costs nothing.
            _log.info("process %d has died before %s; starting another", process.pid, job)
            self._processes.remove(process)
            with process:
                pass
        ignore_lost_connections()
        arguments = ["--debug"] if _log.isEnabledFor(logging.INFO) else []
        while len(self._processes) < self._count:
            self._processes.append(start_module("pipelines.worker", arguments, thread_variables(self._threads)))

    def _check(self, job: str) -> None:
        for number, process in enumerate(self._processes, start=1):
            if (code := process.poll()) is not None:
                raise WorkerDiedError(
                    f"worker {number} of {self._count} (process {process.pid}) {death(code)} in job {job}: "
                    f"{_advice(code, self._count)}. Then run again: finished work is taken over"
                )


def _advice(code: int, workers: int) -> str:
    if code == -signal.SIGKILL:
        return (
            f"most likely the machine ran out of memory; use fewer workers than {workers} (--workers), "
            "or a smaller embedding.tokens_per_batch"
        )
    if code < 0:
        return "a fault in a native library, or someone ended it; --workers 1 or another version of the library may help"
    return "see what it wrote with --debug"


class _PoolEnvironment(Environment):
    """Tells Beam whom to ask for workers: the handler below, with the pool's key."""

    def __init__(self, key: str) -> None:
        super().__init__(capabilities=python_sdk_capabilities())
        self._key = key

    def to_runner_api_parameter(self, context: Any) -> tuple[str, bytes]:
        return _URN, self._key.encode()


@WorkerHandler.register_environment(_URN, bytes)
class _PoolHandler(GrpcWorkerHandler):
    """One worker of one job. Beam makes the handler, and expects a worker to connect to `control_address`."""

    def __init__(self, key: bytes, state: Any, provision_info: Any, grpc_server: Any) -> None:
        super().__init__(state, provision_info, grpc_server)
        self._pool = _pools[key.decode()]

    def start_worker(self) -> None:
        self._pool.serve(self.worker_id, self.control_address)

    def stop_worker(self) -> None:
        """The worker's thread ends with its connection; the process stays for the next job."""
