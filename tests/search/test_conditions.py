"""Conditions of several threads: who waits for what, and what stays."""

import threading
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from transforms.corpus import content_keys
from transforms.search.allowed import Allowed
from transforms.search.conditions import Conditions


@pytest.fixture
def conditions(monkeypatch):
    """Conditions whose computing a test decides on; `calls` are those that were computed."""
    calls, of = [], {}

    def find(generation, where):
        calls.append(where.text)
        return of.get(where.text, lambda: SimpleNamespace(nbytes=1))()

    monkeypatch.setattr("transforms.search.conditions.find_allowed", find)
    return SimpleNamespace(of=of, calls=calls, fitting=Conditions(None).fitting)


def test_nobody_waits_for_the_condition_of_another(conditions):
    known, go = conditions.fitting("a = 1"), threading.Event()
    conditions.of["b = 1"] = lambda: go.wait(10) and SimpleNamespace(nbytes=1)
    found = []
    waiting = [threading.Thread(target=lambda: found.append(conditions.fitting("b = 1"))) for _ in range(3)]
    for thread in waiting:
        thread.start()
    other = threading.Thread(target=lambda: found.append(conditions.fitting("a = 1")), daemon=True)
    other.start()
    other.join(5)
    assert found == [known]
    go.set()
    for thread in waiting:
        thread.join()
    assert found[1] is found[2] is found[3]
    assert conditions.calls == ["a = 1", "b = 1"]


def test_what_failed_is_tried_again(conditions):
    def fail():
        raise OSError("away")

    conditions.of["a = 1"] = fail
    with pytest.raises(OSError, match="away"):
        conditions.fitting("a = 1")
    del conditions.of["a = 1"]
    assert conditions.fitting("a = 1").nbytes == 1


def test_only_so_many_stay_and_so_many_bytes(conditions):
    for i in range(9):
        conditions.fitting(f"a = {i}")
    conditions.fitting("a = 8")
    conditions.fitting("a = 0")
    assert conditions.calls == [*(f"a = {i}" for i in range(9)), "a = 0"]
    for name in ("b = 1", "b = 2"):
        conditions.of[name] = lambda: SimpleNamespace(nbytes=300 << 20)
        conditions.fitting(name)
    conditions.fitting("b = 2")
    conditions.fitting("b = 1")
    assert conditions.calls[-3:] == ["b = 1", "b = 2", "b = 1"]


def test_what_a_condition_leaves_counts_with_all_that_it_is_in_memory():
    doc_ids = [f"d{i}" for i in range(1000)]
    columns = [pa.chunked_array([column]) for column in (pa.array(doc_ids), content_keys(doc_ids))]
    allowed = Allowed(columns[0], np.zeros(1000, np.int32), columns[1])
    assert len(allowed.only.ids) == 1000
    assert allowed.nbytes == columns[0].nbytes + 1000 * (4 + 8) + allowed.only.nbytes
