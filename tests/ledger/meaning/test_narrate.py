# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The phrases that the report and the terminal share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runrecord.ledger.entry import Kind
from runrecord.ledger.narrate import (
    answered,
    called,
    decided,
    effect,
    headline,
    lasting,
    printable,
    told,
    when,
)
from runrecord.ledger.runs import RunView


@given(st.text())
def test_printable_text_has_no_control_characters_and_an_end(value):
    shown = printable(value)
    assert len(shown) <= 200
    assert not set(shown) & {"\x1b", "\n", "\r", "\x07", "\u202e", "\u2028", "\x9b"}


@pytest.mark.parametrize(
    ("nanos", "text"),
    [(0, "-"), (-5, "-"), (2**70, "-"), (1_790_000_000_000_000_000, "2026-09-21 14:13:20 UTC")],
)
def test_times(nanos, text):
    assert when(nanos) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "250 ms"), (42.5, "42.5 s"), (600, "10 min"), (7200, "2.0 h"), (86400 * 3, "3.0 days")],
)
def test_durations(seconds, text):
    assert lasting(seconds) == text


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({}, "pay on payments, committed, reversible"),
        ({"runrecord__side_effect__committed": False}, "pay on payments, not committed, reversible"),
        ({"runrecord__side_effect__reversible": False}, "pay on payments, committed, NOT reversible"),
        (
            {"runrecord__side_effect__committed": None, "runrecord__side_effect__reversible": None},
            "pay on payments, ran, commit not stated, reversibility not stated",
        ),
        ({"runrecord__dry_run": True}, "pay on payments, dry run, reversible"),
        (
            {"runrecord__idempotency__deduplicated": True},
            "pay on payments, a repeat, nothing new happened, reversible",
        ),
        (
            {"status": "error", "error__type": "Timeout"},
            "pay on payments, committed, reversible, failed: Timeout",
        ),
        ({"effect": "read"}, "read on payments"),
        ({"effect": None, "runrecord__side_effect__committed": None}, "effect not declared on payments"),
        (
            {"effect": None, "runrecord__side_effect__committed": None, "runrecord__tool__read_only": True},
            "declared to read only on payments",
        ),
        ({"kind": Kind.TOOL_INTENT}, "pay on payments, no result recorded, reversible"),
    ],
)
def test_effects(build, attributes, text):
    b = build()
    b.tool("c1", **attributes)
    (call,) = b.view().calls
    assert effect(call) == text
    assert called(call) == "create_refund [c1]"


def test_decisions_and_answers(build):
    b = build()
    b.decision("c1", "deny", runrecord__decision__reason_code="too_much", runrecord__policy__mode="monitor")
    b.request("c1", runrecord__approval__deadline="2026-09-22T00:00:00Z")
    b.request("c2", approval="ap-2")
    b.answer(
        "c2",
        "denied",
        approval="ap-2",
        runrecord__approval__channel="chat",
        runrecord__approval__reason_code="no",
        runrecord__approval__wait_seconds=None,
    )
    view = b.view()
    assert (
        decided(view.decisions[0])
        == "deny by refunds version 14, rule over_50_usd, because too_much (monitor only)"
    )
    pending, denied = view.approvals
    assert answered(pending) == "pending until 2026-09-22T00:00:00Z"
    assert (
        answered(denied)
        == "denied by human u-17 through chat at 2026-09-21 14:13:28 UTC after 1.0 s, because no"
    )


def test_every_other_kind_has_words(build):
    b = build()
    b.add(
        Kind.VERIFICATION,
        "verify total",
        runrecord__verification__name="total",
        runrecord__verification__outcome="pass",
    )
    b.add(
        Kind.COMPENSATION,
        "compensate x",
        runrecord__subject__name="create_refund",
        runrecord__compensation__outcome="succeeded",
    )
    b.add(
        Kind.ESCALATION,
        "",
        runrecord__escalation__reason_code="stuck",
        runrecord__escalation__target__ref="queue-2",
    )
    b.add(Kind.CONFLICT, "x")
    b.add(Kind.GAP, "x")
    b.add(Kind.MODEL_CALL, "chat gpt")
    b.request("c1")
    b.answer("c1")
    assert [told(record) for record in b.view().records] == [
        "verification total: pass",
        "compensation of create_refund: succeeded",
        "escalated to queue-2: stuck",
        "CONFLICT: another version of entry ?",
        "GAP: records were dropped",
        "model call chat gpt",
        "asked for approval of create_refund",
        "approval of create_refund answered: approved by u-17",
    ]


def test_the_headline_leaves_out_what_is_not_known(refund):
    facts = dict(headline(refund().view()))
    assert facts["Agent"] == "refund-agent"
    assert "Tenant" not in facts
    assert dict(headline(RunView("x", [])))["Outcome"] == "open"
