"""SIGKILL at every named point of a run: readers see the old or the new generation whole, and the next run mends everything."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.commands import PART, SECONDS, Child, has_verb, run_here
from tests.faults.conftest import Night
from tests.faults.readers import keys, orphans, read_whole, results, stored_vectors
from transforms import generations
from transforms.files import STOP_AT
from transforms.generations import read_current

pytestmark = pytest.mark.slow

# In the order of a run. In the first three texts are left to embed.
BARRIERS = (
    "holding_lease",
    "after_plan",
    "mid_shard",
    "before_record_embed",
    "after_embed",
    "after_index",
    "before_record_neighbors",
    "after_topics",
    "after_report",
    "after_manifest",
    "before_pointer",
    "after_pointer",
)
GC = ("gc", "--keep-last", "1", "--keep-days", "0", "--grace-days", "0")


# Left out by default: what they show is between points that are not.
_LONG = (
    "after_plan",
    "before_record_embed",
    "after_embed",
    "before_record_neighbors",
    "after_topics",
    "after_report",
    "after_manifest",
)


@pytest.mark.parametrize(
    "barrier", [pytest.param(name, marks=pytest.mark.long) if name in _LONG else name for name in BARRIERS]
)
def test_a_kill_at_any_point_loses_nothing(night: Night, barrier: str, tmp_path: Path):
    if barrier == "holding_lease" and not hasattr(generations, "hold_lease"):
        pytest.skip("there is no lease yet")
    root = night.root(tmp_path)
    old = read_current(str(root))
    Child(night.arguments(root), tmp_path / "killed", barrier).kill()
    assert_published(root, night, old, new=barrier == "after_pointer")
    assert not list(root.rglob("CURRENT*.tmp"))
    stored = stored_vectors(root)

    ran = run_here(night.arguments(root))
    assert ran.code == 0, ran.err
    assert ran.json["published"] == (barrier != "after_pointer")
    generation = read_whole(root, night.new)
    assert results(generation) == night.results
    assert generation.manifest.parent == old
    assert not [path for path in root.glob("work/*") if path.is_dir()], "work of the dead run is left"

    # The store is the truth: the next run embeds exactly what is not in it.
    missing = keys(generation) - set(stored)
    embed = ran.json["stages"].get("embed", {"resumed": True})
    assert (0 if embed["resumed"] else embed["texts_embedded"]) == len(missing)
    assert bool(missing) == (barrier in BARRIERS[:3])
    collect(root)
    assert results(read_whole(root, night.new)) == night.results


def test_what_a_run_had_stored_before_it_died_is_not_embedded_again(nights: dict[str, Night], tmp_path: Path):
    """Dying with its third shard, it loses that shard at most."""
    night = nights["first"]
    root = night.root(tmp_path)
    Child(night.arguments(root), tmp_path / "killed", "mid_shard:3").kill()
    stored = stored_vectors(root)
    assert len(stored) >= 2
    ran = run_here(night.arguments(root))
    assert ran.code == 0, ran.err
    texts = len(keys(read_whole(root, night.new)))
    assert ran.json["stages"]["embed"]["texts_embedded"] == texts - len(stored)
    assert texts > 3 * PART, "the corpus has too few texts for a third shard in the middle of the work"


@pytest.mark.long
def test_deaths_one_after_another_end_like_none(nights: dict[str, Night], tmp_path: Path):
    """A run that died is picked up by one that dies later, and so on."""
    night = nights["update"]
    root = night.root(tmp_path)
    old = read_current(str(root))
    for number, barrier in enumerate(("mid_shard", "after_index", "after_manifest", "before_pointer")):
        Child(night.arguments(root), tmp_path / f"killed{number}", barrier).kill()
        assert_published(root, night, old, new=False)
    assert run_here(night.arguments(root)).code == 0
    assert results(read_whole(root, night.new)) == night.results
    collect(root)


def test_a_kill_in_the_middle_of_gc_loses_nothing(nights: dict[str, Night], tmp_path: Path):
    if not has_verb("gc"):
        pytest.skip("corpusbeam has no verb gc yet")
    night = nights["update"]
    root = night.root(tmp_path)
    old = read_current(str(root))
    # Something to collect: the orphaned generation of a dead run.
    Child(night.arguments(root), tmp_path / "dead", "before_pointer").kill()
    assert run_here(night.arguments(root)).code == 0
    assert len(list(root.glob("generations/*"))) == 3
    Child([*GC, "--root", str(root)], tmp_path / "killed", "mid_gc").kill()
    assert results(read_whole(root, night.new)) == night.results
    collect(root)
    assert results(read_whole(root, night.new)) == night.results
    # The parent stays, to be rolled back to; the dead run's generation has gone.
    assert {path.name for path in root.glob("generations/*")} == {old, read_current(str(root))}
    ran = run_here(night.arguments(root))
    assert (ran.code, ran.json["published"]) == (0, False)


def test_a_command_in_an_interpreter_of_its_own_is_killed_alike(nights: dict[str, Night], tmp_path: Path):
    """The other children are forked from a server that has the libraries; this is the command as a shell starts it."""
    night = nights["first"]
    root, reached = night.root(tmp_path), tmp_path / "reached"
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    run = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", *night.arguments(root)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, STOP_AT: f"before_pointer={reached}"},
    )
    try:
        deadline = time.monotonic() + SECONDS
        while not reached.exists():
            assert run.poll() is None, run.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        run.kill()
        run.communicate()
    assert run.returncode == -signal.SIGKILL
    assert_published(root, night, None, new=False)
    assert run_here(night.arguments(root)).code == 0
    assert results(read_whole(root, night.new)) == night.results


def collect(root: Path) -> None:
    """Collect garbage, after which no file is left that belongs to no generation."""
    if has_verb("gc"):
        ran = run_here([*GC, "--root", str(root)])
        assert ran.code == 0, ran.err
        assert orphans(root) == []


def assert_published(root: Path, night: Night, old: str | None, *, new: bool) -> None:
    """Readers see the new generation whole when `new`, otherwise what they saw before."""
    if new:
        assert read_whole(root, night.new).id != old
        assert results(read_whole(root, night.new)) == night.results
        return
    assert read_current(str(root)) == old
    if night.old is not None:
        assert read_whole(root, night.old).id == old
