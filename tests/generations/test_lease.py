"""The lease, held by real processes that are killed, stopped and continued."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.generations.conftest import FIRST, SECOND
from transforms.files import ConflictError, UnconditionalError, delete_if, read_versioned, write_bytes, write_if
from transforms.generations import LeaseLostError, PublishConflictError, RootInUseError, hold_lease, move_current, read_current
from transforms.generations.lease import this_process

# Holds the lease, then does what it is told, line by line: publishes from a parent, or ends.
HOLD = """
import sys
from transforms.generations import hold_lease, move_current
root, seconds = sys.argv[1], float(sys.argv[2])
with hold_lease(root, seconds) as lease:
    print("held", flush=True)
    for line in sys.stdin:
        parent, generation = line.split()
        lease.check()
        move_current(root, None if parent == "none" else parent, generation)
        print("published", flush=True)
"""


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A root, on a local disk and on S3."""
    return str(tmp_path / "root") if request.param == "local" else f"{request.getfixturevalue('s3_bucket')}/root"


@pytest.fixture
def holder() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts processes that hold the lease on a root; they are gone after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(root: str, seconds: float = 600) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, root, str(seconds)],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def stored(root: str) -> dict | None:
    found = read_versioned(f"{root}/LEASE")
    return None if found is None else json.loads(found.data)


def rewrite(root: str, **changes: str) -> None:
    """Change fields of the lease or of its holder, as another machine or time would have written them."""
    found = read_versioned(f"{root}/LEASE")
    values = json.loads(found.data)
    for name, value in changes.items():
        (values if name in values else values["holder"])[name] = value
    write_if(f"{root}/LEASE", json.dumps(values).encode(), found.version)


PAST = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()


def test_a_lease_names_its_holder_and_is_gone_afterwards(place):
    with hold_lease(place, 90) as lease:
        values = stored(place)
        assert values["holder"] == asdict(lease.holder)
        assert values["holder"]["pid"] == os.getpid()
        length = datetime.fromisoformat(values["expires"]) - datetime.fromisoformat(values["renewed"])
        assert 88 <= length.total_seconds() <= 90
    assert stored(place) is None


def test_a_lease_is_given_back_after_an_error(place):
    with pytest.raises(KeyError), hold_lease(place):
        raise KeyError
    with hold_lease(place):
        pass


def test_a_lease_that_cannot_be_given_back_is_not_the_failure_of_what_was_done(place, monkeypatch):
    def fail(*_, **__):
        raise OSError("the network is away")

    with hold_lease(place):
        monkeypatch.setattr("transforms.generations.lease.delete_if", fail)
        move_current(place, None, FIRST)
    assert read_current(place) == FIRST
    assert stored(place)["holder"]["pid"] == os.getpid()


def test_a_second_process_is_told_who_holds_the_root_and_until_when(place, holder):
    first = holder(place)
    with pytest.raises(RootInUseError) as refused, hold_lease(place):
        raise AssertionError("both hold the root")
    until = datetime.fromisoformat(stored(place)["expires"])
    assert f"process {first.pid} on {this_process().host} is running on root {place!r} since" in str(refused.value)
    assert f"valid until {until:%Y-%m-%dT%H:%M:%SZ}" in str(refused.value)
    first.communicate()
    with hold_lease(place):
        pass


def test_a_second_holder_in_the_same_process_is_refused_too(place):
    with hold_lease(place), pytest.raises(RootInUseError, match=f"process {os.getpid()} on"), hold_lease(place):
        raise AssertionError("both hold the root")


def test_the_lease_of_a_killed_process_is_taken_over_at_once(place, holder):
    killed = holder(place)
    killed.send_signal(signal.SIGKILL)
    # Also while nobody has waited for it: a zombie holds nothing.
    os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
    assert stored(place)["holder"]["pid"] == killed.pid
    with hold_lease(place) as lease:
        assert stored(place)["holder"] == asdict(lease.holder)
    assert killed.wait() == -signal.SIGKILL


@pytest.mark.parametrize("field", ["host", "boot", "namespace"])
def test_of_a_process_elsewhere_only_the_expiry_tells(place, holder, field):
    """Its pid means nothing here: it is neither dead because there is no such process nor alive because there is one."""
    killed = holder(place)
    killed.kill()
    killed.wait()
    rewrite(place, **{field: "another"})
    with pytest.raises(RootInUseError, match=f"process {killed.pid} on"), hold_lease(place):
        raise AssertionError("the lease of a living process was taken")
    rewrite(place, expires=PAST)
    with hold_lease(place):
        pass


