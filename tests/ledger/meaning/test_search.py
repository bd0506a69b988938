# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a search says is what the records say, whatever happened, page by page, while the log grows, and with a wrong index."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runrecord.ledger import Effects, Entry, Kind, Ledger, Order, RunQuery, RunView, ToolCall
from runrecord.ledger.errors import LedgerError
from runrecord.ledger.legal_hold import hold_of
from runrecord.ledger.records import Record
from runrecord.ledger.run_facts import NANO
from runrecord.ledger.run_search import like_any
from runrecord.ledger.values import wrap

RUNS = ("a", "b", "d*")
NAMES = ("", "planner", "payer", "pay*er")
TIMES = st.integers(0, 5)


def entry(
    number: int, kind: str, run: str, *, start: int = 0, length: int = 0, detail=None, **attributes
) -> Entry:
    named = {name.replace("__", "."): wrap(value) for name, value in attributes.items() if value is not None}
    ids = {} if detail is not None else {"trace_id": "ab" * 16, "span_id": f"{number + 1:016x}"}
    return Entry(kind=kind, run=run, start=start, end=start + length, attributes=named, detail=detail or {}, **ids)  # fmt: skip


@st.composite
def histories(draw) -> list[Entry]:
    """Entries of a few runs, in any order."""
    found: list[Entry] = []
    name = st.sampled_from(NAMES)
    money = st.sampled_from([None, None, 0, 0.1, 0.2, 1.5, 3, -1])
    for number in range(draw(st.integers(0, 30))):
        run = draw(st.sampled_from((*RUNS, "")))
        kind = draw(
            st.sampled_from(
                [
                    Kind.STEP, Kind.RUN_OPEN, Kind.RUN_CLOSE, Kind.SOURCE_CLOSE, Kind.TOOL_RESULT, Kind.TOOL_INTENT, Kind.POLICY_DECISION,
                    Kind.APPROVAL_DECISION, Kind.RUN_ABANDONED, Kind.LEGAL_HOLD, Kind.ERASURE,
                ]
            )
        )  # fmt: skip
        attributes: dict[str, object] = {}
        detail = None
        if kind in {Kind.RUN_CLOSE, Kind.SOURCE_CLOSE}:
            attributes = {
                "runrecord__run__segment": draw(st.integers(0, 1)),
                "runrecord__run__outcome": draw(st.sampled_from([None, "success", "failure"])),
                "gen_ai__agent__name": draw(name),
                "gen_ai__workflow__name": draw(name),
                "runrecord__cost__amount": draw(money),
                "runrecord__cost__currency": draw(st.sampled_from(["USD", "EUR"])),
            }
        elif kind == Kind.RUN_OPEN:
            attributes = {
                "runrecord__run__segment": draw(st.integers(0, 1)),
                "runrecord__subject__name": draw(name),
            }
        elif kind in {Kind.TOOL_RESULT, Kind.TOOL_INTENT}:
            attributes = {
                "gen_ai__tool__name": draw(st.sampled_from([None, "look", "pay"])),
                "runrecord__subject__name": draw(st.sampled_from([None, "look", "pay"])),
                "runrecord__side_effect__type": draw(st.sampled_from([None, "", "none", "read", "pay"])),
                "runrecord__side_effect__committed": draw(st.sampled_from([None, True, False])),
                "runrecord__tool__destructive": draw(st.sampled_from([None, True, False])),
                "runrecord__dry_run": draw(st.sampled_from([None, None, True])),
                "runrecord__cost__amount": draw(money),
                "runrecord__cost__currency": draw(st.sampled_from(["USD", "EUR"])),
            }
        elif kind == Kind.POLICY_DECISION:
            attributes = {"runrecord__policy__id": draw(name), "runrecord__policy__name": draw(name)}
        elif kind == Kind.APPROVAL_DECISION:
            attributes = {
                "runrecord__approval__actor__ref": draw(st.sampled_from([None, "u-17", "u-18"])),
                "runrecord__approval__status": draw(st.sampled_from(["approved", "denied", "modified"])),
            }
        elif kind != Kind.STEP:
            detail = {"action": draw(st.sampled_from(["placed", "released"])), "number": str(number)}
        found.append(
            entry(number, kind, run, start=draw(TIMES), length=draw(TIMES), detail=detail, **attributes)
        )
    return found


