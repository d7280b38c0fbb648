import os
import posixpath
import string
import uuid
from pathlib import Path

import fsspec
import pytest
from fsspec.core import url_to_fs
from hypothesis import example, given
from hypothesis import strategies as st

from transforms.files import (
    filesystem_of,
    fsync_directory,
    is_local,
    is_same,
    is_within,
    join,
    list_files,
    redact,
    remove,
    write_bytes,
)

WORDS = st.text(string.ascii_letters + string.digits + "-_.~%+", min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("path", "local"),
    [("/a/b", True), ("a", True), ("file:///a", True), ("s3://a/b", False), ("memory://a", False), ("gs://a", False)],
)
def test_which_paths_are_on_this_machine(path, local):
    assert is_local(path) is local


@given(parts=st.lists(WORDS, min_size=1, max_size=3), slash=st.sampled_from(["", "/"]))
def test_join_is_posix_and_ignores_a_trailing_slash(parts, slash):
    for directory in ("/a/b", "a", "s3://bucket/x", "memory://root"):
        assert join(directory + slash, *parts) == "/".join([directory, *parts])
    assert join("/", *parts) == posixpath.join("/", *parts)


def test_join_to_the_root_of_a_file_system():
    assert not is_local(join("memory://", "x"))
    assert join("memory://", "x") == "memory://x"


def test_listing_is_sorted_filtered_and_gives_usable_paths(folder):
    for name in ("b.txt", "a.txt", "c.bin", "sub/d.txt"):
        write_bytes(f"{folder}/{name}", name.encode())
    found = list_files(folder, ".txt")
    assert found == [f"{folder}/a.txt", f"{folder}/b.txt"]
    assert list_files(folder) == [*found, f"{folder}/c.bin"]
    for path in found:
        fs, inner = url_to_fs(path)
        assert fs.cat_file(inner) == path.rsplit("/", 1)[1].encode()


def test_an_absent_folder_lists_nothing(folder):
    assert list_files(f"{folder}/absent") == []


def test_a_file_written_by_someone_else_is_seen_at_once(tmp_path):
    assert list_files(str(tmp_path)) == []
    (tmp_path / "new").write_bytes(b"")
    assert list_files(str(tmp_path)) == [str(tmp_path / "new")]


def test_file_systems(tmp_path):
    fs, inner = filesystem_of(str(tmp_path))
    assert isinstance(fs, fsspec.get_filesystem_class("file"))
    assert inner == str(tmp_path)
    assert isinstance(filesystem_of("memory://a/b")[0], fsspec.get_filesystem_class("memory"))


def test_syncing_a_directory_needs_the_directory(tmp_path):
    fsync_directory(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        fsync_directory(str(tmp_path / "absent"))
    before = set(os.listdir("/proc/self/fd"))
    fsync_directory(str(tmp_path))
    assert set(os.listdir("/proc/self/fd")) == before


# The word of the secret must not be a part of the rest, or finding it there would prove nothing.
SECRETS = st.text(string.ascii_lowercase + string.digits, min_size=6, max_size=20).map(lambda text: f"Zq{text}")


@given(user=WORDS, secret=SECRETS, path=WORDS, scheme=st.sampled_from(["s3", "https", "ftp", "sftp", "gs", "hdfs"]))
def test_user_and_password_are_not_shown(user, secret, path, scheme):
    shown = redact(f"{scheme}://{user}:{secret}@host.example/{path}")
    assert shown == f"{scheme}://***@host.example/{path}"
    assert redact(f"{scheme}://{secret}@host.example:99/{path}") == f"{scheme}://***@host.example:99/{path}"


@given(secret=SECRETS)
@example(secret="Zqabcdef")
@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Algorithm=AWS4&X-Amz-Credential={}&X-Amz-Signature=1",
        "X-Amz-Date=1&X-Amz-Signature={}",
        "X-Goog-Signature={}",
        "x-amz-security-token={}",
        "sv=2022-11-02&ss=b&se=2026-01-01&spr=https&sig={}",
        "access_token={}",
        "a=1&apikey={}",
        "PASSWORD={}",
    ],
)
def test_signed_query_strings_are_not_shown(query, secret):
    shown = redact(f"https://host.example/part-1.parquet?{query.format(secret)}")
    assert secret not in shown
    assert shown.startswith("https://host.example/part-1.parquet")


@pytest.mark.parametrize(
    "path",
    [
        "/data/user:name@host/x.parquet",
        "relative/x.jsonl",
        "s3://bucket/part-*.parquet",
        "s3://bucket/part-?.parquet",
        "https://host.example/x?page=2",
        "gs://bucket/a@b/c.parquet",
        "memory://bucket/x",
        "file:///data/x.parquet",
    ],
)
def test_what_holds_no_secret_is_shown_as_it_is(path):
    assert redact(path) == path


@pytest.mark.parametrize("url", ["simplecache::s3://user:Zqsecret@bucket/x", "zip://a.csv::https://user:Zqsecret@host/x.zip"])
def test_chained_urls_are_redacted(url):
    assert "Zqsecret" not in redact(url)


