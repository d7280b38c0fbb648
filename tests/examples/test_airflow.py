"""The DAG, executed with an Airflow of a few lines: Airflow itself is far too large to install for one file."""

import ast
import os
import signal
import subprocess
import sys
import time
import types
from datetime import timedelta
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "examples" / "airflow_dag.py"


class AirflowException(Exception):
    pass


class AirflowFailException(AirflowException):
    pass


class AirflowSkipException(AirflowException):
    pass


class FakeDag:
    def __init__(self, **arguments):
        self.arguments, self.tasks = arguments, []

    def __enter__(self):
        FakeDag.current = self
        return self

    def __exit__(self, *_):
        FakeDag.current = None


def fake_operator(*, task_id: str, python_callable):
    FakeDag.current.tasks.append((task_id, python_callable))


@pytest.fixture
def variables() -> dict[str, str]:
    return {}


@pytest.fixture
def dag(monkeypatch, variables):
    class Variable:
        @staticmethod
        def get(name, default_var=None):
            return variables.get(name, default_var)

    contents = {
        "airflow": {"DAG": FakeDag},
        "airflow.exceptions": {kind.__name__: kind for kind in (AirflowException, AirflowFailException, AirflowSkipException)},
        "airflow.models": {"Variable": Variable},
        "airflow.operators": {},
        "airflow.operators.python": {"PythonOperator": fake_operator},
    }
    for name, members in contents.items():
        module = types.ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    namespace = {"__name__": "airflow_dag"}
    exec(compile(ast.parse(FILE.read_text(), str(FILE)), str(FILE), "exec"), namespace)
    return namespace["dag"]


def command(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_one_run_at_a_time_with_retries_and_no_backlog(dag):
    arguments = dag.arguments
    assert (arguments["max_active_runs"], arguments["catchup"], arguments["schedule"]) == (1, False, "15 2 * * *")
    assert arguments["default_args"]["retries"] >= 1
    assert arguments["default_args"]["execution_timeout"] >= timedelta(hours=1)
    assert [task_id for task_id, _ in dag.tasks] == ["reindex"]


@pytest.mark.parametrize(
    ("code", "raises"),
    [
        (0, None),
        (1, AirflowException),
        (2, AirflowFailException),
        (3, AirflowFailException),
        (4, AirflowSkipException),
        (143, AirflowException),
    ],
)
def test_each_exit_code_is_what_the_scheduler_must_know(dag, variables, tmp_path, code, raises):
    variables["corpusbeam_command"] = command(tmp_path / "run", f'echo "$@" > {tmp_path}/arguments; exit {code}')
    variables["corpusbeam_config"] = "/etc/corpus.yaml"
    ((_, run),) = dag.tasks
    if raises is None:
        run()
    else:
        with pytest.raises(AirflowException) as caught:
            run()
        assert type(caught.value) is raises
    assert (tmp_path / "arguments").read_text().split() == ["reindex", "--config", "/etc/corpus.yaml", "--format", "json"]


def test_a_run_that_is_killed_is_retried(dag, variables, tmp_path):
    variables["corpusbeam_command"] = command(tmp_path / "run", "kill -9 $$")
    with pytest.raises(AirflowException) as caught:
        dag.tasks[0][1]()
    assert type(caught.value) is AirflowException


def test_a_stopped_task_stops_its_run(dag, variables, tmp_path, monkeypatch):
    variables["corpusbeam_command"] = command(
        tmp_path / "run",
        f"trap 'touch {tmp_path}/stopped; exit 143' TERM; touch {tmp_path}/started; while :; do sleep 0.05; done",
    )
    real = subprocess.Popen.wait
    calls = []

    def wait(self, timeout=None):
        calls.append(self)
        if len(calls) == 1:
            while not (tmp_path / "started").exists():
                time.sleep(0.01)
            # What Airflow does when a task runs out of time or is cleared.
            os.kill(os.getpid(), signal.SIGUSR1)
        return real(self, timeout)

    def out_of_time(*_):
        raise TimeoutError("out of time")

    before = signal.signal(signal.SIGUSR1, out_of_time)
    try:
        monkeypatch.setattr(subprocess.Popen, "wait", wait)
        with pytest.raises(TimeoutError):
            dag.tasks[0][1]()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (tmp_path / "stopped").exists()
    assert calls[-1].returncode == 143