@pytest.mark.parametrize("field", ["namespace", "boot"])
def test_what_is_unknown_of_both_processes_proves_no_death(holder, tmp_path, monkeypatch, field):
    root = str(tmp_path / "root")
    killed = holder(root)
    killed.kill()
    killed.wait()
    rewrite(root, **{field: ""})
    here = replace(this_process(), **{field: ""})
    monkeypatch.setattr("transforms.generations.lease.this_process", lambda: here)
    with pytest.raises(RootInUseError), hold_lease(root):
        raise AssertionError("taken from a process that may live")


def test_a_start_that_is_unknown_proves_no_death(tmp_path):
    root = str(tmp_path / "root")
    with hold_lease(root):
        rewrite(root, started="unknown")
        with pytest.raises(RootInUseError), hold_lease(root):
            raise AssertionError("taken from a process that lives")


def test_a_process_that_has_the_number_of_the_dead_one_is_not_it(place):
    with hold_lease(place):
        rewrite(place, started="1")
        with hold_lease(place):
            pass


def test_of_many_at_once_exactly_one_takes_over_an_expired_lease(place, holder):
    killed = holder(place)
    killed.kill()
    killed.wait()
    start, end, outcomes = threading.Barrier(8), threading.Barrier(8), []

    def take() -> None:
        start.wait()
        try:
            with hold_lease(place):
                outcomes.append("held")
                end.wait()
        except RootInUseError:
            outcomes.append("in use")
            end.wait()

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["held", *["in use"] * 7]


