"""Conditional writes on a local disk, on S3 over HTTP, and on a file system that has none."""

import errno
import os
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from transforms.files import (
    ConflictError,
    UnconditionalError,
    delete_if,
    has_conditional_writes,
    read_versioned,
    write_if,
)


@pytest.fixture(params=["local", "file-url", "s3"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a file can be written on a condition."""
    if request.param == "s3":
        return f"{request.getfixturevalue('s3_bucket')}/root/POINTER"
    return f"{'file://' if request.param == 'file-url' else ''}{tmp_path}/root/POINTER"


def content(path: str) -> bytes | None:
    found = read_versioned(path)
    return None if found is None else found.data


def test_a_file_is_created_only_where_none_is(path):
    assert has_conditional_writes(path)
    assert read_versioned(path) is None
    version = write_if(path, b"first", None)
    found = read_versioned(path)
    assert (found.data, found.version) == (b"first", version)
    with pytest.raises(ConflictError, match="POINTER was written or removed by another process"):
        write_if(path, b"second", None)
    assert content(path) == b"first"


def test_a_file_is_replaced_only_while_it_is_the_version_that_was_read(path):
    first = write_if(path, b"first", None)
    second = write_if(path, b"second", first)
    assert read_versioned(path).version == second
    with pytest.raises(ConflictError):
        write_if(path, b"third", first)
    assert content(path) == b"second"
    third = write_if(path, b"third", second)
    assert content(path) == b"third"
    assert len({first, second, third}) == 3


def test_a_file_that_is_gone_is_not_replaced(path):
    version = write_if(path, b"first", None)
    delete_if(path, version)
    assert read_versioned(path) is None
    with pytest.raises(ConflictError):
        write_if(path, b"second", version)
    with pytest.raises(ConflictError):
        delete_if(path, version)
    assert read_versioned(path) is None
    write_if(path, b"third", None)
    assert content(path) == b"third"


def test_a_file_is_deleted_only_while_it_is_the_version_that_was_read(path):
    first = write_if(path, b"first", None)
    write_if(path, b"second", first)
    with pytest.raises(ConflictError):
        delete_if(path, first)
    assert content(path) == b"second"


@pytest.mark.parametrize("present", [False, True], ids=["create", "replace"])
def test_of_many_writers_at_once_exactly_one_wins(path, present):
    version = write_if(path, b"before", None) if present else None
    writers = 8
    start = threading.Barrier(writers)

    def write(number: int) -> bool:
        start.wait()
        try:
            write_if(path, f"writer {number}".encode(), version)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(writers) as pool:
        won = list(pool.map(write, range(writers)))
    assert sum(won) == 1
    assert content(path) == f"writer {won.index(True)}".encode()


def test_a_missing_bucket_is_an_error_of_its_own(s3_bucket):
    for version in (None, '"d41d8cd98f00b204e9800998ecf8427e"'):
        with pytest.raises(FileNotFoundError, match="bucket does not exist"):
            write_if(f"{s3_bucket}-absent/root/POINTER", b"data", version)


def test_no_cached_listing_hides_what_another_process_wrote(s3_bucket):
    import fsspec

    from transforms.files import list_files, write_bytes

    url = f"{s3_bucket}/root/POINTER"
    write_bytes(f"{s3_bucket}/root/other", b"x")
    assert [name.rsplit("/", 1)[-1] for name in list_files(f"{s3_bucket}/root")] == ["other"]
    assert read_versioned(url) is None
    other = fsspec.filesystem("s3", skip_instance_cache=True)
    other.pipe_file(url, b"theirs")
    assert content(url) == b"theirs"
    assert len(list_files(f"{s3_bucket}/root")) == 2
    other.pipe_file(url, b"theirs again")
    assert content(url) == b"theirs again"


def test_a_request_that_is_repeated_after_its_answer_was_lost_has_written(s3_bucket):
    """What a retry of the library sees: its own bytes, under a version that it does not know."""
    url = f"{s3_bucket}/POINTER"
    first = write_if(url, b"before", None)
    second = write_if(url, b"mine, with a number of my own", first)
    assert write_if(url, b"mine, with a number of my own", first) == second


def test_a_file_system_without_conditions_is_refused_unless_that_is_allowed():
    path = f"memory://{uuid.uuid4().hex}/POINTER"
    assert not has_conditional_writes(path)
    with pytest.raises(UnconditionalError, match=r"memory://.*no conditional writes.*publish\.unconditional_writes"):
        write_if(path, b"x", None)
    assert read_versioned(path) is None
    version = write_if(path, b"first", None, unconditional=True)
    with pytest.raises(ConflictError):
        write_if(path, b"second", None, unconditional=True)
    with pytest.raises(UnconditionalError):
        delete_if(path, version)
    second = write_if(path, b"second", version, unconditional=True)
    with pytest.raises(ConflictError):
        delete_if(path, version, unconditional=True)
    delete_if(path, second, unconditional=True)
    assert read_versioned(path) is None


def test_a_cache_in_front_of_s3_has_no_conditional_writes(s3_bucket):
    assert not has_conditional_writes(f"simplecache::{s3_bucket}/POINTER")


def test_nothing_is_left_beside_a_local_file_but_its_lock(tmp_path):
    path = str(tmp_path / "POINTER")
    version = write_if(path, b"first", None)
    for attempt in (None, "0" * 64):
        with pytest.raises(ConflictError):
            write_if(path, b"second", attempt)
    write_if(path, b"second", version)
    assert {file.name for file in tmp_path.iterdir()} == {"POINTER", "POINTER.lock"}


def test_the_compare_and_the_set_are_one_step(tmp_path, monkeypatch):
    """The worst moment for a second writer: the first has compared and not yet set. It waits, and then it has lost."""
    import transforms.files.conditional as conditional

    path, outcome, write_bytes = str(tmp_path / "POINTER"), [], conditional.write_bytes
    version = write_if(path, b"before", None)

    def write_second():
        try:
            write_if(path, b"second", version)
            outcome.append("written")
        except ConflictError:
            outcome.append("conflict")

    other = threading.Thread(target=write_second)

    def slow_write(path, data):
        if threading.current_thread() is not other:
            other.start()
            other.join(0.2)
            assert outcome == []
        write_bytes(path, data)

    monkeypatch.setattr(conditional, "write_bytes", slow_write)
    write_if(path, b"first", version)
    other.join()
    assert outcome == ["conflict"]
    assert content(path) == b"first"


def test_a_writer_that_dies_between_compare_and_set_does_not_block_the_next(tmp_path):
    path = str(tmp_path / "POINTER")
    version = write_if(path, b"before", None)
    code = (
        "import os, sys; from transforms.files import conditional\n"
        "conditional.write_bytes = lambda *_: os._exit(9)\n"
        "conditional.write_if(sys.argv[1], b'never', sys.argv[2])"
    )
    command = [sys.executable, "-c", code, path, version]
    died = subprocess.run(command, cwd=Path(__file__).parents[2], env=dict(os.environ), check=False)
    assert died.returncode == 9
    write_if(path, b"after", version)
    assert content(path) == b"after"


@pytest.fixture(params=[errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def no_links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without hard links."""

    def refuse(source, target):
        raise OSError(request.param, os.strerror(request.param), source, None, target)

    monkeypatch.setattr(os, "link", refuse)


def test_without_hard_links_a_file_is_still_created_only_where_none_is(tmp_path, no_links):
    path = str(tmp_path / "root" / "POINTER")
    version = write_if(path, b"first", None)
    assert read_versioned(path).version == version
    with pytest.raises(ConflictError):
        write_if(path, b"second", None)
    assert content(path) == b"first"
    delete_if(path, write_if(path, b"second", version))
    write_if(path, b"third", None)
    assert content(path) == b"third"
    assert {file.name for file in (tmp_path / "root").iterdir()} == {"POINTER", "POINTER.lock"}


def test_without_hard_links_the_look_and_the_rename_are_one_step(tmp_path, no_links, monkeypatch):
    """The worst moment for a second creator: the first has looked and not yet renamed. It waits, and then it has lost."""
    path, outcome, rename = str(tmp_path / "POINTER"), [], os.replace

    def create_second():
        try:
            write_if(path, b"second", None)
            outcome.append("written")
        except ConflictError:
            outcome.append("conflict")

    other = threading.Thread(target=create_second)

    def slow_rename(source, target):
        if threading.current_thread() is not other:
            other.start()
            other.join(0.2)
            assert outcome == []
        rename(source, target)

    monkeypatch.setattr(os, "replace", slow_rename)
    write_if(path, b"first", None)
    other.join()
    assert outcome == ["conflict"]
    assert content(path) == b"first"


def test_a_link_that_fails_for_another_reason_is_an_error_and_writes_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        write_if(str(tmp_path / "POINTER"), b"first", None)
    assert list(tmp_path.iterdir()) == []
