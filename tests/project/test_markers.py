# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A test that is skipped for want of a toolchain fails where CI is set; every other skip stays a skip."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"
NEEDY = ("go", "browser", "e2e", "sdk")
TESTS = """
    import pytest

    NEEDY = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in {needy}]

    @pytest.mark.parametrize("name", NEEDY)
    def test_skips_itself(name):
        pytest.skip("nothing to run it with")

    @pytest.mark.skipif(True, reason="nothing to run it with")
    @pytest.mark.parametrize("name", NEEDY)
    def test_is_skipped(name):
        pass

    @pytest.mark.parametrize("name", NEEDY)
    def test_runs(name):
        pass

    @pytest.mark.skip(reason="not for this platform")
    def test_needs_nothing():
        pass
"""
MODULE = """
    import pytest

    pytest.importorskip("a_module_that_nobody_installed")

    def test_runs():
        pass
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with our conftest and our markers, and nothing else of ours."""
    pytester.makeconftest(CONFTEST.read_text())
    pytester.makeini("[pytest]\nmarkers =\n" + "".join(f"    {name}\n" for name in NEEDY))
    return pytester


def test_a_marked_skip_fails_in_ci_only(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    project.makepyfile(TESTS.format(needy=NEEDY))
    monkeypatch.delenv("CI", raising=False)
    project.runpytest_subprocess("--strict-markers").assert_outcomes(passed=4, skipped=9)
    monkeypatch.setenv("CI", "true")
    result = project.runpytest_subprocess("--strict-markers")
    outcomes = result.parseoutcomes()
    assert outcomes.pop("failed", 0) + outcomes.pop("errors", 0) == 8
    assert outcomes == {"passed": 4, "skipped": 1}
    result.stdout.fnmatch_lines(["*skipped in CI, where it must run*nothing to run it with*"])


def test_a_module_that_skips_itself_fails_in_ci_only(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.makepyfile(MODULE)
    monkeypatch.delenv("CI", raising=False)
    project.runpytest_subprocess().assert_outcomes(skipped=1)
    monkeypatch.setenv("CI", "true")
    result = project.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*skipped in CI, where it must run*a_module_that_nobody_installed*"])
