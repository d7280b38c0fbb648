"""What a dead run has left may be damaged: the next run believes none of it and gives what an undisturbed run gives."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.commands import Child, run_here
from tests.faults.conftest import Night
from tests.faults.readers import read_whole, results

pytestmark = pytest.mark.slow


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x01
    path.write_bytes(data)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.fixture(scope="module")
def dead(nights: dict[str, Night], tmp_path_factory) -> tuple[Path, Path]:
    """The root of a first run that was killed after its last stage but one, and a copy to restore it from."""
    folder = tmp_path_factory.mktemp("dead")
    Child(nights["first"].arguments(folder / "root"), folder / "killed", "after_topics").kill()
    shutil.copytree(folder / "root", folder / "copy")
    return folder / "root", folder / "copy"


@pytest.fixture
def root(dead: tuple[Path, Path]) -> Path:
    """The dead run's root as it was: records name their files by whole paths, so the place must be the same."""
    place, copy = dead
    shutil.rmtree(place)
    shutil.copytree(copy, place)
    return place


def _mended(root: Path, night: Night) -> dict[str, dict]:
    ran = run_here(night.arguments(root))
    assert ran.code == 0, ran.err
    assert results(read_whole(root, night.new)) == night.results
    return ran.json["stages"]


def test_what_is_whole_is_taken_over(root: Path, nights: dict[str, Night]):
    """Otherwise the tests below would show nothing."""
    stages = _mended(root, nights["first"])
    assert {name for name, stage in stages.items() if stage["resumed"]} >= {"embed", "index", "neighbors", "topics"}


@pytest.mark.parametrize(
    ("damage", "pattern", "again"),
    [
        (_flip, "stages/embed.json", "embed"),
        pytest.param(_truncate, "stages/neighbors.json", "neighbors", marks=pytest.mark.long),
        (_flip, "blocks/vectors-00001.npy", "embed"),
        pytest.param(_truncate, "index/merged.faiss", "index", marks=pytest.mark.long),
        (_flip, "generation/index/index.faiss", "recall"),
        (_empty, "generation/neighbors/*", "neighbors"),
        pytest.param(_flip, "generation/topics/assignments*", "topics", marks=pytest.mark.long),
        (_truncate, "generation/duplicates/pairs*", "duplicates"),
    ],
)
def test_a_damaged_file_is_made_again(root: Path, nights: dict[str, Night], damage: Callable, pattern: str, again: str):
    paths = sorted(root.glob(f"work/*/{pattern}"))
    assert paths, f"no {pattern}"
    damage(paths[0])
    assert not _mended(root, nights["first"])[again]["resumed"]


@pytest.mark.parametrize("damage", [_flip, *(pytest.param(damage, marks=pytest.mark.long) for damage in (_truncate, _empty))])
def test_all_work_files_damaged_at_once(root: Path, nights: dict[str, Night], damage: Callable):
    paths = [path for path in root.glob("work/*/**/*") if path.is_file() and path.stat().st_size]
    assert len(paths) > 30
    for path in paths:
        damage(path)
    _mended(root, nights["first"])


def test_a_copy_of_a_root_does_not_take_files_of_the_original(root: Path, nights: dict[str, Night], tmp_path: Path):
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    shutil.copytree(root, tmp_path / "root")
    _mended(tmp_path / "root", nights["first"])
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
