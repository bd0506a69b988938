# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from runrecord.ledger.completeness import Verdict, holes, listed
from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.records import Record, in_run_order
from runrecord.ledger.runs import RunView
from runrecord.ledger.values import wrap


def verdict(view):
    return view.completeness.verdict


def reasons(view):
    return " | ".join(reason.text for reason in view.completeness.reasons)


def test_a_run_whose_every_record_is_here_is_complete(refund):
    view = refund().view()
    assert verdict(view) is Verdict.COMPLETE
    assert reasons(view) == ""
    assert sum(view.completeness.sources.values()) == len(view.records)


def test_any_single_missing_record_shows(refund):
    """Whatever record of a run gets lost, the verdict is no longer complete, except the last of a process that only answers."""
    whole = refund()
    for lost in whole.entries:
        view = whole.view([entry for entry in whole.entries if entry is not lost])
        if lost.kind == Kind.APPROVAL_DECISION:
            assert verdict(view) is Verdict.COMPLETE
            assert lost.source not in view.completeness.sources
        else:
            assert not view.completeness.complete, lost


def test_a_hole_in_the_counters_is_a_gap(build):
    b = build()
    b.begin()
    b.step(0)
    b.seq(b.source)
    b.step(1)
    b.seq(b.source)
    b.seq(b.source)
    b.close()
    assert verdict(b.view()) is Verdict.GAPS
    assert "3 of 6 records are missing: 2, 4-5" in reasons(b.view())


def test_a_lost_tail_is_a_gap(build):
    b = build()
    b.begin()
    b.step(0)
    b.step(1)
    b.close()
    assert verdict(b.view([b.entries[0], b.entries[2]])) is Verdict.GAPS


def test_a_process_that_died_leaves_the_run_unclosed(build):
    b = build()
    b.begin()
    b.step(0)
    assert verdict(b.view()) is Verdict.UNCLOSED
    assert "never closed its segment" in reasons(b.view())


def test_a_suspended_run_waits(build):
    b = build()
    b.begin()
    b.request("call_1")
    b.close("suspended")
    assert verdict(b.view()) is Verdict.UNCLOSED
    assert "the run waits" in reasons(b.view())
    assert b.view().outcome == "waiting"


def test_a_missing_middle_segment_is_a_gap(build):
    b = build()
    for number, state in enumerate(["suspended", "suspended", "completed"]):
        source = f"{number:016x}"
        b.begin(source)
        b.close(state, source=source, segment=number)
    assert verdict(b.view()) is Verdict.COMPLETE
    assert "no close of segment 1" in reasons(b.view([b.entries[0], b.entries[2]]))


def test_one_process_may_run_several_segments(build):
    b = build()
    b.begin()
    b.request("call_1")
    b.close("suspended")
    b.begin()
    b.tool("call_1")
    b.close(segment=1)
    assert verdict(b.view()) is Verdict.COMPLETE
    assert [len(s.steps[0].records) for s in b.view().segments] == [1, 1]


def test_a_record_that_arrived_after_the_close_is_late_and_no_gap(build):
    b = build()
    b.begin()
    b.step(0)
    b.step(1)
    b.close()
    view = b.view([b.entries[0], b.entries[2], b.entries[1]])
    assert verdict(view) is Verdict.COMPLETE_LATE
    assert view.completeness.complete
    assert view.completeness.reasons[0].indices == (2,)


def test_a_conflict_outweighs_all(build):
    b = build()
    b.begin()
    step = b.step(0)
    conflict = replace(step, kind=Kind.CONFLICT, detail={"of": "0", "kind": "step"})
    view = b.view([*b.entries, conflict])
    assert verdict(view) is Verdict.CONFLICTS
    assert view.completeness.reasons[0].indices == (0, 1)
    odd = b.view([*b.entries, replace(conflict, detail={})])
    assert odd.completeness.reasons[0].indices == (1,)


def test_a_counter_used_twice_is_a_conflict(build):
    b = build()
    b.begin()
    b.step(0)
    b.add(Kind.STEP, "agent_step act", seq=1)
    b.close()
    assert verdict(b.view()) is Verdict.CONFLICTS


def test_two_tenants_in_one_run_are_a_conflict(build):
    b = build()
    b.begin()
    b.step(0)
    b.close()
    same = [replace(entry, tenant="t1") for entry in b.entries]
    assert verdict(b.view(same)) is Verdict.COMPLETE
    assert verdict(b.view([replace(same[0], tenant=""), same[1]])) is Verdict.COMPLETE
    mixed = b.view([same[0], replace(same[1], tenant="t2")])
    assert verdict(mixed) is Verdict.CONFLICTS
    assert "2 tenants" in reasons(mixed)


def test_a_segment_closed_twice_is_a_conflict(build):
    b = build()
    for source in ("a" * 16, "b" * 16):
        b.begin(source)
        b.close(source=source)
    assert "closed 2 times" in reasons(b.view())


