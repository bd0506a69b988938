# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin: the fixture ``assert_conforms``, with settings from the configuration of pytest.

Loaded by pytest itself wherever Runrecord is installed, so nothing is imported before a test asks for the fixture.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from runrecord.semconv.registry import Registry

__all__ = ["assert_conforms", "pytest_addoption"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare what a project may set in its configuration of pytest."""
    parser.addini("runrecord_registry", "Directory of a registry that extends Runrecord's.", type="paths")
    parser.addini(
        "runrecord_fail_on",
        "The mildest finding that fails: violation, improvement or information.",
        default="violation",
    )
    parser.addini("runrecord_ignore", "Rules of the check that are not judged.", type="args", default=[])


@pytest.fixture
def assert_conforms(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return ``runrecord.semconv.testing.assert_conforms`` with the defaults that the project configured."""
    from runrecord.semconv.conformance import Severity  # noqa: PLC0415 - not in every test session
    from runrecord.semconv.testing import assert_conforms as check  # noqa: PLC0415

    paths: list[Path] = request.config.getini("runrecord_registry")
    try:
        level = Severity(request.config.getini("runrecord_fail_on"))
    except ValueError:
        levels = ", ".join(item.value for item in Severity)
        raise pytest.UsageError(f"runrecord_fail_on must be one of {levels}") from None
    ignored: list[str] = request.config.getini("runrecord_ignore")

    def assert_conforms(*telemetry: object, **options: object) -> None:
        __tracebackhide__ = True
        defaults = {"registry": _registry(paths[0]) if paths else None, "fail_on": level, "ignore": ignored}
        check(*telemetry, **{**defaults, **options})  # type: ignore[arg-type]

    return assert_conforms


@cache
def _registry(directory: Path) -> "Registry":
    from runrecord.semconv.registry import read_registry  # noqa: PLC0415

    return read_registry(directory)
