"""Worker processes under the runner: who does the work, what a death says, how errors come through, how many threads."""

import os
import signal
import sys
from dataclasses import dataclass

import apache_beam as beam
import psutil
import pytest

from pipelines.pool import WorkerDiedError
from pipelines.runner import Runner, RunnerError, RunnerOptions
from pipelines.threads import thread_variables, threads_of_each
from transforms.corpus import InputError

WORKERS = 2
TASKS = list(range(6))


@dataclass(frozen=True)
class Seen:
    """What a task saw: its number, its process, and the largest number of threads of each library's pool there."""

    task: int
    process: int
    pools: dict[str, int]


@dataclass
class See(beam.PTransform):
    """int → Seen, after `act` on the task, which may come to a bad end."""

    act: str = "nothing"

    def expand(self, tasks):
        return tasks | beam.Reshuffle() | beam.Map(_see, self.act).with_output_types(Seen)


def _see(task: int, act: str) -> Seen:
    pools: dict[str, int] = {}
    if act == "kill" and task == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if act == "exit" and task == 3:
        os._exit(0)
    if act == "raise" and task == 3:
        raise InputError(f"task {task} is not wanted: 'x'")
    if act == "threads":
        pools = _pools()
    return Seen(task, os.getpid(), pools)


def _pools() -> dict[str, int]:
    import faiss  # noqa: F401
    import numba
    import pyarrow
    import scipy.linalg  # noqa: F401
    import torch
    from threadpoolctl import threadpool_info

    pools = {"torch": torch.get_num_threads(), "numba": numba.get_num_threads(), "arrow": pyarrow.cpu_count()}
    pools |= {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}
    pools["tokenizers"] = int(os.environ["RAYON_NUM_THREADS"])
    return pools


@pytest.fixture(scope="module")
def runner():
    with pytest.MonkeyPatch.context() as patch:
        for name in thread_variables(1):
            patch.delenv(name, raising=False)
        with Runner(RunnerOptions(workers=WORKERS)) as runner:
            yield runner


@pytest.fixture
def run(runner, tmp_path):
    """Run See(act) on the tasks and return what was seen, in order of the tasks."""

    def run(act: str = "nothing", tasks=TASKS) -> list[Seen]:
        records = runner.run(See(act), tasks, Seen, str(tmp_path / "records.json"))
        return sorted(records, key=lambda seen: seen.task)

    return run


def test_all_workers_work_and_stay_for_the_next_job(run):
    first, second = run(), run()
    assert [seen.task for seen in first] == [seen.task for seen in second] == TASKS
    processes = {seen.process for seen in first}
    assert len(processes) == WORKERS
    assert os.getpid() not in processes
    assert processes == {seen.process for seen in second}


@dataclass(frozen=True)
class Costly:
    """A task that says what it costs."""

    number: int
    cost: int


def test_a_dear_task_has_a_worker_for_itself(runner, tmp_path):
    @dataclass
    class SeeWhere(beam.PTransform):
        """Costly → Seen, without another shuffle."""

        def expand(self, tasks):
            return tasks | beam.Map(lambda task: Seen(task.number, os.getpid(), {})).with_output_types(Seen)

    tasks = [Costly(number, 9 if number == 4 else 1) for number in range(8)]
    seen = runner.run(SeeWhere(), tasks, Seen, str(tmp_path / "records.json"))
    processes = {one.task: one.process for one in seen}
    alone = processes.pop(4)
    assert len(processes) == 7
    assert len(set(processes.values()) | {alone}) == 1 + len(set(processes.values())) == 2


def test_one_task_is_done_in_this_process_with_all_threads(run, runner):
    assert run(tasks=[7]) == [Seen(7, os.getpid(), {})]
    assert run(tasks=[]) == []
    assert runner.threads(1) == threads_of_each(1)


def test_threads_of_the_workers_do_not_exceed_the_cores(run, runner):
    assert runner.threads(len(TASKS)) == threads_of_each(WORKERS)
    for seen in run("threads"):
        assert len(seen.pools) > 4
        assert max(seen.pools.values()) <= threads_of_each(WORKERS), seen.pools


@pytest.mark.parametrize(
    ("act", "end", "advice"),
    [("kill", "was killed by SIGKILL", "fewer workers"), ("exit", "ended with exit code 0", "--debug")],
)
def test_a_dead_worker_ends_the_job_and_the_next_job_has_new_ones(run, act, end, advice):
    processes = {seen.process for seen in run()}
    with pytest.raises(WorkerDiedError, match=rf"worker \d of 2 \(process \d+\) {end} in job See: .*{advice}") as raised:
        run(act)
    assert any(f"(process {process})" in str(raised.value) for process in processes)
    assert not any(psutil.pid_exists(process) for process in processes)
    assert [seen.task for seen in run()] == TASKS


def test_a_worker_that_dies_between_jobs_is_replaced(run):
    victim, kept = sorted({seen.process for seen in run()})
    os.kill(victim, signal.SIGKILL)
    # The pool asks for processes that have ended: one is a zombie before its last thread has.
    os.waitid(os.P_PID, victim, os.WEXITED | os.WNOWAIT)
    processes = {seen.process for seen in run()}
    assert kept in processes
    assert victim not in processes
    assert len(processes) == WORKERS


def test_an_error_of_a_transform_comes_as_it_was_raised(run, capfd):
    with pytest.raises(InputError, match=r"^task 3 is not wanted: 'x'") as raised:
        run("raise")
    assert type(raised.value) is InputError
    assert "Traceback" not in capfd.readouterr().err


def test_no_worker_is_left(tmp_path):
    with Runner(RunnerOptions(workers=WORKERS)) as runner:
        processes = {seen.process for seen in runner.run(See(), TASKS, Seen, str(tmp_path / "records.json"))}
        assert all(psutil.pid_exists(process) for process in processes)
    assert not any(psutil.pid_exists(process) for process in processes)


def test_a_python_with_a_space_in_its_path_can_have_workers(tmp_path, monkeypatch):
    # Beam's own workers are started through a shell that splits the path.
    python = tmp_path / "a folder" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with Runner(RunnerOptions(workers=WORKERS)) as runner:
        assert len(runner.run(See(), TASKS, Seen, str(tmp_path / "records.json"))) == len(TASKS)


def test_workers_that_cannot_start_end_the_job(tmp_path, monkeypatch):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 7\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with Runner(RunnerOptions(workers=WORKERS)) as runner, pytest.raises(WorkerDiedError, match="ended with exit code 7"):
        runner.run(See(), TASKS, Seen, str(tmp_path / "records.json"))


def test_beams_own_worker_processes_are_refused():
    with pytest.raises(RunnerError, match="--workers"):
        Runner(RunnerOptions(beam_options=("--direct_running_mode=multi_processing",)))
