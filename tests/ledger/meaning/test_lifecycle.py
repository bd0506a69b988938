# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the ledger states of its own: what came late, and what nobody closed; the same after any restart."""

from __future__ import annotations

import pytest

from runrecord.ledger.completeness import Verdict, assess
from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.lifecycle import Lifecycle
from runrecord.ledger.records import Record

DAY = 86_400.0


class Clock:
    """Seconds, as told."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def start(ledger, tmp_path, clock):
    """Start the statements of a ledger; as often as one likes, as after a restart."""

    def start(path=tmp_path / "state" / "lifecycle.sqlite", after=60.0):
        def since(index):
            if not index:
                return [each.run for each in ledger.runs() if each.outcome in {"open", "waiting"}]
            return {Entry.parse(ledger.log.leaf(i)).run for i in range(index, ledger.log.size)} - {""}

        def records_of(run, without):
            return ledger.records_of(run, without=without)

        return Lifecycle(path, records_of, since, abandon_after=after, clock=clock)

    return start


@pytest.fixture
def append(ledger):
    def append(lifecycle, entries):
        results = ledger.append_entries(entries)
        records = [
            Record(r.index, e) for e, r in zip(entries, results, strict=True) if r.status != "conflict"
        ]
        statements = lifecycle.observe(records)
        if statements:
            return [(r.status, s) for s, r in zip(statements, ledger.append_entries(statements), strict=True)]
        return []

    return append


def passes(lifecycle, clock, seconds, *, caught_up=True):
    for _ in range(int(seconds)):
        clock.now += 1
        lifecycle.tick(caught_up=caught_up)


def test_a_record_after_the_close_of_its_run_is_stated_late_once(ledger, build, start, append):
    b = build()
    b.begin()
    b.step(0)
    b.step(1)
    b.close()
    first, second, close = b.entries
    lifecycle = start()
    assert append(lifecycle, [first, close]) == []
    ((status, late),) = append(lifecycle, [second])
    assert (status, late.detail) == ("new", {"of": "2", "after": "1"})
    assert [status for status, _ in append(lifecycle, [second])] == [
        "duplicate"
    ]  # sent again, or read again after a crash
    again = start()
    assert [status for status, _ in append(again, [first, close, second])] == ["duplicate"]
    found = ledger.run(b.run)
    assert found.completeness.verdict is Verdict.COMPLETE_LATE
    assert [r.entry.kind for r in found.statements] == [Kind.LATE]


def test_the_close_may_be_that_of_another_source(build, start, append):
    b = build()
    b.begin()
    b.answer("c1", source="b" * 16)
    b.close()
    answer, close = b.entries
    ((_, late),) = append(start(), [close, answer])
    assert (late.source, late.detail) == ("b" * 16, {"of": "1", "after": "0"})


def test_what_counts_no_record_is_never_late(build, start, append):
    b = build()
    b.begin()
    intent = b.announce("c1")
    b.tool("c1")
    close = b.close()
    opened = Entry(
        kind=Kind.RUN_OPEN, run=b.run, source=b.source, seq=0, trace_id=b.trace_id, span_id=close.span_id
    )
    resource = Entry(kind=Kind.RESOURCE, run=b.run, attributes={"service.name": "x"})
    result = b.entries[1]
    assert append(start(), [result, close, intent, opened, resource]) == []


def test_a_run_that_nobody_closed_is_given_up_after_a_time_without_records(
    ledger, build, start, append, clock
):
    b = build()
    b.begin()
    b.step(0)
    lifecycle = start()
    append(lifecycle, b.entries)
    passes(lifecycle, clock, 59)
    assert lifecycle.abandoned() == []
    passes(lifecycle, clock, 1)
    (gone,) = lifecycle.abandoned()
    assert (gone.kind, gone.run) == (Kind.RUN_ABANDONED, b.run)
    assert gone.detail == {"last": "0", "seen": "1", "quiet_seconds": "60"}
    append(lifecycle, [gone])
    assert lifecycle.abandoned() == []
    view = ledger.run(b.run)
    assert (view.outcome, view.completeness.verdict) == ("abandoned", Verdict.UNCLOSED)


def test_each_record_gives_a_run_its_time_anew(build, start, append, clock):
    b = build()
    b.begin()
    b.step(0)
    b.step(1)
    lifecycle = start()
    append(lifecycle, b.entries[:1])
    passes(lifecycle, clock, 50)
    append(lifecycle, b.entries[1:])
    passes(lifecycle, clock, 50)
    append(lifecycle, b.entries[:1])  # sent again: it says nothing new
    passes(lifecycle, clock, 9)
    assert lifecycle.abandoned() == []
    passes(lifecycle, clock, 1)
    assert len(lifecycle.abandoned()) == 1


@pytest.mark.parametrize("state", ["completed", "suspended"])
def test_a_run_that_ended_or_waits_is_not_given_up(build, start, append, clock, state):
    b = build()
    b.begin()
    b.step(0)
    b.close(state)
    b.answer("c1", source="b" * 16)
    lifecycle = start()
    append(lifecycle, b.entries)
    passes(lifecycle, clock, 1000)
    assert lifecycle.abandoned() == []


def test_a_run_that_went_on_and_stopped_is_given_up(build, start, append, clock):
    b = build()
    b.begin()
    b.close("suspended")
    b.begin("b" * 16)
    b.add(Kind.STEP, "agent_step act", source="b" * 16)
    lifecycle = start()
    append(lifecycle, b.entries)
    passes(lifecycle, clock, 60)
    assert [each.run for each in lifecycle.abandoned()] == [b.run]


def test_a_segment_that_was_handed_over_and_not_taken_up_is_given_up(build, start, append, clock):
    b = build()
    b.begin()
    b.close("suspended", **{"runrecord.run.stop_reason": "handed_over"})
    lifecycle = start()
    append(lifecycle, b.entries)
    passes(lifecycle, clock, 60)
    assert [each.run for each in lifecycle.abandoned()] == [b.run]
    b.begin("b" * 16)
    taken_up = b.close("suspended", source="b" * 16)
    append(lifecycle, [taken_up])
    assert lifecycle.abandoned() == []


def test_only_time_in_which_all_was_read_counts(build, start, append, clock):
    b = build()
    b.begin()
    b.step(0)
    lifecycle = start()
    append(lifecycle, b.entries)
    passes(lifecycle, clock, 1000, caught_up=False)
    clock.now += 30 * DAY  # the machine slept, or the clock jumped
    lifecycle.tick(caught_up=True)
    assert lifecycle.abandoned() == []
    clock.now -= 10 * DAY
    lifecycle.tick(caught_up=True)
    passes(lifecycle, clock, 54)
    assert lifecycle.abandoned() == []
    passes(lifecycle, clock, 1)
    assert len(lifecycle.abandoned()) == 1


def test_restarts_neither_lengthen_nor_shorten_the_time_by_more_than_a_save(build, start, append, clock):
    b = build()
    b.begin()
    b.step(0)
    lifecycle = start()
    append(lifecycle, b.entries)
    for _ in range(6):  # a deployment every ten seconds
        assert lifecycle.abandoned() == []
        passes(lifecycle, clock, 10)
        lifecycle.close()
        clock.now += DAY  # it was away
        lifecycle = start()
    passes(lifecycle, clock, 5)
    assert len(lifecycle.abandoned()) == 1


def test_after_a_crash_the_log_tells_what_was_not_saved(build, start, append, clock):
    b, other = build(), build("run-0002", source="c" * 16)
    for each in (b, other):
        each.begin()
        each.step(0)
    lifecycle = start()
    append(lifecycle, b.entries)
    passes(lifecycle, clock, 10)
    append(lifecycle, other.entries)  # never saved: the process is killed here
    lifecycle = start()
    passes(lifecycle, clock, 55)
    assert [each.run for each in lifecycle.abandoned()] == [b.run]
    passes(lifecycle, clock, 10)
    assert {each.run for each in lifecycle.abandoned()} == {b.run, other.run}


@pytest.mark.parametrize("damage", [None, b"", b"not a database" * 100])
def test_a_lost_or_damaged_file_is_made_anew_from_the_ledger(  # noqa: PLR0917 - fixtures
    build, start, append, clock, tmp_path, damage
):
    path = tmp_path / "state" / "lifecycle.sqlite"
    b = build()
    b.begin()
    b.step(0)
    lifecycle = start()
    append(lifecycle, b.entries)
    lifecycle.close()
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    lifecycle = start()
    passes(lifecycle, clock, 60)
    assert len(lifecycle.abandoned()) == 1


def test_a_record_of_a_closed_run_that_is_sent_again_opens_nothing(build, start, append, clock):
    b = build()
    b.begin()
    b.step(0)
    b.step(1)
    b.close()
    lifecycle = start()
    append(lifecycle, b.entries)
    lifecycle.close()
    lifecycle = start()  # it knows nothing of the run but what the log says
    assert append(lifecycle, b.entries[:1]) == []
    passes(lifecycle, clock, 1000)
    assert lifecycle.abandoned() == []


def test_an_old_file_gives_up_nothing_that_was_closed_since(build, start, append, clock, tmp_path):
    path = tmp_path / "state" / "lifecycle.sqlite"
    b = build()
    b.begin()
    b.step(0)
    lifecycle = start()
    append(lifecycle, b.entries)
    lifecycle.close()
    old = path.read_bytes()
    lifecycle = start()
    append(lifecycle, [b.close()])
    lifecycle.close()
    path.write_bytes(old)
    lifecycle = start()
    passes(lifecycle, clock, 1000)
    assert lifecycle.abandoned() == []


def test_what_another_writer_appended_counts(ledger, build, start, append, clock):
    b, other = build(), build("run-0002", source="c" * 16)
    for each in (b, other):
        each.begin()
        each.step(0)
        each.step(1)
    lifecycle = start()
    append(lifecycle, [b.entries[0], other.entries[0]])
    passes(lifecycle, clock, 60)
    ledger.append_entries([b.close(), other.entries[1]])  # through another gateway
    assert lifecycle.abandoned() == []
    passes(lifecycle, clock, 60)
    assert [each.run for each in lifecycle.abandoned()] == [other.run]


def test_a_file_that_can_not_be_made_costs_only_the_memory_of_restarts(build, start, append, clock, tmp_path):
    (tmp_path / "blocked").write_text("")
    b = build()
    b.begin()
    b.step(0)
    lifecycle = start(tmp_path / "blocked" / "file.sqlite")
    append(lifecycle, b.entries)
    passes(lifecycle, clock, 60)
    assert len(lifecycle.abandoned()) == 1
    assert start(None, after=None).abandoned() == []


def test_a_run_that_was_given_up_and_came_back_is_complete_and_late(ledger, build, start, append, clock):
    b = build()
    b.begin()
    b.step(0)
    lifecycle = start()
    append(lifecycle, b.entries)
    passes(lifecycle, clock, 60)
    append(lifecycle, lifecycle.abandoned())
    ((_, late),) = append(lifecycle, [b.close()])
    assert late.detail == {"of": "2", "after": "1"}
    assert assess(ledger.records_of(b.run)).verdict is Verdict.COMPLETE_LATE
