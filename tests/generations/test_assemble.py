from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.generations.conftest import FIRST, SECOND
from transforms.files import CorruptFileError, file_ref, write_bytes
from transforms.generations import (
    check_moved,
    generation_id,
    list_generations,
    move_current,
    move_into_generation,
    read_current,
    started_at,
)

TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1))


@given(a=TIMES, b=TIMES, hours=st.integers(-12, 12))
def test_ids_sort_by_time_whatever_the_time_zone(a, b, hours):
    a, b = a.replace(tzinfo=UTC, microsecond=0), b.replace(tzinfo=UTC, microsecond=0)
    zone = timezone(timedelta(hours=hours))
    first, second = generation_id(a, "0" * 64), generation_id(b.astimezone(zone), "0" * 64)
    assert (first < second, first == second) == (a < b, a == b)
    assert started_at(second) == b


@pytest.mark.parametrize("name", ["", "20260304T050607Z_0", "tmp-01234567"])
def test_what_is_no_id_has_no_time(name):
    with pytest.raises(ValueError, match="data"):
        started_at(name)


def test_an_id_says_when_and_what_and_is_one_that_current_takes(tmp_path):
    generation = generation_id(datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC), "0123456789abcdef")
    assert generation == "20260304T050607Z-01234567"
    move_current(str(tmp_path), None, generation)
    assert read_current(str(tmp_path)) == generation


def test_staged_files_are_moved_with_their_paths(folder):
    root, staged = f"{folder}/root", f"{folder}/root/work/staged"
    contents = {"report.html": b"a", "index/index.faiss": b"bb", "index/ids.parquet": b"ccc"}
    refs = []
    for name, data in contents.items():
        write_bytes(f"{staged}/{name}", data)
        refs.append(file_ref(f"{staged}/{name}", 3))
    moved = move_into_generation(root, FIRST, staged, refs)
    assert [ref.path for ref in moved] == [f"{root}/generations/{FIRST}/{name}" for name in contents]
    assert moved == [file_ref(ref.path, 3) for ref in moved]
    assert [(ref.size, ref.sha256) for ref in moved] == [(ref.size, ref.sha256) for ref in refs]
    for ref in refs:
        with pytest.raises(FileNotFoundError):
            file_ref(ref.path)


@pytest.mark.parametrize("change", [b"another run's bytes", b"bytes", b"", b"the bytes and more"], ids=len)
def test_a_staged_file_that_another_writer_changed_is_not_published(folder, change):
    staged = f"{folder}/root/work/staged"
    refs = []
    for name in ("index/ids.parquet", "report.html"):
        write_bytes(f"{staged}/{name}", b"the bytes")
        refs.append(file_ref(f"{staged}/{name}"))
    write_bytes(f"{staged}/index/ids.parquet", change)
    with pytest.raises(CorruptFileError, match=f"generations/{FIRST}/index/ids.parquet has sha256 .*nothing was published"):
        check_moved(move_into_generation(f"{folder}/root", FIRST, staged, refs))
    assert list_generations(f"{folder}/root") == []


def test_a_file_from_elsewhere_is_refused(tmp_path):
    (tmp_path / "staged-not").mkdir()
    (tmp_path / "staged-not" / "x").write_bytes(b"")
    with pytest.raises(ValueError, match="is not under"):
        move_into_generation(str(tmp_path), FIRST, f"{tmp_path}/staged", [file_ref(f"{tmp_path}/staged-not/x")])


def test_generations_with_a_manifest_are_listed_oldest_first(root, make_generation):
    assert list_generations(root) == []
    make_generation(SECOND)
    make_generation(FIRST)
    write_bytes(f"{root}/generations/20250101T000000Z-00000000/report.html", b"died before its manifest")
    write_bytes(f"{root}/generations/{FIRST}/deeper/manifest.json", b"{}")
    assert list_generations(root) == [FIRST, SECOND]


def test_generations_of_another_file_system(folder, make_generation):
    make_generation(root=folder)
    assert list_generations(folder) == [FIRST]


def test_a_root_with_brackets_in_its_name(tmp_path: Path, make_generation):
    make_generation(root=f"{tmp_path}/run[1]")
    assert list_generations(f"{tmp_path}/run[1]") == [FIRST]
