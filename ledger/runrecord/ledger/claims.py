# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the producer of a bundle says of the run in the statement: all of it follows from the entries, and verify works it out again."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from runrecord.ledger.audit import Finding, Severity
from runrecord.ledger.completeness import UNSEEN
from runrecord.ledger.runs import RunView
from runrecord.ledger.strict_json import JSON


def producer() -> dict[str, JSON]:
    """Return who makes bundles here."""
    try:
        return {"name": "runrecord", "version": version("runrecord")}
    except PackageNotFoundError:
        return {"name": "runrecord", "version": "unknown"}


def claims(view: RunView, findings: Sequence[Finding]) -> dict[str, JSON]:
    """Return what a statement says of a run."""
    state = view.completeness
    return {
        "window": {"start": str(view.start), "end": str(view.end)},
        "summary": {
            "agent": view.agent,
            "outcome": view.outcome,
            "segments": str(len(view.closes)),
            "steps": str(len([step for step in view.steps if step.index is not None])),
            "tool_calls": str(len(view.calls)),
            "effects": str(len([call for call in view.calls if call.changes_something and call.took_effect])),
            "effects_not_declared": str(len([call for call in view.calls if not call.declares_effect])),
            "decisions": str(len(view.decisions)),
            "approvals": str(len(view.approvals)),
        },
        "completeness": {
            "verdict": state.verdict.value,
            "reasons": [reason.text for reason in state.reasons],
            "sources": {source: str(count) for source, count in state.sources.items()},
        },
        "findings": {
            severity.value: str(len([f for f in findings if f.severity is severity])) for severity in Severity
        },
        "limits": list(UNSEEN),
    }