queries = st.builds(
    RunQuery,
    outcomes=st.sampled_from([(), (), ("open",), ("waiting", "abandoned"), ("success",), ("*e*",)]),
    agents=st.sampled_from([(), (), (), ("payer",), ("pa*",), ("pay*er",), ("nobody", "planner")]),
    tools=st.sampled_from([(), (), (), ("pay",), ("*o*", "pay")]),
    policies=st.sampled_from([(), (), (), ("planner",), ("*",)]),
    approvers=st.sampled_from([(), (), (), ("u-17",)]),
    since=TIMES,
    until=st.one_of(TIMES, st.just(2**63 - 1)),
    at_least=st.sampled_from([None, None, None, 0.0, 0.3, float("-inf")]),
    at_most=st.sampled_from([None, None, None, 0.3, 2.0, float("inf")]),
    currency=st.sampled_from(["", "", "EUR"]),
    effects=st.sampled_from([None, None, *Effects]),
    marks=st.sampled_from([(), (), (), ("held",), ("erased", "held")]),
    order=st.sampled_from(list(Order)),
)


class Oracle:
    """A run as its records say, worked out by what `runrecord show` shows, not by the index."""

    def __init__(self, run: str, records: list[Record]) -> None:
        self.records = records
        self.view = view = RunView(run, records)
        self.calls = [
            ToolCall(r, None) if r.entry.kind == Kind.TOOL_RESULT else ToolCall(None, r)
            for r in records
            if r.entry.kind in {Kind.TOOL_RESULT, Kind.TOOL_INTENT}
        ]
        self.effects = sum(c.changes_something and c.took_effect for c in view.calls)
        answers = [r.entry for r in records if r.entry.kind == Kind.APPROVAL_DECISION]
        self.granted = sum(a.text("runrecord.approval.status") in {"approved", "modified"} for a in answers)
        ends = [r.entry for r in view.closes]
        opens = [r.entry for r in view.opens]
        decisions = [r.entry for r in view.decisions]
        self.texts = {
            "agents": texts(ends, "gen_ai.agent.name", "gen_ai.workflow.name")
            | texts(opens, "runrecord.subject.name"),
            "tools": {c.tool for c in self.calls} - {""},
            "policies": texts(decisions, "runrecord.policy.id", "runrecord.policy.name"),
            "approvers": texts(answers, "runrecord.approval.actor.ref"),
        }
        self.spend = costs(ends) or costs([c.entry for c in self.calls])
        held, erased = hold_of(records) is not None, any(r.entry.kind == Kind.ERASURE for r in records)
        self.marks = tuple(mark for mark, is_so in (("erased", erased), ("held", held)) if is_so)

    @property
    def most(self) -> tuple[Fraction, str]:
        return max((amount, currency) for currency, amount in self.spend.items())

    def place(self, order: Order):
        return (self.most[0] if order is Order.SPEND else 0, self.records[0].index)

    def matches(self, query: RunQuery) -> bool:
        view, by_cost = self.view, [each for each in (query.at_least, query.at_most) if each is not None]
        wants_cost = bool(by_cost or query.currency or query.order is Order.SPEND)
        if wants_cost and (
            not self.spend
            or (query.at_least is not None and float(self.most[0]) < query.at_least)
            or (query.at_most is not None and float(self.most[0]) > query.at_most)
            or query.currency not in {"", self.most[1]}
        ):
            return False
        changed = {
            None: True, Effects.ANY: self.effects > 0, Effects.NONE: self.effects == 0,
            Effects.APPROVED: self.effects > 0 and self.granted > 0, Effects.UNAPPROVED: self.effects > 0 and self.granted == 0,
        }[query.effects]  # fmt: skip
        return (
            changed
            and (not query.outcomes or like_any(query.outcomes, view.outcome))
            and view.end >= query.since
            and view.start <= query.until
            and set(query.marks) <= set(self.marks)
            and all(
                not getattr(query, kind) or any(like_any(getattr(query, kind), text) for text in found)
                for kind, found in self.texts.items()
            )
        )


def texts(entries, *attributes: str) -> set[str]:
    return {e.text(name) for e in entries for name in attributes} - {""}


def costs(entries) -> dict[str, Fraction]:
    found: dict[str, Fraction] = {}
    for e in entries:
        if (amount := e.number("runrecord.cost.amount")) is not None:
            currency = e.text("runrecord.cost.currency")
            found[currency] = found.get(currency, Fraction()) + Fraction(round(amount * NANO), NANO)
    return found


def told(entries: list[Entry], query: RunQuery) -> list[tuple]:
    by_run: dict[str, list[Record]] = {}
    for index, each in enumerate(entries):
        by_run.setdefault(each.run, []).append(Record(index, each))
    by_run.pop("", None)
    oracles = [oracle for run, own in by_run.items() if (oracle := Oracle(run, own)).matches(query)]
    oracles.sort(key=lambda oracle: oracle.place(query.order), reverse=True)
    return [
        (
            o.view.run, o.view.agent, o.view.outcome, len(o.records), o.records[0].index, o.view.start, o.view.end, o.effects, o.granted,
            {c: float(a) for c, a in o.spend.items()}, o.marks,
        )
        for o in oracles
    ]  # fmt: skip


