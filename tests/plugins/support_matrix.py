# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the tests of one agent SDK saw of each signal: a pytest plugin that holds docs/support/ to it.

``--support NAME`` names the environment, such as ``langgraph-newest``. The run fails if what the passed tests that use
the fixture ``telemetry`` recorded differs from ``docs/support/NAME.json``; ``--support-write`` brings that file up to date.
``docs/support.py`` makes the page from the files.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from runrecord.semconv.conformance._tables import Tables
from runrecord.semconv.registry import load_registry

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "support"
OURS = "runrecord.instrumentation"
_MEMBERS = (
    "runrecord.run.outcome",
    "runrecord.step.kind",
    "runrecord.decision.outcome",
    "runrecord.approval.status",
)
"""The attributes whose values tell how much of a signal was seen."""
_SEEN = pytest.StashKey[dict[str, set[str]]]()
_WIRE = "runrecord_support"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("support matrix")
    group.addoption("--support", metavar="NAME", help="hold docs/support/NAME.json to what these tests see")
    group.addoption("--support-write", action="store_true", help="bring that file up to date instead")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_SEEN] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Take what a test recorded, if it passed."""
    yield
    telemetry = getattr(item, "funcargs", {}).get("telemetry")
    if telemetry is None or item.path.parent.name == "instrumentation":
        return  # those of the recorder run here too, and say nothing of the SDK
    seen = item.config.stash[_SEEN]
    tables = _tables()
    # None, or the signals that the integration makes where the tests make the runs around them by hand.
    counted: set[str] | None = getattr(telemetry, "by_integration", None)
    for span in telemetry.spans:
        attributes: Mapping[str, Any] = span.attributes or {}
        signal = tables.governed(span.name, attributes)
        if signal is not None and (counted is None or signal.id in counted):
            native = not span.instrumentation_scope.name.startswith(OURS)
            facts = seen.setdefault(signal.id, set())
            facts |= {"by native" if native else "by ours", *_facts(attributes)}
            if attributes.get("runrecord.run.segment"):
                facts.add("is resumed")
    for name, attributes in telemetry.events:
        event = tables.events.get(name)
        if event is not None and event.governed and (counted is None or event.id in counted):
            seen.setdefault(event.id, set()).update({"by ours", *_facts(attributes)})


@cache
def _tables() -> Tables:
    return Tables(load_registry())


def _facts(attributes: Mapping[str, Any]) -> set[str]:
    return {f"is {attributes[key]}" for key in _MEMBERS if key in attributes}


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a process of xdist, hand over what it saw; else judge."""
    config = session.config
    output = getattr(config, "workeroutput", None)
    if output is not None:
        output[_WIRE] = {signal: sorted(facts) for signal, facts in config.stash[_SEEN].items()}
    elif config.option.support and not session.testsfailed:
        _judge(session)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a process of xdist saw."""
    seen = node.config.stash[_SEEN]
    for signal, facts in getattr(node, "workeroutput", {}).get(_WIRE, {}).items():
        seen.setdefault(signal, set()).update(facts)


def _judge(session: pytest.Session) -> None:
    name = session.config.option.support
    seen = {signal: sorted(facts) for signal, facts in sorted(session.config.stash[_SEEN].items())}
    text = json.dumps(seen, indent=1) + "\n"
    path = RESULTS / f"{name}.json"
    if session.config.option.support_write:
        path.write_text(text)
    elif not path.exists() or path.read_text() != text:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        known: dict[str, list[str]] = json.loads(path.read_text()) if path.exists() else {}
        reporter = session.config.pluginmanager.getplugin("terminalreporter")
        for signal in sorted({*known, *seen}):
            lost, new = set(known.get(signal, ())), set(seen.get(signal, ()))
            if reporter is not None and lost != new:
                reporter.write_line(
                    f"{path.name}: {signal}: no longer seen: {sorted(lost - new)}; new: {sorted(new - lost)}",
                    red=True,
                )
        if reporter is not None:
            reporter.write_line(
                f"docs/support/{path.name} differs from what the tests saw. If that is meant, run: "
                f'make test ARGS="-s sdk -- --support-write", then: make generate',
                red=True,
            )
