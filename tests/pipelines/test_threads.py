"""Threads of workers: an equal share of the cores that this process may use, unless the user says otherwise."""

import os
import subprocess
import sys

import joblib
import pytest

from pipelines.threads import thread_variables, threads_of_each


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name in thread_variables(1):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def test_workers_share_the_cores(monkeypatch):
    monkeypatch.setattr(joblib, "cpu_count", lambda: 8)
    assert [threads_of_each(workers) for workers in (1, 2, 3, 8, 16)] == [8, 4, 2, 1, 1]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_only_cores_that_this_process_may_use_count():
    core = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{core}}}); from pipelines.threads import *; print(threads_of_each(1))"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True) == "1\n"


@pytest.mark.parametrize(("setting", "threads"), [("3", 3), ("3,2", 3), ("", 8), ("0", 8), ("many", 8)])
def test_the_users_setting_wins(monkeypatch, setting, threads):
    monkeypatch.setattr(joblib, "cpu_count", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", setting)
    assert threads_of_each(1) == threads


def test_variables_that_the_user_has_set_stay(monkeypatch):
    monkeypatch.setenv("MKL_NUM_THREADS", "5")
    variables = thread_variables(2)
    assert "MKL_NUM_THREADS" not in variables
    assert variables["OMP_NUM_THREADS"] == variables["RAYON_NUM_THREADS"] == "2"
