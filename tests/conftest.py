# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What holds for every test: a skip for want of a toolchain is a failure in CI, and hypothesis has no deadline on shared machines."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Generator

import pytest
from hypothesis import settings

# Here, before any test module imports them: an import that comes first leaves them without rewritten assertions.
pytest.register_assert_rewrite("refund_story", "policy_engine_contract", "policy_engine_example")

os.environ["COLUMNS"] = "160"  # rich asks for it once, when the console is made

# No test, and no process that one starts, makes a key or keeps a context in the home of whoever runs the tests.
_state = tempfile.TemporaryDirectory(prefix="runrecord-tests-")
os.environ["RUNRECORD_STATE_DIR"] = _state.name

settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")

# A shell that starts us in the background has SIGINT ignored, for us and for every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

_NEEDS_A_TOOLCHAIN = ("go", "java", "debian", "postgres", "browser", "e2e", "sdk")


def _must_run(report: pytest.TestReport | pytest.CollectReport) -> None:
    report.outcome = "failed"
    report.longrepr = f"skipped in CI, where it must run: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure in CI where the test's marker says that the project's own files must provide what is missing."""
    report = yield
    if (
        report.skipped
        and os.environ.get("CI")
        and any(item.get_closest_marker(name) for name in _NEEDS_A_TOOLCHAIN)
    ):
        _must_run(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole module, whose markers nobody could read: a session leaves out by name what it cannot run."""
    report = yield
    if report.skipped and os.environ.get("CI"):
        _must_run(report)
    return report
