# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Which runs a back end gets: decided on serialised spans, in a real file, with a clock that the test turns."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runrecord.collector.sampling import Spool
from runrecord.collector.sampling.sampler import fragments_of

REASONS = ("denial", "approval", "error", "budget", "escalation")
LOW, HIGH = bytes(15) + b"\x01", b"\x01" * 9 + b"\xff" * 7
"""Trace ids at the ends of the scale: any share holds the first, and none but all holds the second."""
DAY = 86_400


def request(*spans):
    body = ExportTraceServiceRequest()
    scope = body.resource_spans.add(schema_url="r").scope_spans.add(schema_url="s")
    for number, given_facts in enumerate(spans):
        facts = {"trace": HIGH, "parent": b"p" * 8, "error": False, **given_facts}
        span = scope.spans.add(
            trace_id=facts.pop("trace"),
            span_id=(number + 1).to_bytes(8, "big"),
            name=facts.pop("name", "span"),
        )
        span.parent_span_id = facts.pop("parent")
        span.status.code = 2 if facts.pop("error") else 0
        for key, value in facts.items():
            target = span.attributes.add(key="runrecord." + key.replace("__", ".")).value
            if isinstance(value, bool):
                target.bool_value = value
            else:
                target.string_value = value
    return body.SerializeToString()


def names(kept):
    found = []
    for each in kept:
        parsed = ExportTraceServiceRequest.FromString(each.body)
        spans = [s.name for part in parsed.resource_spans for scope in part.scope_spans for s in scope.spans]
        assert len(spans) == each.spans
        found += spans
    return found


@pytest.fixture
def spool(tmp_path):
    """Open spools on the same file; the last is closed at the end."""
    opened = []

    def open_it(**changes):
        settings = {
            "percentage": 10,
            "keep": REASONS,
            "decision_wait": 30.0,
            "max_wait": 7 * DAY,
            "max_bytes": 1 << 20,
        }
        if opened:
            opened.pop().close()
        opened.append(Spool(tmp_path / "spool.sqlite", **{**settings, **changes}))
        return opened[-1]

    yield open_it
    for each in opened:
        each.close()


def add(spool, *spans, now=0.0):
    kept = names(spool.add(fragments_of(request(*spans)), now))
    spool.commit()
    return kept


def settle(spool, now):
    spool.settle(now)
    spool.commit()


@pytest.mark.parametrize(
    "why",
    [
        {"decision__outcome": "deny"},
        {"decision__outcome": "escalate"},
        {"decision__outcome": "require_approval"},
        {"approval__id": "a1"},
        {"error": True},
        {"budget__exceeded": True},
        {"run__state": "completed", "run__outcome": "denied"},
        {"run__state": "completed", "run__outcome": "failure"},
        {"run__state": "completed", "run__outcome": "escalated"},
        {"run__state": "completed", "run__outcome": "budget_exceeded"},
    ],
    ids=str,
)
def test_what_waits_goes_on_when_something_speaks_for_the_run(spool, why):
    it = spool()
    assert add(it, {"run__id": "r", "name": "one"}, {"name": "foreign"}) == []
    assert add(it, {"run__id": "r", "name": "two", **why}) == ["one", "foreign", "two"]
    assert (it.waiting_spans, it.waiting_bytes) == (0, 0)
    assert add(it, {"run__id": "r", "name": "late"}) == ["late"]
    assert it.dropped_spans == 0


@pytest.mark.parametrize(
    "why",
    [
        {"decision__outcome": "allow"},
        {"budget__exceeded": False},
        {"run__state": "completed", "run__outcome": "success"},
        {"run__state": "completed", "run__outcome": "cancelled"},
        {"run__state": "suspended"},
    ],
    ids=str,
)
def test_nothing_else_does(spool, why):
    assert add(spool(), {"run__id": "r", **why}) == []


def test_reasons_can_be_left_out(spool):
    it = spool(keep=["denial"])
    assert add(it, {"run__id": "r", "error": True, "name": "a"}) == []
    assert add(it, {"run__id": "r", "decision__outcome": "deny", "name": "b"}) == ["a", "b"]