def test_a_segment_that_was_handed_over_has_one_close_per_source(build):
    b = build()
    handed = {"runrecord.run.stop_reason": "handed_over"}
    for source in ("a" * 16, "b" * 16):
        b.begin(source)
        b.close("suspended", source=source, outcome="", **handed)
    b.begin("c" * 16)
    b.close(source="c" * 16)
    assert verdict(b.view()) is Verdict.COMPLETE
    b.begin("d" * 16)
    b.close(source="d" * 16)
    assert "closed 2 times" in reasons(b.view())


def test_stated_gaps_and_abandoned_runs_count(build):
    b = build()
    b.begin()
    b.close()
    gap = Entry(kind=Kind.GAP, run=b.run, detail={"reason": "queue full", "from": "1", "to": "4"})
    assert "queue full" in reasons(b.view([*b.entries, gap]))
    assert verdict(b.view([*b.entries, gap])) is Verdict.GAPS
    b = build()
    b.begin()
    b.step(0)
    assert "gave the run up" in reasons(
        b.view([*b.entries, Entry(kind=Kind.RUN_ABANDONED, run=b.run, detail={"seen": "1"})])
    )


def test_records_without_a_counter_can_not_be_called_complete(build):
    b = build()
    b.begin()
    b.close()
    stray = replace(b.entries[0], kind=Kind.STEP, seq=None, span_id="ff" * 8)
    assert "carry no counter" in reasons(b.view([*b.entries, stray]))
    assert verdict(b.view([*b.entries, replace(stray, kind=Kind.ESCALATION)])) is Verdict.COMPLETE


def test_an_intent_without_a_result_is_a_gap(build):
    b = build()
    b.begin()
    b.tool("call_1", kind=Kind.TOOL_INTENT)
    b.close()
    assert "announced and have no result" in reasons(b.view())


def test_a_close_without_a_count_is_a_gap(build):
    b = build()
    b.begin()
    close = b.close()
    attributes = {k: v for k, v in close.attributes.items() if k != "runrecord.run.records"}
    assert "does not say how many" in reasons(b.view([replace(close, attributes=attributes)]))


def test_absurd_claims_are_not_counted_out(build):
    b = build()
    b.begin()
    close = b.close()
    huge = replace(
        close,
        attributes={
            **close.attributes,
            "runrecord.run.records": wrap(2**62),
            "runrecord.run.segment": wrap(2**62),
        },
    )
    assert verdict(b.view([huge])) is Verdict.GAPS
    assert verdict(b.view([replace(huge, seq=2**63)])) is Verdict.GAPS


def test_a_run_of_answers_only_is_unclosed(build):
    b = build()
    b.answer("call_1")
    assert verdict(b.view()) is Verdict.UNCLOSED
    assert verdict(RunView("none", [])) is Verdict.UNCLOSED


def test_an_answer_that_counts_itself_can_be_counted_on(refund):
    whole = refund()
    own = {"runrecord.run.records": wrap(1)}
    entries = [
        replace(entry, attributes={**entry.attributes, **own})
        if entry.kind == Kind.APPROVAL_DECISION
        else entry
        for entry in whole.entries
    ]
    view = whole.view(entries)
    assert verdict(view) is Verdict.COMPLETE


def test_answers_between_two_segments_of_one_source_leave_no_hole(build):
    b = build()
    b.begin()
    b.step(0)
    b.close("suspended")
    b.answer("call_1", runrecord__run__records=1)
    b.begin()
    b.step(1)
    b.close(segment=1)
    assert verdict(b.view()) is Verdict.COMPLETE


def test_holes_are_listed_as_ranges():
    assert holes([], 0) == []
    assert holes([0, 1, 2], 3) == []
    assert holes([1, 4, 9], 6) == [range(1), range(2, 4), range(5, 6)]
    assert listed([]) == ""
    assert listed(holes([0, 4, 6], 8)) == "1-3, 5, 7"
    assert listed(holes(range(0, 40, 2), 40)).endswith(", ...")


@given(st.sets(st.integers(0, 30)), st.integers(0, 30))
def test_holes_are_what_is_missing(present, end):
    assert {n for r in holes(present, end) for n in r} == set(range(end)) - present


@given(st.randoms(use_true_random=False))
def test_the_order_of_a_run_does_not_depend_on_arrival(random):
    def entry(source, seq, start):
        return Entry(kind="step", run="r", source=source, seq=seq, span_id=f"{seq:016x}", start=start)

    entries = [entry("a", 0, 10), entry("a", 1, 30), entry("a", 2, 20), entry("b", 0, 15), entry("b", 1, 40)]
    records = [Record(index, entry) for index, entry in enumerate(entries)]
    expected = in_run_order(records)
    assert [(r.entry.source, r.entry.seq) for r in expected] == [
        ("a", 0),
        ("b", 0),
        ("a", 1),
        ("a", 2),
        ("b", 1),
    ]
    random.shuffle(records)
    assert in_run_order(records) == expected
