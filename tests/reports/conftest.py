from pathlib import Path

import pytest

from tests.reports.generation import write_generation


@pytest.fixture
def generation(tmp_path: Path) -> Path:
    folder = tmp_path / "generation"
    write_generation(folder)
    return folder


@pytest.fixture
def evil_generation(tmp_path: Path) -> Path:
    folder = tmp_path / "evil"
    write_generation(folder, evil=True)
    return folder
