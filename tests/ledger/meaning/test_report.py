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
from runrecord.ledger.note import CosignatureSigner, NoteSigner
from runrecord.ledger.records import Record
from runrecord.ledger.report import Evidence
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
        Entry(
            kind=Kind.LEGAL_HOLD,
            run=whole.run,
            start=1,
            detail={"action": "placed", "actor": "legal@<b>", "reason": "case 7"},
        ),
    ]
    page = render_report(whole.view([*whole.entries, *said]), [], Checkpoint("x", 99, bytes(32)))
    for text in (
        "service.name refunds",
        "GAP: queue_full, 3 records",
        "LATE: entry 4 came after entry 2",
        "ABANDONED: nothing came for 60 s after entry 4",
        "LEGAL HOLD placed by legal@&lt;b&gt; at 1970-01-01 00:00:00 UTC: case 7",
    ):
        assert text in page
    complete = render_report(whole.view(), [], Checkpoint("x", 99, bytes(32)))
    assert "count 11 records of 3 sources" in complete


def figure(page):
    return page[page.index("<svg") : page.index("</svg>")]


def test_the_figure_cuts_the_wait_for_an_approval_and_says_how_long_it_was(build):
    b = build()
    b.begin()
    b.step(0)
    b.request("c1", step=0)
    b.clock += 26 * 3600 * 10**9
    b.answer("c1", step=0)
    b.tool("c1", step=0)
    b.close()
    page = page_of(b.view())
    assert "26.0 h waiting" in Page(figure(page)).text
    assert "09-21 14:13" in Page(figure(page)).text  # a run of more than a day shows dates
    widths = [float(w) for w in re.findall(r'class="quiet" x="[0-9.]+" y="33" width="([0-9.]+)"', page)]
    assert 0 < max(widths) < 500


@pytest.mark.parametrize("count", [300, 4000])
def test_a_long_run_gives_a_figure_and_tables_of_bounded_size(build, count):
    b = build()
    b.begin()
    for number in range(count):
        b.step(number)
        b.tool(f"c{number}", effect="read", step=number)
    b.close()
    page = page_of(b.view())
    assert len(figure(page)) < 1_000_000
    assert len(page) < 2_000_000
    assert ("more rows are not shown" in page) == (count > 500)
    places = [float(x) for x in re.findall(r' x="([0-9.]+)"', figure(page))]
    assert 0 <= min(places) <= max(places) <= 1000


def test_a_report_needs_no_colour(refund):
    """Whatever has a colour has a word and a sign as well."""
    b = refund()
    page = page_of(b.view())
    for badge in re.findall(r'<span class="badge (?:good|warn|bad)">(.*?)</span></?', page):
        assert re.search(r'aria-hidden="true">[\u2713!\u2717]</span> \w', badge)


def test_what_was_shown_is_compared_with_what_ran(build, digests):
    agreed, other = digests
    cases = {
        "equal": ("approved", agreed, {}),
        "NOT equal": ("approved", other, {}),
        "ran, not approved": ("denied", agreed, {}),
        "can't tell": ("approved", agreed, {"digest": ""}),
    }
    for word, (status, ran, more) in cases.items():
        b = build()
        b.begin()
        b.request("c1", **{k: v for k, v in more.items() if k != "digest"})
        b.answer("c1", status)
        b.tool("c1", digest=more.get("digest", ran))
        b.close()
        assert word in re.findall(
            r"</span> ([^<]*)</span></td></tr>", page_of(b.view()).replace("&#x27;", "'")
        )


def test_effects_say_whether_they_were_made_once_and_undone(build):
    b = build()
    b.begin()
    b.tool("c1", runrecord__idempotency__ref="idem-7", runrecord__side_effect__ref="pay_99")
    b.tool("c2", runrecord__idempotency__key_present=True)
    b.add(Kind.COMPENSATION, "compensate", runrecord__compensation__subject__id="c1", runrecord__compensation__outcome="succeeded")  # fmt: skip
    b.close()
    page = Page(page_of(b.view())).text
    for words in ("idem-7", "it made pay_99", "a key, not recorded", "succeeded at 2026-"):
        assert words in page


def test_costs_and_tokens_stand_beside_their_budgets(build):
    b = build()
    b.begin()
    spent = {"gen_ai__usage__input_tokens": 1200, "gen_ai__usage__output_tokens": 34, "runrecord__cost__currency": "EUR"}  # fmt: skip
    b.add(Kind.MODEL_CALL, "chat", runrecord__cost__amount=0.1, **spent)
    b.add(Kind.MODEL_CALL, "chat", runrecord__cost__amount=0.2, **spent)
    limits = {"runrecord__budget__id": "spend", "runrecord__budget__dimension": "cost", "runrecord__cost__currency": "EUR"}  # fmt: skip
    b.close(runrecord__budget__limit=0.25, runrecord__budget__consumed=0.3, **limits)
    page = Page(page_of(b.view())).text
    for words in ("0.3 EUR", "2,400 in, 68 out", "spend", "0.25 EUR", "exceeded"):
        assert words in page


def test_what_vouches_for_the_record_is_said(refund):
    log, witness = (
        NoteSigner("example.com/test", b"l" * 32),
        CosignatureSigner("w.example/1", b"w" * 32),
    )
    checkpoint = Checkpoint("example.com/test", 42, b"\x01" * 32).sign([log])
    alone = Page(
        render_report(refund().view(), [], Evidence(checkpoint, "example.com/test/bundle+00c0ffee"))
    ).text
    assert f"example.com/test+{log.key_hash:08x}" in alone
    assert "example.com/test/bundle+00c0ffee" in alone
    assert "By nobody" in alone
    assert "None: the times are those" in alone
    note = checkpoint.note + witness.sign(checkpoint.body()).line().encode()
    seen = Evidence(replace(checkpoint, note=note), stamped="example TSA at 2026", known=(7, 21))
    text = Page(render_report(refund().view(), [], seen)).text
    assert "w.example/1 at 20" in text
    assert "example TSA at 2026" in text
    assert "checkpoints at 7, 21 entries" in text


def test_a_disclosed_value_is_marked_and_escaped(refund):
    view = refund().view()
    (call,) = [call for call in view.calls if call.call_id == "call_2"]
    place = (call.record.index, "runrecord.arguments.digest")
    page = render_report(view, [], Evidence(CHECKPOINT, disclosed={place: {"note": EVIL, "amount": 5}}))
    assert page.count("DISCLOSED") == 2  # beside what ran, and in a list of all
    assert "<script" not in page
    assert "alert(1)" in Page(page).text
    assert "DISCLOSED" not in page_of(view)
    whole = render_report(view, [], Evidence(CHECKPOINT, disclosed={place: "x" * 100_000}))
    assert "100,000 characters in disclosures.json" in whole
    assert len(whole) < len(page) + 10_000
