# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runrecord.ledger import audit_run, render_report
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.entry import Entry, Kind
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
from runrecord.ledger.records import Record
from runrecord.ledger.runs import RunView
from runrecord.ledger.values import wrap

CHECKPOINT = Checkpoint("example.com/test", 42, b"\x01" * 32)


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


def page_of(view):
    return render_report(view, audit_run(view), CHECKPOINT)


def test_a_person_finds_who_did_what_when(refund):
    page = Page(page_of(refund().view()))
    assert page.open == []
    for words in (
        "Audit report of run run-0001",
        "refund-agent",
        "success",
        "COMPLETE",
        "Segment 1",
        "called create_refund [call_2]: pay on payments, committed, reversible",
        "require_approval by refunds version 14, rule over_50_usd",
        "approved by human u-17",
        "after 42.5 s",
        "None of the invariants was broken",
        "An emitter that never emitted is invisible",
        "example.com/test",
        "42 entries",
    ):
        assert words in page.text


def test_the_page_loads_and_runs_nothing(refund):
    page = Page(page_of(refund().view()))
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "form", "a", "object"}
    assert not [
        name
        for _, attributes in page.tags
        for name in attributes
        if name.startswith("on") or name in ("src", "href")
    ]
    assert "default-src 'none'" in page_of(refund().view())


def test_findings_and_gaps_are_in_the_page(build):
    b = build()
    b.begin()
    b.seq(b.source)
    b.decision("c1", "deny")
    b.tool("c1")
    b.close()
    text = Page(page_of(b.view())).text
    assert "ran although policy refunds rule over_50_usd denied it" in text
    assert "GAPS" in text


def test_a_run_without_anything_still_gives_a_page():
    text = Page(page_of(RunView("empty", []))).text
    for words in ("No step was recorded", "No tool call is recorded", "No policy decision", "UNCLOSED"):
        assert words in text


EVIL = "<script>alert(1)</script>\"'&\x1b[31m\u202e"


def poisoned(value):
    """A run in which every text that an emitter controls is the same hostile value."""
    attributes = dict.fromkeys(
        (
            "gen_ai.agent.name",
            "gen_ai.tool.name",
            "gen_ai.tool.call.id",
            "error.type",
            "runrecord.run.outcome",
            "runrecord.run.autonomy",
            "runrecord.run.stop_reason",
            "runrecord.principal.ref",
            "runrecord.version.code",
            "runrecord.step.kind",
            "runrecord.step.name",
            "runrecord.side_effect.type",
            "runrecord.side_effect.target",
            "runrecord.side_effect.ref",
            "runrecord.decision.outcome",
            "runrecord.decision.reason_code",
            "runrecord.policy.id",
            "runrecord.policy.name",
            "runrecord.policy.version",
            "runrecord.policy.rule.id",
            "runrecord.subject.id",
            "runrecord.subject.name",
            "runrecord.approval.id",
            "runrecord.approval.status",
            "runrecord.approval.actor.type",
            "runrecord.approval.actor.ref",
            "runrecord.approval.channel",
            "runrecord.approval.reason_code",
            "runrecord.approval.deadline",
            "runrecord.idempotency.ref",
            "runrecord.budget.dimension",
            "runrecord.verification.name",
            "runrecord.verification.outcome",
            "runrecord.compensation.outcome",
            "runrecord.escalation.reason_code",
            "runrecord.escalation.target.ref",
        ),
        value,
    )
    attributes |= {
        "runrecord.step.index": wrap(1),
        "runrecord.budget.limit": wrap(1.0),
        "runrecord.budget.consumed": wrap(2.0),
    }
    kinds = [v for k, v in vars(Kind).items() if k.isupper()] + ["of_a_later_release"]
    entries = [
        Entry(
            kind=kind,
            run=value,
            source=value,
            tenant=value,
            seq=number,
            trace_id="ab" * 16,
            span_id=f"{number:016x}",
            name=value,
            start=number,
            end=number,
            status="error",
            attributes=attributes,
            detail={"of": value, "reason": value},
            origin=replace(Entry(kind="x").origin, service=value, service_version=value),
        )
        for number, kind in enumerate(kinds)
    ]
    return RunView(value, [Record(index, entry) for index, entry in enumerate(entries)])


def test_hostile_text_is_escaped_everywhere():
    page = page_of(poisoned(EVIL))
    assert "<script" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "alert(1)" in Page(page).text


@given(st.text(max_size=30))
def test_any_text_gives_a_well_formed_page(value):
    assert Page(page_of(poisoned(value))).open == []


# --- phrases -------------------------------------------------------------------------------------------------------------


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


def test_a_call_that_does_not_declare_its_effect_is_not_reported_as_no_effect(build):
    b = build("r1")
    b.begin()
    b.decision("c1", "require_approval")
    b.request("c1")
    b.answer("c1")
    silent = dict.fromkeys(("target", "committed", "reversible"))
    b.tool("c1", "send_mail", effect=None, **{f"runrecord__side_effect__{n}": v for n, v in silent.items()})
    b.close()
    page = render_report(b.view(), [], Checkpoint("example.com/test", 5, bytes(32)))
    assert (
        "not known: send_mail does not declare its effect</td><td>not known</td><td>no reference</td><td>require_approval by"
        in page
    )
    assert "declared to change nothing" not in page
    only_reads = build("r2")
    only_reads.begin()
    only_reads.tool("c1", effect="read")
    only_reads.close()
    page = render_report(only_reads.view(), [], Checkpoint("example.com/test", 5, bytes(32)))
    assert "Every tool call is declared to change nothing." in page


def test_what_the_ledger_states_and_what_the_resources_say_is_in_the_report(refund):
    whole = refund()
    said = [
        Entry(kind=Kind.RESOURCE, run=whole.run, attributes={"service.name": "refunds"}),
        Entry(kind=Kind.GAP, run=whole.run, detail={"reason": "queue_full", "records": "3"}),
        Entry(kind=Kind.LATE, run=whole.run, detail={"of": "4", "after": "2"}),
        Entry(kind=Kind.RUN_ABANDONED, run=whole.run, detail={"last": "4", "quiet_seconds": "60"}),
    ]
    page = render_report(whole.view([*whole.entries, *said]), [], Checkpoint("x", 99, bytes(32)))
    for text in (
        "service.name refunds",
        "GAP: queue_full, 3 records",
        "LATE: entry 4 came after entry 2",
        "ABANDONED: nothing came for 60 s after entry 4",
    ):
        assert text in page
    complete = render_report(whole.view(), [], Checkpoint("x", 99, bytes(32)))
    assert "count 11 records of 3 sources" in complete
