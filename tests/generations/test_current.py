import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.generations.conftest import FIRST, SECOND
from transforms.files import UnconditionalError, write_bytes
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


def test_a_root_without_conditional_writes_is_refused_unless_that_is_allowed(folder):
    if not folder.startswith("memory"):
        pytest.skip("local")
    with pytest.raises(UnconditionalError, match=r"memory://.*no conditional writes"):
        move_current(folder, None, FIRST)
    assert read_current(folder) is None
    move_current(folder, None, FIRST, unconditional=True)
    move_current(folder, FIRST, SECOND, unconditional=True)
    assert read_current(folder) == SECOND
    with pytest.raises(PublishConflictError):
        move_current(folder, FIRST, SECOND, unconditional=True)


def test_on_s3_the_pointer_moves_from_its_parent_only(s3_bucket):
    root = f"{s3_bucket}/root"
    assert read_current(root) is None
    with pytest.raises(PublishConflictError, match=f"CURRENT names None, this run started from {FIRST}"):
        move_current(root, FIRST, SECOND)
    move_current(root, None, FIRST)
    with pytest.raises(PublishConflictError):
        move_current(root, None, SECOND)
    move_current(root, FIRST, SECOND)
    assert read_current(root) == SECOND


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


@pytest.fixture(params=["local", "s3"])
def racing_root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "local" else f"{request.getfixturevalue('s3_bucket')}/root"


def test_of_two_processes_with_one_parent_exactly_one_publishes(racing_root):
    command = [sys.executable, "-c", RACER, racing_root]
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
            assert read_current(racing_root) == f"20260101T000000Z-{number:04x}{outcomes.index('won'):04x}"
    finally:
        for racer in racers:
            racer.stdin.close()
            racer.wait(20)
            racer.stdout.close()


def test_a_writer_that_was_overtaken_after_its_look_is_refused(tmp_path, monkeypatch):
    """Both have seen the parent; the other writes first. The write itself then refuses."""
    root, third = str(tmp_path), "20260103T000000Z-33333333"
    move_current(root, None, FIRST)

    def overtake(point):
        monkeypatch.undo()
        assert point == "before_pointer"
        move_current(root, FIRST, third)

    monkeypatch.setattr("transforms.generations.current.reached", overtake)
    with pytest.raises(PublishConflictError, match=f"CURRENT names {third}, this run started from {FIRST}"):
        move_current(root, FIRST, SECOND)
    assert read_current(root) == third
