# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The shape of an upstream proposal is emitted beside ours if, and only if, it was asked for or merged."""

import logging
from dataclasses import replace
from typing import Any

import pytest

from runrecord.instrumentation import _safety
from runrecord.instrumentation._preview import Previews, chosen
from runrecord.semconv.previews import PREVIEWS

ARGUMENTS = {"card": "planted-number"}


def use_all(recorder: Any) -> None:
    with recorder.run("a", run_id="run-1") as run, run.step():
        with run.inference("gpt-5", provider="openai") as model:
            model.cost(0.1, "USD", source="price_table")
        tool = run.decision(
            "refunds",
            version="14",
            engine="opa",
            subject="c",
            subject_name="t",
            arguments=ARGUMENTS,
            governance_ref="grc-1",
        )
        tool.require_approval(rule="over_50", reason="planted-reason")
        run.decision("pii", version="2", engine="guardrail", subject_type="model_input").deny(rule="card")
        run.request_approval("c", tool="t", arguments=ARGUMENTS, approval_id="ap-1").approved(
            actor="human", actor_ref="planted-person"
        )
        with run.tool("t", call_id="c", arguments=ARGUMENTS) as call:
            call.cost(0.2, "USD", source="provider")


def theirs(telemetry: Any) -> tuple[list[tuple[str, dict[str, Any]]], list[tuple[str, dict[str, Any]]]]:
    """What of it is upstream's: (events, attributes of spans)."""
    names = {name for preview in PREVIEWS for name in (*preview.attributes.values(), *preview.constants)}
    events = [(name, facts) for name, facts in telemetry.events if name in {p.event for p in PREVIEWS}]
    spans = [
        (span.name, {name: value for name, value in span.attributes.items() if name in names - OFFICIAL})
        for span in telemetry.spans
    ]
    return events, [(name, facts) for name, facts in spans if facts]


OFFICIAL = {"gen_ai.tool.call.id", "gen_ai.tool.name"}
DECISION = (
    "gen_ai.tool.call.decision",
    {
        "gen_ai.tool.call.decision.outcome": "require_approval",
        "gen_ai.tool.call.id": "c",
        "gen_ai.tool.name": "t",
    },
)
GUARDRAIL = (
    "gen_ai.guardrail.result",
    {
        "gen_ai.guardrail.policy.id": "pii",
        "gen_ai.guardrail.policy.version": "2",
        "gen_ai.guardrail.policy.rule.id": "card",
    },
)
PAUSED = (
    "gen_ai.agent.paused",
    {
        "gen_ai.agent.execution.id": "run-1",
        "gen_ai.agent.pause.id": "ap-1",
        "gen_ai.agent.pause.reason": "human_input",
    },
)
RESUMED = (
    "gen_ai.agent.resumed",
    {
        "gen_ai.agent.execution.id": "run-1",
        "gen_ai.agent.resumed_from.id": "ap-1",
        "gen_ai.agent.resumed_from.type": "pause",
    },
)
GOVERNANCE = ("policy_decision refunds", {"gen_ai.agent.governance.ref": "grc-1"})
COST = (
    "chat gpt-5",
    {
        "gen_ai.usage.cost.amount": 0.1,
        "gen_ai.usage.cost.currency": "USD",
        "gen_ai.usage.cost.source": "local",
    },
)


@pytest.mark.breaks("official-attribute-on-own-span")  # of 368, as its remark in the table says
@pytest.mark.parametrize(
    ("variable", "events", "spans"),
    [
        ("", [], []),
        ("535", [DECISION], []),
        ("427", [GUARDRAIL], []),
        ("445", [PAUSED, RESUMED], []),
        ("368", [], [GOVERNANCE]),
        ("#443", [], [COST]),
        ("535, 443", [DECISION], [COST]),
        ("all", [DECISION, GUARDRAIL, PAUSED, RESUMED], [COST, GOVERNANCE]),
    ],
)
def test_a_proposal_is_emitted_where_it_is_asked_for(
    telemetry: Any, monkeypatch: pytest.MonkeyPatch, variable: str, events: Any, spans: Any
) -> None:
    monkeypatch.setenv("RUNRECORD_PREVIEW_UPSTREAM", variable)
    use_all(telemetry.recorder())
    assert theirs(telemetry) == (events, spans)
    telemetry.check_counters()
    for span in telemetry.spans:  # user interfaces would take ours for tools
        ours = not span.name.startswith(("chat", "execute_tool", "invoke_agent"))
        assert not ours or not OFFICIAL & set(span.attributes)
    said = [facts for name, facts in telemetry.events if name.startswith("gen_ai.")]
    assert "planted" not in str(said)


def test_every_preview_is_tested() -> None:
    shown = {name for name, _ in (DECISION, GUARDRAIL, PAUSED, RESUMED)}
    assert {preview.event for preview in PREVIEWS if preview.event} == shown
    upstream = {name for preview in PREVIEWS if not preview.event for name in preview.attributes.values()}
    assert upstream == {*GOVERNANCE[1], *COST[1]}


def test_what_upstream_merged_is_emitted_without_being_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNRECORD_PREVIEW_UPSTREAM", raising=False)
    assert chosen() is None
    merged = [replace(preview, merged=preview.number == 535) for preview in PREVIEWS]
    previews = chosen(merged)
    assert isinstance(previews, Previews)
    ours = {"runrecord.subject.type": "tool_call", "runrecord.decision.outcome": "deny"}
    assert [name for name, _ in previews.events("runrecord.policy.decided", ours)] == [DECISION[0]]


def test_a_number_without_a_preview_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_safety, "_seen", set())
    monkeypatch.setenv("RUNRECORD_PREVIEW_UPSTREAM", "535,95")
    with caplog.at_level(logging.WARNING):
        assert chosen() is not None
        chosen()
    [message] = caplog.messages
    assert "names 95, for which there is no preview; there are 368, 427, 443, 445, 535" in message
