"""Where CI has the tools, a test of an engine that is skipped fails."""

import os
import subprocess
import sys

import pytest

TESTS = """
import pytest

@pytest.mark.tools("sh")
def test_with_tools_that_are_there():
    pytest.skip("no network")

@pytest.mark.tools("sh", "no-such-tool")
def test_with_tools_that_are_not():
    pytest.skip("not on PATH: no-such-tool")

def test_of_something_else():
    pytest.skip("not here")
"""


@pytest.mark.parametrize(("ci", "failed", "skipped"), [("true", 1, 2), ("", 0, 3)])
def test_a_skip_is_a_failure_only_in_ci_and_with_the_tools(tmp_path, ci, failed, skipped):
    (tmp_path / "conftest.py").write_text("from tests.runners.engines.skipping import pytest_runtest_makereport\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = tools\n")
    (tmp_path / "test_some.py").write_text(TESTS)
    path = os.pathsep.join(entry for entry in sys.path if entry)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        env={**os.environ, "CI": ci, "PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == (1 if failed else 0), ran.stdout
    assert f"{skipped} skipped" in ran.stdout
    assert ("1 failed" in ran.stdout) == bool(failed)
    assert ("skipped in CI although sh are there" in ran.stdout) == bool(failed)