def test_the_share_is_of_traces_and_the_same_everywhere(spool):
    random.seed(1)
    traces = [random.randbytes(16) for _ in range(4000)]

    def passing(percentage, **facts):
        it = spool(percentage=percentage)
        kept = it.add(fragments_of(request(*({"trace": trace, **facts} for trace in traces))), 0.0)
        return {
            ExportTraceServiceRequest.FromString(each.body).resource_spans[0].scope_spans[0].spans[0].trace_id
            for each in kept
        }

    tenth, fifth = passing(10), passing(20, run__state="suspended")
    assert 300 < len(tenth) < 500
    assert 700 < len(fifth) < 900
    assert tenth < fifth
    assert add(spool(percentage=100), {"trace": HIGH}) == ["span"]
    assert add(spool(percentage=0, keep=()), {"trace": bytes(16), "error": True}) == []


def test_a_run_of_two_traces_is_one_run(spool):
    it = spool()
    add(it, {"run__id": "r", "name": "first segment"})
    add(it, {"trace": b"2" * 9 + b"\xff" * 7, "name": "foreign, of a later segment"})
    add(it, {"trace": b"2" * 9 + b"\xff" * 7, "run__id": "r", "name": "later segment"})
    assert add(it, {"run__id": "r", "approval__id": "a", "name": "asked"}) == [
        "first segment", "foreign, of a later segment", "later segment", "asked"
    ]  # fmt: skip


def test_what_waits_of_a_part_goes_on_when_the_other_part_is_kept_already(spool):
    it = spool()
    add(it, {"trace": b"2" * 9 + b"\xff" * 7, "name": "foreign"})
    add(it, {"run__id": "r", "error": True, "name": "wrong"})
    assert add(it, {"trace": b"2" * 9 + b"\xff" * 7, "run__id": "r", "name": "joins"}) == ["foreign", "joins"]


def test_a_run_is_dropped_after_its_end_and_not_before(spool):
    it = spool()
    add(it, {"run__id": "r"}, now=0)
    settle(it, now=6 * DAY)
    assert it.waiting_spans == 1
    add(
        it, {"run__id": "r", "parent": b"", "run__state": "completed", "run__outcome": "success"}, now=6 * DAY
    )
    settle(it, now=6 * DAY + 29)
    assert it.waiting_spans == 2
    settle(it, now=6 * DAY + 30)
    assert (it.waiting_spans, it.dropped_spans) == (0, 2)
    assert add(it, {"run__id": "r"}, now=6 * DAY + 31) == []
    assert it.dropped_spans == 3


def test_a_run_inside_of_another_does_not_end_it(spool):
    it = spool()
    add(
        it, {"run__id": "inner", "run__state": "completed", "run__outcome": "success", "name": "inner"}, now=0
    )
    settle(it, now=599)
    assert add(it, {"run__id": "outer", "decision__outcome": "deny", "name": "outer"}, now=599) == [
        "inner",
        "outer",
    ]


def test_the_root_of_a_trace_does_not_end_the_run_in_it(spool):
    it = spool()
    add(it, {"parent": b"", "name": "POST /refund"}, {"run__id": "r", "name": "step"}, now=0)
    settle(it, now=DAY)
    assert it.waiting_spans == 2
    add(it, {"run__id": "r", "run__state": "completed", "run__outcome": "success"}, now=DAY)
    settle(it, now=DAY + 30)
    assert it.waiting_spans == 0


def test_traces_without_a_run_end_with_their_root_or_in_silence(spool):
    it = spool()
    add(it, {"parent": b""}, now=0)
    add(it, {"trace": b"2" * 9 + b"\xff" * 7}, now=0)
    settle(it, now=30)
    assert it.waiting_spans == 1
    settle(it, now=600)
    assert it.waiting_spans == 0


def test_a_run_that_was_dropped_is_kept_from_the_first_span_that_speaks_for_it(spool):
    it = spool()
    add(it, {"run__id": "r", "name": "early"}, now=0)
    settle(it, now=8 * DAY)
    assert add(it, {"run__id": "r", "name": "boring"}, now=8 * DAY) == []
    assert add(it, {"run__id": "r", "error": True, "name": "wrong"}, now=8 * DAY) == ["wrong"]
    assert add(it, {"run__id": "r", "name": "after"}, now=8 * DAY) == ["after"]


