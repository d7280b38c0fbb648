"""Collections on roots of a few small files, against rules that are written down here a second time."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from transforms.files import STOP_AT, CorruptFileError, file_ref, filesystem_of, write_bytes
from transforms.generations import (
    FORMAT,
    GenerationError,
    Manifest,
    Retention,
    find_garbage,
    freed_bytes,
    garbage,
    generation_id,
    list_generations,
    move_current,
    pin_generation,
    published_files,
    read_manifest,
    remove_garbage,
    roll_back,
    unpin_generation,
    verify_generation,
    write_manifest,
)

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
NOTHING_KEPT = Retention(0, timedelta(0), timedelta(0))


def age(path: Path, days: float) -> None:
    at = (NOW - timedelta(days=days)).timestamp()
    os.utime(path, (at, at))


def make(root: str, days: float, parent: str | None = None, shards: tuple[str, ...] = (), digest: str = "0" * 8) -> str:
    """A generation whose run started so many days before NOW, with two files and some shards; returns its id."""
    name = generation_id(NOW - timedelta(days=days), digest)
    own = [f"generations/{name}/index/index.faiss", f"generations/{name}/report.html"]
    shared = [f"vectors/abc/part-{shard}.parquet" for shard in shards]
    for path in [*own, *shared]:
        write_bytes(f"{root}/{path}", path.encode())
    write_manifest(
        root,
        Manifest(
            format=FORMAT,
            generation=name,
            parent=parent,
            created="2026-01-01T00:00:00+00:00",
            encoder={},
            corpus_digest="",
            configuration_digest="",
            configuration={},
            versions={},
            counts={},
            gates=[],
            files=published_files(root, [file_ref(f"{root}/{path}") for path in [*own, *shared]]),
        ).with_digest(),
    )
    if "://" not in root:
        for path in [*own, *shared, f"generations/{name}/manifest.json"]:
            age(Path(root, path), days)
    return name


def stored(root: str) -> set[str]:
    fs, inner = filesystem_of(root)
    fs.invalidate_cache()
    skipped = {"CURRENT", "CURRENT.lock"}
    return {path[len(inner) :].strip("/") for path in fs.find(inner)} - skipped


def files_of(root: str, *names: str) -> set[str]:
    listed = {file.path for name in names for file in read_manifest(root, name).files}
    return listed | {f"generations/{name}/manifest.json" for name in names}


def collect(root: str, retention: Retention = NOTHING_KEPT, now: datetime = NOW) -> set[str]:
    """Collect; returns what is stored then."""
    remove_garbage(root, find_garbage(root, retention, now))
    return stored(root)


def test_the_newest_the_young_the_current_its_parent_and_the_pinned_stay(root):
    names = [make(root, days, shards=(str(days),)) for days in (90, 80, 70, 60, 50, 13, 3, 2)]
    current = make(root, 40, parent=names[0], shards=("40",))
    move_current(root, None, current)
    pin_generation(root, names[2], "an audit")
    garbage = find_garbage(root, Retention(2, timedelta(days=14), timedelta(days=7)), NOW)
    assert garbage.kept == {
        current: "current",
        names[0]: "parent of the current one",
        names[2]: "pinned",
        names[5]: "younger than 14 days",
        names[6]: "one of the last 2",
        names[7]: "one of the last 2",
    }
    before = stored(root)
    sizes = {path: Path(root, path).stat().st_size for path in before}
    removed = remove_garbage(root, garbage)
    assert [(removal.kind, removal.name) for removal in removed if removal.kind == "generation"] == [
        ("generation", name) for name in sorted([names[1], names[3], names[4]])
    ]
    assert stored(root) == files_of(root, *garbage.kept) | {f"pins/{names[2]}.json"}
    gone = before - stored(root)
    assert {file.path for removal in removed for file in removal.files} == gone
    assert sum(removal.size for removal in removed) == sum(sizes[path] for path in gone)
    assert not Path(root, "generations", names[1]).exists()


def test_a_dry_look_removes_nothing(root):
    make(root, 90)
    move_current(root, None, make(root, 1))
    before = stored(root)
    assert find_garbage(root, NOTHING_KEPT, NOW).removals
    assert stored(root) == before


def test_vectors_that_no_kept_generation_uses_go_after_the_grace_period(root):
    make(root, 90, shards=("shared", "old"))
    current = make(root, 1, shards=("shared", "new"))
    move_current(root, None, current)
    for name, days in (("dead", 9), ("stored-by-a-run-that-died-last-night", 1)):
        write_bytes(f"{root}/vectors/abc/part-{name}.parquet", b"x")
        age(Path(root, f"vectors/abc/part-{name}.parquet"), days)
    write_bytes(f"{root}/vectors/another-encoder/part-1.parquet", b"x")
    age(Path(root, "vectors/another-encoder/part-1.parquet"), 50)
    write_bytes(f"{root}/vectors/NOTES.txt", b"somebody's")
    age(Path(root, "vectors/NOTES.txt"), 50)
    left = collect(root, Retention(1, timedelta(0), timedelta(days=7)))
    assert left == files_of(root, current) | {
        "vectors/abc/part-stored-by-a-run-that-died-last-night.parquet",
        "vectors/NOTES.txt",
    }
    assert not Path(root, "vectors/another-encoder").exists()


LEFTOVERS = {
    "generations/20260101T000000Z-00000000/index/index.faiss": True,  # no manifest: the run died
    "generations/20260101T000000Z-00000000/deep/er/file": True,
    "vectors/abc/.0123.partial": True,
    "vectors/abc/.0123.partial.4567.tmp": True,
    "pins/x.json.89ab.tmp": True,
    "CURRENT.0123.tmp": True,
    "work/0123456789abcdef/stages/corpus.json": True,
    "work/0123456789abcdef/generation/index/index.faiss": True,
    "work/lock": False,
    "generations/notes/README": False,  # no id: nobody knows whose it is
    "mine.tmp": False,
    "mine/1.partial": False,
    "last_run.json": False,
}


@pytest.mark.parametrize(("days", "removed"), [(8, True), (6, False)])
def test_leftovers_go_after_the_grace_period_and_what_is_not_ours_never(root, days, removed):
    current = make(root, 1)
    move_current(root, None, current)
    for path in LEFTOVERS:
        write_bytes(f"{root}/{path}", b"left")
        age(Path(root, path), days)
    left = collect(root, Retention(grace=timedelta(days=7)))
    assert left == files_of(root, current) | {path for path, ours in LEFTOVERS.items() if not (ours and removed)}


def test_a_folder_of_a_dead_run_is_as_young_as_its_youngest_file(root):
    move_current(root, None, make(root, 1))
    paths = [f"{place}/{name}" for place in ("generations/20260101T000000Z-00000000", "work/abc") for name in ("a", "b")]
    for path, days in zip(paths, (20, 1, 20, 1), strict=True):
        write_bytes(f"{root}/{path}", b"")
        age(Path(root, path), days)
    assert set(paths) <= collect(root, Retention())


def test_temporary_files_of_a_kept_generation_go_and_its_own_stay(root):
    current = make(root, 1)
    move_current(root, None, current)
    left = Path(root, "generations", current, "report.html.0123.tmp")
    left.write_bytes(b"")
    age(left, 30)
    assert collect(root, Retention()) == files_of(root, current)
    assert verify_generation(root, current).problems == ()


DAMAGED = {
    "truncated": lambda data: data[:-40],
    "changed": lambda data: data.replace(b"report", b"Report"),
    "newer": lambda data: data.replace(f'"format": {FORMAT}'.encode(), b'"format": 99'),
}


@pytest.mark.parametrize(
    ("whose", "damage"),
    [*((whose, damage) for whose in ("current", "parent", "pinned", "newest") for damage in DAMAGED), ("current", "missing")],
)
def test_nothing_goes_when_the_manifest_of_a_kept_generation_cannot_be_read(root, whose, damage):
    oldest = make(root, 100)
    parent = make(root, 90)
    pinned, newest = make(root, 80), make(root, 20)
    current = make(root, 70, parent=parent)
    move_current(root, None, current)
    pin_generation(root, pinned)
    chosen = {"current": current, "parent": parent, "pinned": pinned, "newest": newest}[whose]
    manifest = Path(root, "generations", chosen, "manifest.json")
    if damage == "missing":
        manifest.unlink()
    else:
        manifest.write_bytes(DAMAGED[damage](manifest.read_bytes()))
    before = stored(root)
    with pytest.raises((CorruptFileError, GenerationError)):
        collect(root, Retention(1, timedelta(0), timedelta(0)))
    assert stored(root) == before
    assert f"generations/{oldest}/manifest.json" in before


def test_a_damaged_pin_or_pointer_stops_the_collection(root):
    make(root, 100)
    move_current(root, None, make(root, 1))
    write_bytes(f"{root}/pins/x.json", b"{")
    before = stored(root)
    with pytest.raises(CorruptFileError):
        collect(root)
    Path(root, "pins/x.json").unlink()
    Path(root, "CURRENT").write_bytes(b"??")
    with pytest.raises(GenerationError):
        collect(root)
    assert stored(root) == before - {"pins/x.json"}


def test_a_damaged_manifest_of_a_generation_that_goes_anyway_does_not_stop_it(root):
    old = make(root, 100)
    Path(root, "generations", old, "manifest.json").write_bytes(b"{")
    current = make(root, 1)
    move_current(root, None, current)
    assert collect(root) == files_of(root, current)


def test_a_root_where_nothing_was_published_keeps_only_what_is_young(root):
    write_bytes(f"{root}/work/abc/stages/corpus.json", b"")
    write_bytes(f"{root}/vectors/abc/part-1.parquet", b"")
    write_bytes(f"{root}/vectors/abc/part-2.parquet", b"")
    for path in ("work/abc/stages/corpus.json", "vectors/abc/part-1.parquet"):
        age(Path(root, path), 8)
    age(Path(root, "vectors/abc/part-2.parquet"), 1)
    assert collect(root, Retention()) == {"vectors/abc/part-2.parquet"}


@given(
    ages=st.lists(st.integers(0, 40), min_size=1, max_size=7, unique=True),
    last=st.integers(0, 4),
    days=st.integers(0, 30),
    data=st.data(),
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_history_keeps_exactly_what_the_rules_say(root, ages, last, days, data):
    shutil.rmtree(root, ignore_errors=True)
    names, parent = {}, None
    for old in sorted(ages, reverse=True):
        shards = data.draw(st.sets(st.sampled_from("abcdef"), max_size=3))
        names[old] = (make(root, old, parent, tuple(sorted(shards))), parent, shards)
        parent = names[old][0]
    current_age = data.draw(st.sampled_from(sorted(names)))
    current, current_parent, _ = names[current_age]
    move_current(root, None, current)
    pinned = data.draw(st.sets(st.sampled_from([name for name, _, _ in names.values()])))
    for name in pinned:
        pin_generation(root, name)

    expected = {
        name
        for old, (name, _, _) in names.items()
        if name in {current, current_parent} | pinned or old < days or sum(other < old for other in names) < last
    }
    wanted = files_of(root, *expected) | {f"pins/{name}.json" for name in pinned}
    assert collect(root, Retention(last, timedelta(days=days), timedelta(0))) == wanted
    assert list_generations(root) == sorted(expected)
    assert all(verify_generation(root, name).problems == () for name in expected)
    # A second collection finds nothing more.
    assert find_garbage(root, Retention(last, timedelta(days=days), timedelta(0)), NOW).removals == ()


def test_other_file_systems(folder):
    old, current = make(folder, 90, shards=("shared", "old")), make(folder, 1, shards=("shared",))
    write_bytes(f"{folder}/CURRENT", f"{current}\n".encode())
    # Files of memory:// were all written just now.
    now = datetime.now(UTC) + timedelta(days=8)
    assert find_garbage(folder, Retention(1, timedelta(0), timedelta(days=9)), now).removals[0].name == old
    assert collect(folder, Retention(1, timedelta(0), timedelta(days=7)), now) == files_of(folder, current)


class Crash(BaseException):
    """As sudden as a kill: nothing catches it."""


@pytest.fixture
def crashing(monkeypatch) -> Callable[[int], list[str]]:
    """Let the n-th change of the file system be the last one; returns the changes that were made."""
    removals, writes = garbage._remove_file, garbage.write_bytes

    def arm(limit: int) -> list[str]:
        done: list[str] = []

        def counted(real):
            def change(*arguments):
                if len(done) == limit:
                    raise Crash
                done.append(str(arguments[-1] if isinstance(arguments[-1], str) else arguments[0]))
                real(*arguments)

            return change

        monkeypatch.setattr(garbage, "_remove_file", counted(removals))
        monkeypatch.setattr(garbage, "write_bytes", counted(writes))
        return done

    return arm


def history(root: str) -> set[str]:
    """Two generations to remove and one to keep; returns what a whole collection leaves."""
    make(root, 90, shards=("shared", "1"))
    make(root, 80, shards=("shared", "2"))
    current = make(root, 1, shards=("shared",))
    move_current(root, None, current)
    write_bytes(f"{root}/work/abc/stages/corpus.json", b"")
    age(Path(root, "work/abc/stages/corpus.json"), 20)
    return files_of(root, current)


def test_a_crash_at_any_point_leaves_whole_generations_and_the_next_collection_ends_alike(tmp_path, crashing):
    points = 0
    while True:
        root = str(tmp_path / str(points))
        wanted = history(root)
        crashing(points)
        try:
            left = collect(root)
        except Crash:
            pass
        else:
            assert left == wanted
            break
        for name in list_generations(root):
            mark = f"{root}/generations/{name}/{garbage.REMOVAL_MARK} is not in the manifest"
            assert set(verify_generation(root, name).problems) <= {mark}
        crashing(1000)
        # The files that a dead collection left of a generation need no grace period, all else is old enough.
        assert collect(root, Retention(1, timedelta(0), timedelta(days=7)), NOW) == wanted
        points += 1
    assert points == 2 * (1 + 3 + 1) + 2 + 1  # of each generation mark, files and mark again; two shards; work


def test_a_crash_between_mark_and_manifest_of_a_generation_that_then_stays(root, crashing):
    old, current = make(root, 90), make(root, 1)
    move_current(root, None, current)
    crashing(1)
    with pytest.raises(Crash):
        collect(root)
    crashing(1000)
    with pytest.raises(GenerationError, match="marked for removal"):
        pin_generation(root, old)
    collect(root, Retention(last=2))
    assert verify_generation(root, old).problems == ()
    pin_generation(root, old)
    assert collect(root) == files_of(root, old, current) | {f"pins/{old}.json"}


def test_a_generation_that_is_pinned_or_made_current_meanwhile_stays_with_its_vectors(root):
    first, second = make(root, 90, shards=("1",)), make(root, 80, shards=("2",))
    current = make(root, 1)
    move_current(root, None, current)
    found = find_garbage(root, NOTHING_KEPT, NOW)
    assert [removal.name for removal in found.removals if removal.kind == "generation"] == [first, second]
    pin_generation(root, first)
    roll_back(root, second)
    assert remove_garbage(root, found) == []
    assert stored(root) == files_of(root, first, second, current) | {f"pins/{first}.json"}
    unpin_generation(root, first)
    assert collect(root) == files_of(root, second)


def test_a_collection_whose_lease_was_taken_over_stops_before_it_removes_anything_more(root):
    make(root, 90)
    make(root, 80)
    move_current(root, None, make(root, 1))
    calls = []

    def lost():
        calls.append(None)
        if len(calls) == 2:
            raise RuntimeError("lost")

    found = find_garbage(root, NOTHING_KEPT, NOW)
    with pytest.raises(RuntimeError, match="lost"):
        remove_garbage(root, found, lost)
    assert len(list_generations(root)) == 2


def test_a_file_that_another_path_keeps_frees_nothing(root):
    """A run hard-links what it takes over from its parent."""
    first, second, third = make(root, 90), make(root, 80), make(root, 1)
    move_current(root, None, third)

    def link(source, target):
        Path(root, "generations", target, "linked").hardlink_to(Path(root, "generations", source, "linked"))

    for name, size in ((first, 1000), (third, 300)):
        Path(root, "generations", name, "linked").write_bytes(b"x" * size)
    link(first, second)
    Path(root, "generations", second, "kept").hardlink_to(Path(root, "generations", third, "linked"))
    removals = find_garbage(root, NOTHING_KEPT, NOW).removals
    assert [removal.name for removal in removals] == [first, second]
    before = sum({path.stat().st_ino: path.stat().st_size for path in Path(root).rglob("*") if path.is_file()}.values())
    freed = freed_bytes(remove_garbage(root, find_garbage(root, NOTHING_KEPT, NOW)))
    after = sum({path.stat().st_ino: path.stat().st_size for path in Path(root).rglob("*") if path.is_file()}.values())
    assert freed == before - after
    assert Path(root, "generations", third, "linked").stat().st_nlink == 1


@pytest.mark.parametrize("values", [(-1, 1, 1), (1, -1, 1), (1, 1, -1)])
def test_negative_retention_is_refused(values):
    with pytest.raises(ValueError, match="negative"):
        Retention(values[0], timedelta(days=values[1]), timedelta(days=values[2]))


COLLECT = """
import sys
from tests.generations.test_garbage import collect
collect(sys.argv[1])
"""


def test_a_process_killed_between_generations_and_shards(root, tmp_path):
    wanted = history(root)
    signal_file = tmp_path / "reached"
    environment = {**os.environ, STOP_AT: f"mid_gc={signal_file}"}
    process = subprocess.Popen([sys.executable, "-c", COLLECT, root], cwd=Path(__file__).parents[2], env=environment)
    try:
        while not signal_file.exists():
            assert process.poll() is None
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    (current,) = list_generations(root)
    assert verify_generation(root, current).problems == ()
    assert "vectors/abc/part-1.parquet" in stored(root)
    assert collect(root) == wanted


def test_a_root_on_s3(s3_bucket):
    """Pins, rollback and a collection by the times that S3 gives."""
    root = f"{s3_bucket}/root"
    first, second, third = (
        make(root, 90, None, ("shared", "1")),
        make(root, 80, None, ("shared",)),
        make(root, 70, None, ("3",)),
    )
    move_current(root, None, third)
    assert roll_back(root, second).after == second
    pin_generation(root, first)
    left = Retention(0, timedelta(0), timedelta(days=7))
    now = datetime.now(UTC)
    # Everything was written a moment ago: the generation goes, what only it named has its grace period.
    assert collect(root, left, now) == files_of(root, first, second) | {f"pins/{first}.json", "vectors/abc/part-3.parquet"}
    unpin_generation(root, first)
    write_bytes(f"{root}/work/abc/stages/corpus.json", b"")
    write_bytes(f"{root}/vectors/abc/.1.partial", b"")
    assert collect(root, left, now + timedelta(days=8)) == files_of(root, second)
    assert verify_generation(root, second).problems == ()
