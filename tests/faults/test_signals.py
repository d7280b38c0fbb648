"""SIGTERM and SIGINT at named points of a run: the agreed exit code, one line that is true, and nothing half written."""

import json
import signal
from pathlib import Path

import pytest

from tests.faults.commands import Child, run_here
from tests.faults.conftest import Night
from tests.faults.readers import read_whole, results
from transforms.generations import read_current

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("barrier", "number"),
    [
        ("after_plan", signal.SIGTERM),
        ("before_record_neighbors", signal.SIGINT),
        pytest.param("after_manifest", signal.SIGTERM, marks=pytest.mark.long),
        pytest.param("before_pointer", signal.SIGINT, marks=pytest.mark.long),
        pytest.param("before_pointer", signal.SIGTERM, marks=pytest.mark.long),
    ],
)
def test_a_signal_before_the_pointer_publishes_nothing(nights: dict[str, Night], tmp_path: Path, barrier, number):
    night = nights["update"]
    root = night.root(tmp_path)
    old = read_current(str(root))
    child = Child(night.arguments(root), tmp_path / "stopped", barrier)
    child.wait_until_reached()
    assert child.send(number) == 128 + number
    assert (child.out, child.err) == ("", f"corpusbeam: stopped by {number.name}; nothing was published\n")
    assert read_whole(root, night.old).id == old
    assert not [path for path in root.rglob("*") if path.name.endswith((".tmp", ".partial"))]
    assert run_here(night.arguments(root)).code == 0
    assert results(read_whole(root, night.new)) == night.results


def test_a_signal_inside_a_bundle_is_no_error_of_beam(nights: dict[str, Night], tmp_path: Path):
    night = nights["first"]
    root = night.root(tmp_path)
    child = Child(night.arguments(root), tmp_path / "stopped", "mid_shard")
    child.wait_until_reached()
    assert child.send(signal.SIGTERM) == 128 + signal.SIGTERM
    assert (child.out, child.err) == ("", "corpusbeam: stopped by SIGTERM; nothing was published\n")
    assert read_current(str(root)) is None
    assert not [path for path in root.rglob("*") if path.name.endswith((".tmp", ".partial"))]
    assert run_here(night.arguments(root)).code == 0
    assert results(read_whole(root, night.new)) == night.results


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)], ids=lambda number: number.name
)
def test_a_signal_after_the_pointer_says_that_the_generation_is_published(nights: dict[str, Night], tmp_path: Path, number):
    night = nights["update"]
    root = night.root(tmp_path)
    child = Child(night.arguments(root), tmp_path / "stopped", "after_pointer")
    child.wait_until_reached()
    assert child.send(number) == 128 + number
    generation = read_whole(root, night.new)
    assert (child.out, child.err) == (
        "",
        f"corpusbeam: stopped by {number.name}; generation {generation.id} was published before\n",
    )
    assert results(generation) == night.results
    last = json.loads((root / "last_run.json").read_text())
    assert (last["outcome"], last["exit_code"], last["generation"]) == ("published", 128 + number, generation.id)