def test_the_heartbeat_renews_the_lease(place):
    with hold_lease(place, 0.3):
        first, deadline = stored(place), time.monotonic() + 60
        while stored(place)["renewed"] == first["renewed"] or stored(place)["expires"] == first["expires"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert stored(place)["acquired"] == first["acquired"]
        assert stored(place)["holder"] == first["holder"]


def test_a_check_renews_a_lease_that_nobody_has_taken_since_it_expired(place):
    with hold_lease(place) as lease:
        lease.check()
        before = stored(place)
        lease.check()
        assert stored(place)["renewed"] > before["renewed"]


def test_a_lost_lease_is_an_error_and_stays_with_its_new_holder(place):
    with hold_lease(place) as lease:
        rewrite(place, run="another")
        for _ in range(2):
            with pytest.raises(LeaseLostError, match="nothing was published"):
                lease.check()
    assert stored(place)["holder"]["run"] == "another"


@pytest.fixture
def no_answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes the next write of the lease succeed and then fail, as a sync or a network does."""
    lose = []

    def write(*arguments, **options):
        version = write_if(*arguments, **options)
        if lose:
            lose.clear()
            raise OSError("the answer was lost")
        return version

    monkeypatch.setattr("transforms.generations.lease.write_if", write)
    return lambda: lose.append(True)


def test_a_renewal_whose_answer_was_lost_does_not_lose_the_lease(place, no_answer):
    with hold_lease(place) as lease:
        before = stored(place)
        for _ in range(2):
            no_answer()
            with pytest.raises(OSError, match="the answer was lost"):
                lease.check()
            assert stored(place)["renewed"] > before["renewed"]
            lease.check()
            assert not lease.lost
            before = stored(place)
        lease.check()
        with pytest.raises(RootInUseError), hold_lease(place):
            raise AssertionError("both hold the root")
    assert stored(place) is None


def test_a_lease_is_given_back_after_a_renewal_whose_answer_was_lost(place, no_answer):
    with hold_lease(place) as lease:
        no_answer()
        with pytest.raises(OSError, match="the answer was lost"):
            lease.check()
    assert stored(place) is None


def test_a_lease_that_was_taken_after_a_lost_answer_is_lost_and_stays(place, no_answer):
    with hold_lease(place) as lease:
        no_answer()
        with pytest.raises(OSError, match="the answer was lost"):
            lease.check()
        rewrite(place, run="another")
        with pytest.raises(LeaseLostError):
            lease.check()
        assert lease.lost
    assert stored(place)["holder"]["run"] == "another"


def test_a_lease_that_was_taken_unnoticed_is_not_given_back(place):
    with hold_lease(place) as lease:
        rewrite(place, run="another")
        assert not lease.lost
    assert stored(place)["holder"]["run"] == "another"


@pytest.mark.parametrize("data", [b"", b"[1]", b'{"holder": {}}', b"\xff"])
def test_what_is_no_lease_is_not_ours(place, data):
    with hold_lease(place) as lease:
        write_bytes(f"{place}/LEASE", data)
        with pytest.raises(LeaseLostError):
            lease.check()
    assert read_versioned(f"{place}/LEASE").data == data


def test_the_heartbeat_notices_and_says_that_the_lease_is_lost(place, caplog):
    with hold_lease(place, 0.3) as lease:
        deadline = time.monotonic() + 60
        while not lease.lost:
            # A beat between the reading and the writing of the thief: it tries again.
            with contextlib.suppress(ConflictError):
                rewrite(place, run="another")
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with pytest.raises(LeaseLostError):
            lease.check()
    assert "another process has taken the lease" in caplog.text


def test_a_paused_writer_whose_lease_was_taken_over_cannot_publish(place, holder):
    """SIGSTOP is the pause: no heartbeat, no work. Another takes over and publishes; SIGCONT, and the first must fail."""
    paused = holder(place, 600)
    paused.send_signal(signal.SIGSTOP)
    # Stopped for certain, then as silent as it would be when its time had run out.
    os.waitid(os.P_PID, paused.pid, os.WSTOPPED)
    rewrite(place, expires=PAST)
    with hold_lease(place, 600):
        move_current(place, None, FIRST)
    assert read_current(place) == FIRST
    # The lease is free by now: even so it is not the paused writer's any more.
    paused.stdin.write(f"none {SECOND}\n")
    paused.stdin.flush()
    paused.send_signal(signal.SIGCONT)
    out, err = paused.communicate(timeout=60)
    assert out == ""
    assert "LeaseLostError" in err
    assert paused.returncode == 1
    assert read_current(place) == FIRST


def test_a_writer_that_is_paused_after_its_check_is_stopped_by_the_pointer(place):
    """The last check has passed, then the lease is lost: the compare-and-set on CURRENT is what refuses."""
    with hold_lease(place) as lease:
        lease.check()
        rewrite(place, expires=PAST)
        with hold_lease(place):
            move_current(place, None, FIRST)
        with pytest.raises(PublishConflictError):
            move_current(place, None, SECOND)
    assert read_current(place) == FIRST


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"holder": {}, "expires": "soon"}', b"\xff"])
def test_a_file_that_is_no_lease_keeps_everyone_out_and_says_what_to_do(place, data):
    write_bytes(f"{place}/LEASE", data)
    with pytest.raises(RootInUseError, match=r"LEASE is not a lease .*delete the file"), hold_lease(place):
        raise AssertionError("held")
    found = read_versioned(f"{place}/LEASE")
    assert found.data == data
    delete_if(f"{place}/LEASE", found.version)
    with hold_lease(place):
        pass


def test_a_store_that_ignores_conditions_is_refused(s3_bucket, monkeypatch):
    import s3fs

    pipe_file, root = s3fs.S3FileSystem._pipe_file, f"{s3_bucket}/root"

    async def overwrite(self, path, data, **_):
        return await pipe_file(self, path, data)

    monkeypatch.setattr(s3fs.S3FileSystem, "_pipe_file", overwrite)
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(UnconditionalError, match="ignores conditions of writes"), hold_lease(root):
        raise AssertionError("held")
    assert stored(root) is None
    with hold_lease(root, 60, unconditional=True):
        pass


def test_a_root_without_conditional_writes_is_refused_unless_that_is_allowed():
    root = f"memory://{uuid.uuid4().hex}"
    with pytest.raises(UnconditionalError), hold_lease(root):
        raise AssertionError("held")
    with hold_lease(root, 60, True), pytest.raises(RootInUseError), hold_lease(root, 60, True):
        raise AssertionError("both hold the root")
    with hold_lease(root, 60, unconditional=True):
        pass


def test_two_processes_started_together_one_publishes_and_one_is_refused(tmp_path):
    """Twenty rounds from one barrier: the one that gets the lease publishes, and holds it until the other has been refused."""
    root, rounds = str(tmp_path / "root"), 20
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, root, str(i)],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
        )
        for i in range(2)
    ]

    def tell(racer: subprocess.Popen, text: str) -> None:
        racer.stdin.write(f"{text}\n")
        racer.stdin.flush()

    try:
        assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 2
        for number in range(rounds):
            for racer in racers:
                tell(racer, str(number))
            outcomes = [racer.stdout.readline().strip() for racer in racers]
            assert sorted(outcomes) == ["published", "refused 4"]
            winner = outcomes.index("published")
            assert read_current(root) == f"20260101T000000Z-{number:04x}{winner:04x}"
            tell(racers[winner], "both have ended")
            assert racers[winner].stdout.readline() == "released\n"
    finally:
        for racer in racers:
            racer.stdin.close()
            racer.wait(20)
            racer.stdout.close()


RACE = """
import sys
from pipelines.errors import exit_code
from transforms.generations import RootInUseError, hold_lease, move_current, read_current
root, mine = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
for line in sys.stdin:
    number = int(line)
    try:
        with hold_lease(root, 600) as lease:
            parent = read_current(root)
            lease.check()
            move_current(root, parent, f"20260101T000000Z-{number:04x}{mine:04x}")
            print("published", flush=True)
            sys.stdin.readline()
        print("released", flush=True)
    except RootInUseError as error:
        print("refused", exit_code(error), flush=True)
"""


def test_the_holder_is_this_process_and_each_lease_a_run_of_its_own():
    first, second = this_process(), this_process()
    assert replace(first, run="") == replace(second, run="")
    assert first.run != second.run
