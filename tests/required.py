"""A pytest plugin: a skipped test fails where this machine has all that its marker asks for.

`scripts/test` finds out what that is and names the markers in FLEETCAP_TESTS_REQUIRE. Otherwise a whole part of the suite
could go missing and the run still look well.
"""

import os
from collections.abc import Generator
from typing import Final

import pytest

REQUIRED: Final = frozenset(os.environ.get("FLEETCAP_TESTS_REQUIRE", "").split())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn such a skip into a failure that says why."""
    report = yield
    marked = REQUIRED & {mark.name for mark in item.iter_markers()}
    if report.skipped and marked and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, though this machine can run tests marked {', '.join(sorted(marked))}: {report.longrepr}"
    return report
