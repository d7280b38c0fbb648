import json
import os

import fsspec
import pytest
from fsspec.core import url_to_fs
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.files import read_json, write_bytes, write_json
from transforms.files.atomic import write_atomically


def everything_in(folder: str) -> dict[str, bytes]:
    fs, inner = url_to_fs(folder)
    return {path[len(inner) :].lstrip("/"): fs.cat_file(path) for path in fs.find(inner)} if fs.exists(inner) else {}


class Interrupted(BaseException):
    """As a signal would raise: not an Exception."""


@pytest.mark.parametrize("error", [ValueError, Interrupted])
@pytest.mark.parametrize("before", [None, b"the old content"])
def test_a_failing_writer_leaves_the_folder_as_it_was(folder, error, before):
    path = f"{folder}/sub/target.bin"
    if before is not None:
        write_bytes(path, before)

    def write(file):
        file.write(b"half of the new content")
        file.flush()
        raise error("no more")

    with pytest.raises(error, match="no more"):
        write_atomically(path, write)
    assert everything_in(folder) == ({} if before is None else {"sub/target.bin": before})


def test_until_the_writer_returns_readers_see_the_old_content(folder):
    path = f"{folder}/target.bin"
    write_bytes(path, b"old")
    seen = []

    def write(file):
        file.write(b"new" * 100_000)
        file.flush()
        seen.append(everything_in(folder)["target.bin"])

    write_atomically(path, write)
    assert seen == [b"old"]
    assert everything_in(folder) == {"target.bin": b"new" * 100_000}


def test_a_failing_rename_leaves_no_temporary(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk on fire")

    (tmp_path / "target").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk on fire"):
        write_bytes(str(tmp_path / "target"), b"new")
    assert everything_in(str(tmp_path)) == {"target": b"old"}


def test_the_content_is_on_disk_before_the_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    calls = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(handle):
        # /proc tells which file the handle is of, and its size what a crash right now would leave of it.
        name = os.readlink(f"/proc/self/fd/{handle}")
        calls.append(("sync", os.path.isdir(name), None if os.path.isdir(name) else os.fstat(handle).st_size))
        real_fsync(handle)

    def replace(source, target):
        calls.append(("rename", os.path.dirname(source) == os.path.dirname(target), None))
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write_bytes(str(tmp_path / "target"), b"12345")
    assert calls == [("sync", False, 5), ("rename", True, None), ("sync", True, None)]
    calls.clear()
    write_bytes(str(tmp_path / "other"), b"12345", durable=False)
    assert calls == [("rename", True, None)]


@given(data=st.binary(max_size=3000))
@settings(max_examples=20, deadline=None)
def test_bytes_round_trip(tmp_path_factory, data):
    folder = str(tmp_path_factory.mktemp("bytes"))
    write_bytes(f"{folder}/a/b/c", data)
    assert everything_in(folder) == {"a/b/c": data}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(value=JSON)
@settings(max_examples=60, deadline=None)
def test_json_round_trips_and_reads_with_the_standard_library(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "value.json"
    write_json(str(path), value)
    assert read_json(str(path)) == value
    assert json.loads(path.read_text(encoding="utf-8")) == value


def test_equal_values_are_equal_bytes_whatever_the_order_of_keys(folder):
    write_json(f"{folder}/a.json", {"b": 1, "a": {"y": 2, "x": "é"}})
    write_json(f"{folder}/b.json", {"a": {"x": "é", "y": 2}, "b": 1})
    files = everything_in(folder)
    assert files["a.json"] == files["b.json"]
    assert "é".encode() in files["a.json"]


def test_what_json_cannot_say_leaves_nothing(folder):
    for value in ({"set": {1}}, "half a character: \udc80"):
        with pytest.raises((TypeError, UnicodeEncodeError)):
            write_json(f"{folder}/a.json", value)
    assert everything_in(folder) == {}


def test_an_absent_json_file_is_file_not_found(folder):
    with pytest.raises(FileNotFoundError):
        read_json(f"{folder}/absent.json")


def test_file_urls_and_plain_paths_are_the_same_files(tmp_path):
    write_json(f"file://{tmp_path}/a.json", [1])
    assert read_json(str(tmp_path / "a.json")) == [1]
    assert fsspec.open(f"file://{tmp_path}/a.json").open().read() == b"[\n 1\n]\n"
