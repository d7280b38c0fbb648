import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.generations.conftest import FIRST, INSIDE, SECOND, SHARD
from transforms.files import write_bytes
from transforms.generations import manifest_path, notes_on, verify_generation

FILES = [*(f"generations/{FIRST}/{name}" for name in INSIDE), SHARD]


@pytest.fixture
def published(root, make_generation):
    return make_generation()


def test_a_whole_generation_has_no_problems(root, published):
    found = verify_generation(root, FIRST)
    assert found.problems == ()
    assert found.generation == FIRST
    assert found.files == len(FILES)
    assert found.size == sum(Path(root, name).stat().st_size for name in FILES)


def test_generations_of_another_file_system(folder, make_generation):
    make_generation(root=folder)
    assert verify_generation(folder, FIRST).problems == ()


@given(name=st.sampled_from(FILES), place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_changed_byte_of_any_file_is_found(root, published, name, place, flip):
    path = Path(root, name)
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[int(place * len(whole))] ^= flip
    path.write_bytes(changed)
    try:
        (problem,) = verify_generation(root, FIRST).problems
    finally:
        path.write_bytes(whole)
    assert problem.startswith(f"{path} has sha256")


@pytest.mark.parametrize("name", FILES)
def test_truncated_grown_and_missing_files_are_found(root, published, name):
    path = Path(root, name)
    whole = path.read_bytes()
    for data in (whole[:-1], whole + b"\0", b""):
        path.write_bytes(data)
        assert verify_generation(root, FIRST).problems == (f"{path} has {len(data)} bytes, the manifest says {len(whole)}",)
    path.unlink()
    assert verify_generation(root, FIRST).problems == (f"{path} is missing",)
    path.mkdir()
    assert verify_generation(root, FIRST).problems == (f"{path} is missing",)


def test_a_missing_folder_and_a_file_in_its_place_are_found(root, published):
    folder = Path(root, "generations", FIRST, "neighbors")
    shutil.rmtree(folder)
    assert len(verify_generation(root, FIRST).problems) == 2
    folder.write_bytes(b"")
    assert len(verify_generation(root, FIRST).problems) == 3


@pytest.mark.parametrize(
    "name", ["extra.bin", "index/index.faiss.1a2b.tmp", ".hidden", "new/folder/file", "neighbors/manifest.json"]
)
def test_a_file_that_the_manifest_does_not_name_is_found(root, published, name):
    path = Path(root, "generations", FIRST, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    assert verify_generation(root, FIRST).problems == (f"{path} is not in the manifest",)


def test_other_generations_and_their_shards_are_not_this_ones_problem(root, published, make_generation):
    make_generation(SECOND)
    Path(root, "vectors", "abc", "part-2.parquet").write_bytes(b"of another run")
    Path(root, "generations", SECOND, "report.html").write_bytes(b"damaged")
    assert verify_generation(root, FIRST).problems == ()
    assert len(verify_generation(root, SECOND).problems) == 1


def test_all_problems_are_found_at_once(root, published):
    for name in FILES:
        Path(root, name).write_bytes(b"")
    Path(root, "generations", FIRST, "extra").write_bytes(b"")
    assert len(verify_generation(root, FIRST).problems) == len(FILES) + 1


def test_a_damaged_missing_or_newer_manifest_is_the_one_problem(root, make_generation):
    make_generation()
    path = Path(manifest_path(root, FIRST))
    path.write_bytes(path.read_bytes().replace(b'"documents": 12', b'"documents": 13'))
    (problem,) = verify_generation(root, FIRST).problems
    assert "was changed after it was written" in problem
    path.unlink()
    (problem,) = verify_generation(root, FIRST).problems
    assert "no manifest" in problem
    make_generation(format=99)
    (problem,) = verify_generation(root, FIRST).problems
    assert "format 99" in problem


def test_what_no_generation_needs_is_a_note_and_no_problem(root, published, make_generation):
    make_generation(SECOND)
    assert notes_on(root, [FIRST, SECOND]) == []
    for name in ("CURRENT", "LEASE", "last_run.json", "metrics.prom", "pins/x.json", "work/lock"):
        write_bytes(f"{root}/{name}", b"")
    assert notes_on(root, [FIRST, SECOND]) == []
    write_bytes(f"{root}/vectors/abc/part-2.parquet", b"of a run that died")
    write_bytes(f"{root}/README.txt", b"somebody's")
    spare, foreign = notes_on(root, [FIRST, SECOND])
    assert "1 files under vectors" in spare
    assert "vectors/abc/part-2.parquet" in spare
    assert foreign.startswith(f"{root}/README.txt")
    assert verify_generation(root, FIRST).problems == ()


def test_notes_need_every_manifest(root, published):
    Path(manifest_path(root, FIRST)).write_bytes(b"{")
    (note,) = notes_on(root, [FIRST])
    assert "cannot be told" in note


def test_notes_on_another_file_system(folder, make_generation):
    make_generation(root=folder)
    assert notes_on(folder, [FIRST]) == []
    write_bytes(f"{folder}/vectors/abc/part-2.parquet", b"")
    assert len(notes_on(folder, [FIRST])) == 1
