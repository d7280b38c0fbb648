import shutil
from pathlib import Path

import pytest

from tests.generations.conftest import FIRST, INSIDE, SECOND, SHARD
from transforms.files import CorruptFileError, write_bytes
from transforms.generations import GenerationError, move_current, open_generation, reading


@pytest.fixture
def published(root, make_generation):
    make_generation(FIRST)
    move_current(root, None, FIRST)
    return open_generation(root)


def test_the_published_generation_is_opened(root, published, make_generation):
    assert (published.id, published.folder) == (FIRST, f"{root}/generations/{FIRST}")
    for name in INSIDE:
        assert published.path(name) == f"{root}/generations/{FIRST}/{name}"
    make_generation(SECOND)
    assert open_generation(root).id == FIRST  # a manifest alone publishes nothing
    assert open_generation(root, SECOND).id == SECOND


def test_a_reader_stays_with_its_generation_when_current_moves(root, published, make_generation):
    make_generation(SECOND, parent=FIRST)
    move_current(root, FIRST, SECOND)
    assert published.id == FIRST
    assert published.path("report.html") == f"{root}/generations/{FIRST}/report.html"
    assert open_generation(root).id == SECOND


def test_nothing_published_says_what_to_do(root):
    with pytest.raises(GenerationError, match=f"reindex --root {root}"):
        open_generation(root)


def test_a_current_without_its_generation(root, published):
    write_bytes(f"{root}/CURRENT", SECOND.encode())
    with pytest.raises(GenerationError, match="no manifest"):
        open_generation(root)
    with pytest.raises(GenerationError, match="no manifest"):
        open_generation(root, "20200101T000000Z-00000000")


@pytest.mark.parametrize("name", INSIDE)
def test_a_file_that_is_not_what_was_published_is_refused(root, published, name):
    path = Path(published.folder, name)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(CorruptFileError, match=r"sha256.*corpusbeam verify"):
        published.path(name)
    path.write_bytes(data[:-1])
    with pytest.raises(CorruptFileError, match=f"has {len(data) - 1} bytes, the manifest says {len(data)}"):
        published.path(name)
    path.unlink()
    with pytest.raises(CorruptFileError, match="is missing"):
        published.path(name)
    path.write_bytes(data)
    assert published.path(name) == str(path)


def test_a_reader_whose_generation_was_collected_is_told_so_and_not_of_damage(root, published):
    file = published.manifest.file("report.html")
    shutil.rmtree(published.folder)
    for read in (published.checked, published.of_its_size):
        with pytest.raises(CorruptFileError, match=r"was collected by gc.*reload") as error:
            read(file)
        assert "verify" not in str(error.value)


def test_shards_outside_the_folder_are_checked_too(root, published):
    shard = next(file for file in published.manifest.files if file.path == SHARD)
    assert published.checked(shard) == f"{root}/{SHARD}"
    write_bytes(f"{root}/{SHARD}", b"other")
    with pytest.raises(CorruptFileError):
        open_generation(root).checked(shard)


def test_a_file_that_the_manifest_does_not_name_is_not_read(published):
    Path(published.folder, "extra").write_bytes(b"")
    with pytest.raises(GenerationError, match="no file 'extra'"):
        published.path("extra")


def test_a_file_is_checked_once_per_reader(root, published, monkeypatch):
    checked = []
    real = reading.check_file
    monkeypatch.setattr(reading, "check_file", lambda path, file: checked.append(path) or real(path, file))
    for _ in range(3):
        published.path("report.html")
    assert len(checked) == 1
    open_generation(root).path("report.html")
    assert len(checked) == 2


def test_generations_of_another_file_system(folder, make_generation):
    make_generation(root=folder)
    write_bytes(f"{folder}/CURRENT", f"{FIRST}\n".encode())
    assert open_generation(folder).path("report.html") == f"{folder}/generations/{FIRST}/report.html"


def test_a_folder_is_given_when_all_its_files_are_what_was_published(root, published):
    assert published.checked_folder("neighbors", "index") == published.folder
    assert published.checked_folder("absent") == published.folder
    extra = Path(published.folder, "neighbors", "part-00009.parquet")
    extra.write_bytes(b"")
    with pytest.raises(CorruptFileError, match=r"part-00009.parquet is not in the manifest"):
        published.checked_folder("index", "neighbors")
    assert published.checked_folder("index") == published.folder
    extra.unlink()
    changed = Path(published.folder, "neighbors", "part-00001.parquet")
    data = changed.read_bytes()
    changed.write_bytes(b"?" + data[1:])
    with pytest.raises(CorruptFileError, match="sha256"):
        open_generation(root).checked_folder("neighbors")
    changed.unlink()
    with pytest.raises(CorruptFileError, match="is missing"):
        open_generation(root).checked_folder("neighbors")