def line(s) -> tuple:
    return (
        s.run, s.agent, s.outcome, s.entries, s.first_index, s.start, s.end, s.effects, s.approvals, dict(s.spend), s.marks
    )  # fmt: skip


def paged(ledger: Ledger, query: RunQuery, limit: int) -> list[tuple]:
    found: list[tuple] = []
    after = None
    while True:
        page = ledger.search(query, limit=limit, after=after)
        assert len(page.runs) <= limit
        found += map(line, page.runs)
        if page.cursor is None:
            return found
        assert len(page.runs) == limit
        after = page.cursor


@settings(max_examples=40)
@given(histories(), st.lists(queries, min_size=1, max_size=4), st.data())
def test_a_search_says_what_the_records_say(history, wanted, data):
    cut = data.draw(st.integers(0, len(history)))
    limit = data.draw(st.integers(1, 4))
    with (
        tempfile.TemporaryDirectory() as place,
        Ledger(place, origin="example.com/t", checkpoint_interval=None) as writer,
    ):
        writer.append_entries(history[:cut])
        writer.publish()
        with Ledger(place, read_only=True) as early:
            firsts = [(early.search(q, limit=limit), writer.search(q, limit=limit)) for q in wanted]
            for each in history[cut:]:  # one by one: a run is read back from the index each time
                writer.append_entries([each])
            for query, (by_reader, by_writer) in zip(wanted, firsts, strict=True):
                before = told(history[:cut], query)
                assert (
                    paged(early, query, limit) == before
                )  # it sees what its checkpoint covers, and the index is ahead
                for ledger, first in ((early, by_reader), (writer, by_writer)):
                    rest, after = list(map(line, first.runs)), first.cursor
                    while after is not None:
                        page = ledger.search(query, limit=limit, after=after)
                        rest, after = rest + list(map(line, page.runs)), page.cursor
                    assert rest == before  # the pages go on as the log was
                assert paged(writer, query, limit) == told(history, query)
            writer.publish()
            early.refresh()
            for query in wanted:
                assert paged(early, query, limit) == told(history, query)
            early.rebuild_index()
            for query in wanted:
                assert paged(early, query, limit) == told(history, query)
        writer.rebuild_index()
        assert [line(s) for s in writer.runs()] == told(history, RunQuery())


def some_runs(refund, count: int = 12) -> list[Entry]:
    return [each for number in range(count) for each in refund(f"run-{number:04d}").entries]


def test_an_index_that_is_behind_is_copied_and_completed(tmp_path, refund):
    entries = some_runs(refund)
    with Ledger(tmp_path, origin="example.com/t") as writer:
        writer.append_entries(entries[:50])
        behind = (tmp_path / ".state" / "index.sqlite").read_bytes()
        writer.append_entries(entries[50:])
    (tmp_path / ".state" / "index.sqlite").write_bytes(behind)
    with Ledger(tmp_path, read_only=True) as reader:
        assert paged(reader, RunQuery(), 5) == told(entries, RunQuery())
    assert (tmp_path / ".state" / "index.sqlite").read_bytes() == behind  # a reader writes nothing


@pytest.mark.parametrize(
    ("lie", "query"),
    [
        ("UPDATE runs SET outcome = 'failure' WHERE number = 22", RunQuery(outcomes=("failure",))),
        ("UPDATE runs SET spend = 7, currency = 'USD' WHERE number = 22", RunQuery(at_least=0)),
        ("UPDATE runs SET effects = 0 WHERE number = 22", RunQuery(effects=Effects.NONE)),
        ("UPDATE runs SET granted = 0 WHERE number = 22", RunQuery(effects=Effects.UNAPPROVED)),
        ("UPDATE runs SET marks = marks | 8 WHERE number = 22", RunQuery(marks=("held",))),
        ("INSERT INTO facets SELECT id, 22 FROM names WHERE text = 'nowhere'", RunQuery(tools=("nowhere",))),
        ("UPDATE names SET text = 'u-99' WHERE kind = 'approver'", RunQuery(approvers=("u-99",))),
        ("UPDATE runs SET run = 'run-9999' WHERE number = 22", RunQuery()),
        ("UPDATE runs SET last = 5000 WHERE number = 22", RunQuery()),
        ("UPDATE entries SET number = 11 WHERE number = 22 AND idx > 24", RunQuery()),
    ],
)  # fmt: skip
def test_no_line_is_printed_that_the_leaves_do_not_say(tmp_path, refund, build, lie, query):
    other = build("elsewhere")
    entries = [*some_runs(refund), other.add(Kind.TOOL_RESULT, "x", gen_ai__tool__name="nowhere")]
    with Ledger(tmp_path, origin="example.com/t") as writer:
        writer.append_entries(entries)
    with contextlib.closing(sqlite3.connect(tmp_path / ".state" / "index.sqlite")) as index, index:
        assert index.execute(lie).rowcount > 0
    true = told(entries, query)
    with Ledger(tmp_path, read_only=True) as reader:
        found = paged(reader, query, 5)
        assert all(each in true for each in found)
        reader.rebuild_index()
        assert paged(reader, query, 5) == true


