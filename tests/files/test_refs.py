import hashlib
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.files import FileRef, check_files, check_tasks, digest_of, file_ref, sha256_of, write_bytes

MIB = 1 << 20


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB + 12345])
def test_checksum_and_size_of_files_around_the_piece_size(folder, size):
    data = bytes(range(256)) * (size // 256 + 1)
    write_bytes(f"{folder}/f", data[:size])
    assert sha256_of(f"{folder}/f") == (hashlib.sha256(data[:size]).hexdigest(), size)


def test_a_reference_names_its_file(folder):
    write_bytes(f"{folder}/sub/name.bin", b"abc")
    ref = file_ref(f"{folder}/sub/name.bin", rows=7)
    assert ref == FileRef(f"{folder}/sub/name.bin", 3, 7, hashlib.sha256(b"abc").hexdigest())
    assert ref.name == "name.bin"
    assert file_ref(ref.path).rows is None
    assert pickle.loads(pickle.dumps(ref)) == ref


def test_an_absent_file_has_no_reference(folder):
    with pytest.raises(FileNotFoundError):
        file_ref(f"{folder}/absent")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)


def reordered(value):
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(list(value))}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@given(value=JSON, other=JSON)
@settings(max_examples=150, deadline=None)
def test_equal_data_is_an_equal_digest_and_other_data_another(value, other):
    assert digest_of(value) == digest_of(reordered(value)) == digest_of(json.loads(json.dumps(value)))
    same_text = json.dumps(value, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest_of(value) == digest_of(other)) == same_text


def test_the_digest_is_sha256_of_canonical_json():
    assert digest_of({"b": [1, None], "a": "é"}) == hashlib.sha256(rb'{"a":"\u00e9","b":[1,null]}').hexdigest()
    assert digest_of((1, 2)) == digest_of([1, 2])
    assert digest_of([1]) != digest_of(["1"])


def test_the_digest_is_the_same_in_another_process():
    code = "from transforms.files import digest_of; print(digest_of({'x': [1.5, 'é'], 'a': {'c': 1, 'b': 2}}))"
    root = Path(__file__).parents[2]
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )
    assert shown.stdout.strip() == digest_of({"a": {"b": 2, "c": 1}, "x": [1.5, "é"]})


def test_files_that_differ_are_found_whatever_the_tasks(folder, monkeypatch):
    files = []
    for i in range(9):
        write_bytes(f"{folder}/{i}", b"content %d" % i)
        files.append(file_ref(f"{folder}/{i}"))
    assert [task.files for task in check_tasks(files)] == [tuple(files)]
    assert check_tasks([]) == []
    monkeypatch.setattr("transforms.files.refs._LEAST", 20)
    tasks = check_tasks(files)
    assert [file for task in tasks for file in task.files] == files
    assert {len(task.files) for task in tasks} == {1, 2}
    assert [check_files(task).differing for task in tasks] == [()] * len(tasks)
    write_bytes(f"{folder}/1", b"content X")
    write_bytes(f"{folder}/2", b"content 2 and more")
    absent = FileRef(f"{folder}/absent", 1, None, "x")
    found = [file for task in check_tasks([*files, absent]) for file in check_files(task).differing]
    assert found == [files[1], files[2], absent]
