# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Every scenario is listed, conforms to the conventions, loses nothing and tells a story whose end is the one it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runrecord.ledger import Ledger, Severity, Verdict, audit_run
from runrecord.processors.ledger import project
from runrecord.processors.signal import Signal
from runrecord.semconv.commitment import TenantKey
from runrecord.semconv.testing import assert_conforms

HERE = Path(__file__).parent
NAMES = sorted(
    path.stem
    for path in HERE.glob("*.py")
    if path.stem not in {"conftest", "harness"} and not path.stem.startswith("test_")
)


def test_every_scenario_is_listed(harness: Any) -> None:
    assert sorted(harness.SITUATIONS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_has_a_text_and_a_page_full_of_spans(harness: Any, name: str) -> None:
    played = harness.play(name)
    title, _, prose = (played.module.__doc__ or "").partition("\n\n")
    assert title.endswith(".")
    assert prose.strip()
    for wanted in played.module.MATTERS:
        assert [item for item in (*played.spans, *played.logs) if _name(item).startswith(wanted)], wanted


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_conforms_to_the_conventions(harness: Any, name: str) -> None:
    played = harness.play(name)
    assert_conforms(played.spans, played.logs, metrics=[process.measured for process in played.processes])


def _name(item: Any) -> str:
    return item.event_name if hasattr(item, "event_name") else item.name


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_is_complete_in_the_ledger(harness: Any, name: str, tmp_path: Path) -> None:
    played = harness.play(name)
    key = TenantKey(bytes(32))
    entries = project(Signal.TRACES, played.traces, tenant_key=key)
    entries += project(Signal.LOGS, played.log_records, tenant_key=key)
    with Ledger(tmp_path / "ledger", origin="example.com/test", checkpoint_interval=None) as ledger:
        ledger.append_entries(entries)
        for summary in ledger.runs():
            view = ledger.run(summary.run)
            late = name == "outlives_its_run"
            wanted = Verdict.COMPLETE_LATE if late else Verdict.COMPLETE
            assert view.completeness.verdict is wanted, view.completeness
            broken = {one.rule for one in audit_run(view) if one.severity is Severity.VIOLATION}
            assert broken == ({"ended-is-closed"} if late else set())