@pytest.mark.parametrize(
    "lies",
    [
        ["UPDATE entries SET number = -1 WHERE number = 22", "DELETE FROM runs WHERE number = 22"],
        [
            "UPDATE entries SET number = -1 WHERE idx = 25",
            "UPDATE runs SET entries = entries - 1 WHERE number = 22",
        ],
        ["UPDATE entries SET idx = 5000 WHERE idx = 32", "UPDATE runs SET last = 5000 WHERE number = 22"],
    ],
)
def test_nothing_is_hidden_from_a_list_of_all_runs(tmp_path, refund, lies):
    entries = some_runs(refund)
    with Ledger(tmp_path, origin="example.com/t") as writer:
        writer.append_entries(entries)
    with contextlib.closing(sqlite3.connect(tmp_path / ".state" / "index.sqlite")) as index, index:
        for lie in lies:
            assert index.execute(lie).rowcount > 0
    with Ledger(tmp_path, read_only=True) as reader:
        assert [line(each) for each in reader.runs()] == told(entries, RunQuery())


def test_a_page_reads_only_what_is_on_it(tmp_path, refund):
    entries = some_runs(refund, 120)
    with Ledger(tmp_path, origin="example.com/t") as writer:
        writer.append_entries(entries)
    first = tmp_path / "tile" / "entries" / "000"
    first.write_bytes(first.read_bytes().replace(b'"success"', b'"failure"'))
    with Ledger(tmp_path, read_only=True) as reader:
        assert len(reader.search(limit=50).runs) == 50  # none of these lies in the bundle that was changed
        with pytest.raises(LedgerError, match="is damaged or was changed"):
            reader.search(limit=120)


@pytest.mark.parametrize("cursor", ["", "x", "5", "5-", "-1-2", "1-2-3-4", "1" * 19 + "-1"])
def test_a_cursor_that_is_none_is_refused(ledger, cursor):
    with pytest.raises(LedgerError, match="is no cursor"):
        ledger.search(after=cursor)


def test_a_cursor_of_a_longer_ledger_is_refused(ledger, refund):
    ledger.append_entries(refund().entries)
    with pytest.raises(LedgerError, match="of a ledger of 12 entries, and this one has 11"):
        ledger.search(after="12-3")


def test_texts_are_what_runs_can_be_found_by(ledger, refund):
    ledger.append_entries(refund().entries)
    assert ledger.texts("tool") == ["create_refund", "lookup_order"]
    assert ledger.texts("outcome") == ["success"]
    assert ledger.texts("tenant") == [""]
    assert ledger.runs_by("approver", "u-") == [("run-0001", "u-17")]
    assert ledger.runs_by("approver", "v-") == []


def test_what_was_pruned_leaves_the_index(tmp_path):
    runs = ["gone"] * 250 + ["part"] * 10 + ["kept"] * 10
    tools = {"gone": "secret_tool", "part": "both", "kept": "other"}
    entries = [
        entry(n, Kind.TOOL_RESULT, run, start=n + 1, gen_ai__tool__name=tools[run])
        for n, run in enumerate(runs)
    ]
    entries[250] = replace(entries[250], attributes={"gen_ai.tool.name": "early"})
    with Ledger(tmp_path, origin="example.com/t") as writer:
        writer.append_entries(entries)
        writer.forget([0])
        shown = [(s.run, s.entries, s.first_index, s.start, s.marks) for s in writer.search().runs]
        assert shown == [("kept", 10, 260, 261, ()), ("part", 4, 256, 257, ("pruned",))]
        assert writer.texts("tool") == ["both", "other"]
        assert writer.search(RunQuery(tools=("early",))).runs == ()
        assert [s.run for s in writer.search(RunQuery(marks=("pruned",), tools=("both",))).runs] == ["part"]
        assert len(writer.records_of("part")) == 4
        writer.append_entries([entry(999, Kind.TOOL_RESULT, "part", start=1000, gen_ai__tool__name="early")])
        assert [s.entries for s in writer.search(RunQuery(tools=("early",))).runs] == [5]
        writer.publish()
        with Ledger(tmp_path, read_only=True) as reader:
            assert [(s.run, s.entries, s.marks) for s in reader.search().runs] == [
                ("kept", 10, ()),
                ("part", 5, ("pruned",)),
            ]
            assert [s.run for s in reader.search(RunQuery(marks=("pruned",))).runs] == ["part"]
        writer.forget([])
        assert len(writer.search().runs) == 2
