"""In CI a test of a real engine cannot quietly be skipped."""

from collections.abc import Generator

import pytest

from tests.runners.engines.engine import in_ci, missing_tools


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where CI has all tools that the test needs."""
    report = yield
    marker = item.get_closest_marker("tools")
    if report.skipped and marker is not None and in_ci() and not missing_tools(*marker.args):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI although {', '.join(marker.args)} are there: {report.longrepr}"
    return report