def test_runs_of_different_tenants_are_different_runs(spool):
    it = spool()
    body = request({"run__id": "r", "error": True, "name": "wrong"})
    add(it, {"run__id": "r", "name": "default"})
    assert [(each.route, each.spans) for each in it.add(fragments_of(body, "acme"), 0.0)] == [("acme", 1)]
    assert it.waiting_spans == 1


def test_without_room_the_most_silent_runs_are_decided(spool):
    it = spool(max_bytes=4000)
    for number in range(40):
        add(
            it,
            {"trace": bytes([number + 1]) * 9 + b"\xff" * 7, "run__id": f"r{number}", "note": "x" * 100},
            now=number,
        )
    settle(it, now=40)
    assert it.waiting_bytes <= 4000
    assert it.early == it.dropped_spans > 0
    assert add(it, {"run__id": "r39", "trace": bytes([40]) * 9 + b"\xff" * 7, "error": True}, now=41) == [
        "span",
        "span",
    ]


def test_what_is_committed_survives_and_what_is_not_does_not(spool):
    it = spool()
    add(it, {"run__id": "r", "name": "committed"})
    it.add(fragments_of(request({"run__id": "r", "name": "not committed"})), 0.0)
    it = spool()
    assert it.waiting_spans == 1
    assert add(it, {"run__id": "r", "error": True, "name": "wrong"}) == ["committed", "wrong"]


def test_decisions_are_forgotten_after_a_while(spool):
    it = spool()
    add(
        it,
        {"run__id": "r", "error": True, "parent": b"", "run__state": "completed", "run__outcome": "failure"},
        now=0,
    )
    add(it, {"trace": LOW, "run__id": "open"}, now=0)
    settle(it, now=3600)
    counted = "SELECT count(*) FROM run"
    assert it._db.execute(counted).fetchone() == (1,)
    settle(it, now=7 * DAY)
    assert it._db.execute(counted).fetchone() == (0,)
    assert it._db.execute("SELECT count(*) FROM name").fetchone() == (0,)


_SPANS = st.lists(
    st.fixed_dictionaries(
        {
            "trace": st.sampled_from([bytes([n]) * 9 + b"\xff" * 7 for n in range(1, 5)]),
            "name": st.text("abc", min_size=1, max_size=3),
        },
        optional={"run__id": st.sampled_from(["r1", "r2"]), "error": st.just(True)},
    ),
    max_size=12,
)


@given(st.lists(_SPANS, max_size=8))
def test_a_run_goes_on_whole_or_not_at_all(requests):
    """Oracle: runs are the connected parts of the graph of trace ids and run ids; an error in one lets all of it pass."""
    it = Spool(
        Path(":memory:"),
        percentage=0, keep=REASONS, decision_wait=30.0, max_wait=1e9, max_bytes=1 << 30,
    )  # fmt: skip
    passed = [name for spans in requests for name in add(it, *map(dict, spans))]
    parts: list[set] = []
    everything = [dict(span) for spans in requests for span in spans]
    for span in everything:
        ids = {span["trace"], *([span["run__id"]] if "run__id" in span else [])}
        touching = [part for part in parts if part & ids]
        parts = [part for part in parts if part not in touching] + [ids.union(*touching)]
    worth = [
        part for part in parts if any(span.get("error") and span["trace"] in part for span in everything)
    ]
    expected = [span["name"] for span in everything if any(span["trace"] in part for part in worth)]
    assert sorted(passed) == sorted(expected)
    assert it.waiting_spans == len(everything) - len(expected)
    it.close()


@given(_SPANS)
def test_a_request_taken_apart_by_trace_holds_what_it_held(spans):
    body = request(*map(dict, spans))
    fragments = fragments_of(body)
    if len(fragments) == 1:
        assert fragments[0].body == body
    found = {}
    for fragment in fragments:
        parsed = ExportTraceServiceRequest.FromString(fragment.body)
        [part] = parsed.resource_spans
        [scope] = part.scope_spans
        assert (part.schema_url, scope.schema_url) == ("r", "s")
        [trace] = {span.trace_id for span in scope.spans}
        found[trace] = [span.name for span in scope.spans]
    expected = {}
    for span in spans:
        expected.setdefault(span["trace"], []).append(span["name"])
    assert found == expected