@pytest.mark.parametrize(
    "url",
    [
        "memory:///a/b",
        "hdfs:///data/x.parquet",
        "abfs://container@account.dfs.core.windows.net/x.parquet",
        "s3://bucket/part-?/tokens.parquet",
        "s3://bucket[12]/x.parquet",
    ],
)
def test_more_that_holds_no_secret_is_shown_as_it_is(url):
    assert redact(url) == url


def test_removing_takes_files_folders_and_what_is_not_there(folder):
    write_bytes(f"{folder}/kept.txt", b"1")
    write_bytes(f"{folder}/gone/deeper/a.txt", b"2")
    remove(f"{folder}/gone")
    remove(f"{folder}/gone")
    assert list_files(f"{folder}/gone/deeper") == []
    assert list_files(folder) == [f"{folder}/kept.txt"]
    remove(f"{folder}/kept.txt")
    assert list_files(folder) == []


@pytest.fixture(params=["local", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder on each kind of file system."""
    if request.param == "s3":
        return f"{request.getfixturevalue('s3_bucket')}/place"
    return str(tmp_path) if request.param == "local" else f"memory://{uuid.uuid4().hex}"


@pytest.mark.parametrize("name", ["a[1]*", "a[12]", "a*", "[ab]1"])
def test_removing_takes_a_name_for_a_name_and_not_for_a_pattern(place, name):
    others = ["a1", "a12", "a1b", "b1", "ab"]
    for other in others:
        write_bytes(f"{place}/{other}/x.txt", b"1")
        write_bytes(f"{place}/{other}.txt", b"1")
    write_bytes(f"{place}/{name}/x.txt", b"2")
    write_bytes(f"{place}/{name}/b*/y[1].txt", b"3")
    write_bytes(f"{place}/{name}.txt", b"4")
    remove(f"{place}/{name}")
    assert list_files(place) == sorted(f"{place}/{file}.txt" for file in [*others, name])
    remove(f"{place}/{name}.txt")
    fs, inner = url_to_fs(place)
    left = {file.removeprefix(inner).lstrip("/") for file in fs.find(inner)}
    assert left == {f"{other}{end}" for other in others for end in (".txt", "/x.txt")}
    assert not fs.exists(f"{inner}/{name}")


def test_removing_takes_empty_folders_too(folder):
    fs, inner = url_to_fs(f"{folder}/gone")
    fs.makedirs(f"{inner}/deeper/deepest")
    write_bytes(f"{folder}/gone/a.txt", b"1")
    remove(f"{folder}/gone")
    assert not fs.exists(inner)
    assert not fs.exists(f"{inner}/deeper/deepest")


def test_removing_on_s3_takes_markers_of_folders_and_a_file_of_the_same_name(s3_bucket):
    fs, inner = url_to_fs(s3_bucket)
    write_bytes(f"{s3_bucket}/kept", b"1")
    write_bytes(f"{s3_bucket}/both", b"2")
    write_bytes(f"{s3_bucket}/both/x", b"3")
    for key in ("marked/", "marked/deeper/"):
        fs.call_s3("put_object", Bucket=inner, Key=key, Body=b"")
    for name in ("both", "marked"):
        remove(f"{s3_bucket}/{name}")
    assert [entry["Key"] for entry in fs.call_s3("list_objects_v2", Bucket=inner)["Contents"]] == ["kept"]


@pytest.mark.parametrize(
    ("path", "directory", "within"),
    [
        ("{0}/root", "{0}/root", True),
        ("{0}/root/generations/x", "{0}/root/", True),
        ("file://{0}/root/x", "{0}/other/../root", True),
        ("{0}/link/x", "{0}/root", True),
        ("{0}/root2", "{0}/root", False),
        ("{0}", "{0}/root", False),
        ("memory://root/x", "memory://root", True),
        ("memory://root2/x", "memory://root", False),
        ("memory://{0}/root/x", "{0}/root", False),
    ],
)
def test_what_is_within_a_folder_is_found_however_it_is_spelled(tmp_path, path, directory, within):
    (tmp_path / "root").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "root")
    assert is_within(path.format(tmp_path), directory.format(tmp_path)) is within


@pytest.mark.parametrize(
    ("path", "other", "same"),
    [
        ("{0}/root/", "{0}/other/../root", True),
        ("file://{0}/root", "{0}/link", True),
        ("{0}/root/x", "{0}/root", False),
        ("{0}/root2", "{0}/root", False),
        ("memory://root/", "memory://root", True),
        ("memory://root", "memory://root/x", False),
    ],
)
def test_a_place_is_the_same_however_it_is_spelled(tmp_path, path, other, same):
    (tmp_path / "root").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "root")
    assert is_same(path.format(tmp_path), other.format(tmp_path)) is same


def test_relative_paths_are_within_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_within("out", str(tmp_path))
    assert is_within(f"{tmp_path}/out/x", "out")
    assert not is_within("../out", "out")
