import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.generations.conftest import FIRST, SECOND
from transforms.files import write_bytes
from transforms.generations import GenerationError, PublishConflictError, move_current, read_current


def test_nothing_is_published_in_a_new_or_absent_root(folder):
    assert read_current(folder) is None
    assert read_current(f"{folder}/absent") is None


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_first_and_following_publications(tmp_path, prefix):
    root = f"{prefix}{tmp_path}"
    move_current(root, None, FIRST)
    assert read_current(root) == read_current(str(tmp_path)) == FIRST
    move_current(root, FIRST, SECOND)
    assert read_current(root) == SECOND
    assert (tmp_path / "CURRENT").read_text() == f"{SECOND}\n"
    assert {path.name for path in tmp_path.iterdir()} == {"CURRENT", "CURRENT.lock"}


@pytest.mark.parametrize(("now", "parent"), [(None, FIRST), (FIRST, None), (FIRST, SECOND)])
def test_a_parent_that_is_not_current_is_a_conflict(tmp_path, now, parent):
    if now:
        move_current(str(tmp_path), None, now)
    with pytest.raises(PublishConflictError, match=f"CURRENT names {now}, this run started from {parent}.*run again"):
        move_current(str(tmp_path), parent, "20260103T000000Z-00000000")
    assert read_current(str(tmp_path)) == now


def test_after_a_conflict_the_lock_is_free(tmp_path):
    with pytest.raises(PublishConflictError):
        move_current(str(tmp_path), FIRST, SECOND)
    move_current(str(tmp_path), None, SECOND)
    assert read_current(str(tmp_path)) == SECOND


def test_a_root_elsewhere_is_refused():
    with pytest.raises(GenerationError, match="memory://root is not supported"):
        move_current("memory://root", None, FIRST)


BAD = [
    b"",
    b"\n",
    b"garbage",
    b"../../etc/passwd",
    FIRST.encode()[:-1],
    FIRST.encode() + b"0",
    FIRST.encode() * 2,
    b"\xff\xfe\0",
]


@pytest.mark.parametrize("content", [*BAD, f"{FIRST}\n{SECOND}\n".encode(), FIRST.upper().encode()])
def test_a_current_that_holds_no_id_is_an_error_for_readers_and_writers(folder, content, tmp_path):
    write_bytes(f"{folder}/CURRENT", content)
    with pytest.raises(GenerationError, match="not a generation id"):
        read_current(folder)
    (tmp_path / "CURRENT").write_bytes(content)
    with pytest.raises(GenerationError, match="not a generation id"):
        move_current(str(tmp_path), None, FIRST)
    assert (tmp_path / "CURRENT").read_bytes() == content


@given(data=st.binary(max_size=60))
def test_whatever_current_holds_it_is_an_id_or_an_error(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("root")
    (root / "CURRENT").write_bytes(data)
    with pytest.raises(GenerationError):
        read_current(str(root))


def test_readers_see_the_old_or_the_new_id_and_nothing_else(tmp_path):
    root, seen, stop = str(tmp_path), set(), threading.Event()
    move_current(root, None, FIRST)
    reading = threading.Event()

    def read():
        while not stop.is_set():
            seen.add(read_current(root))
            reading.set()

    reader = threading.Thread(target=read)
    reader.start()
    reading.wait(10)
    for _ in range(50):
        move_current(root, FIRST, SECOND)
        move_current(root, SECOND, FIRST)
    stop.set()
    reader.join()
    assert FIRST in seen
    assert seen <= {FIRST, SECOND}


# Both writers do as a run does: read the parent, wait until the other has read it too, publish.
RACER = """
import sys
from transforms.generations import PublishConflictError, move_current, read_current
root, mine = sys.argv[1], int(sys.argv[2])
for line in sys.stdin:
    number = int(line)
    parent = read_current(root)
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        move_current(root, parent, f"20260101T000000Z-{number:04x}{mine:04x}")
        print("won", flush=True)
    except PublishConflictError:
        print("lost", flush=True)
"""
ROUNDS = 60


def test_of_two_processes_with_one_parent_exactly_one_publishes(tmp_path):
    command = [sys.executable, "-c", RACER, str(tmp_path)]
    repository = Path(__file__).parents[2]
    racers = [
        subprocess.Popen(
            [*command, str(i)], cwd=repository, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        for i in range(2)
    ]

    def tell(text: str) -> None:
        for racer in racers:
            racer.stdin.write(f"{text}\n")
            racer.stdin.flush()

    try:
        for number in range(ROUNDS):
            tell(str(number))
            assert [racer.stdout.readline().strip() for racer in racers] == ["ready", "ready"]
            tell("go")
            outcomes = [racer.stdout.readline().strip() for racer in racers]
            assert sorted(outcomes) == ["lost", "won"]
            assert read_current(str(tmp_path)) == f"20260101T000000Z-{number:04x}{outcomes.index('won'):04x}"
    finally:
        for racer in racers:
            racer.stdin.close()
            racer.wait(20)
            racer.stdout.close()


def test_the_compare_and_the_set_are_one_step(tmp_path, monkeypatch):
    """The worst moment for a second run: the first has compared and not yet set. It waits, and then it has lost."""
    root, outcome = str(tmp_path), []
    third = "20260103T000000Z-33333333"
    move_current(root, None, FIRST)

    def publish_second():
        try:
            move_current(root, FIRST, third)
            outcome.append("published")
        except PublishConflictError:
            outcome.append("conflict")

    other = threading.Thread(target=publish_second)

    def slow_write(path, data):
        if threading.current_thread() is not other:
            other.start()
            other.join(0.2)
            assert outcome == []
        write_bytes(path, data)

    monkeypatch.setattr("transforms.generations.current.write_bytes", slow_write)
    move_current(root, FIRST, SECOND)
    other.join()
    assert outcome == ["conflict"]
    assert read_current(root) == SECOND


def test_a_writer_that_dies_does_not_block_the_next(tmp_path):
    code = (
        "import os, sys; from transforms.generations import current\n"
        "current.write_bytes = lambda *_: os._exit(9)\n"
        "current.move_current(sys.argv[1], None, '20260101T000000Z-00000000')"
    )
    died = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[2], check=False)
    assert died.returncode == 9
    assert (tmp_path / "CURRENT.lock").exists()
    move_current(str(tmp_path), None, FIRST)
    assert read_current(str(tmp_path)) == FIRST
