# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Runs made of real entries, and ledgers on a real disk."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from hashlib import md5

import pytest

from runrecord.ledger.bundle import build_bundle
from runrecord.ledger.bundle_format import PAYLOAD_TYPE, STATEMENT, digest
from runrecord.ledger.container import pack, unpack
from runrecord.ledger.dsse import seal
from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.note import NoteSigner
from runrecord.ledger.records import Record
from runrecord.ledger.runs import RunView
from runrecord.ledger.trust import Trust
from runrecord.ledger.values import wrap
from runrecord.semconv.canonical import canonical_json
from runrecord.semconv.root import records_root

T0 = 1_790_000_000_000_000_000
SECOND = 1_000_000_000
AGREED = "hmac-sha256:" + "ab" * 32
OTHER = "hmac-sha256:" + "cd" * 32


class RunBuilder:
    """Writes the entries of one run the way a recorder would, by a clock of one second per record."""

    def __init__(self, run: str = "run-0001", source: str = "aaaa000000000001") -> None:
        self.run = run
        self.trace_id = md5(run.encode()).hexdigest()
        self.source = source
        self.entries: list[Entry] = []
        self.counters: dict[str, int] = {}
        self.clock = T0
        self.spans = 0
        self.open: dict[str, tuple[int, int, str]] = {}

    def seq(self, source: str) -> int:
        number = self.counters.get(source, 0)
        self.counters[source] = number + 1
        return number

    def span_id(self) -> str:
        self.spans += 1
        return f"{self.spans:016x}"

    def tick(self) -> int:
        self.clock += SECOND
        return self.clock

    def add(
        self, kind: str, name: str, /, *, source: str | None = None, step: int | None = None, **attributes
    ) -> Entry:
        own = source or self.source
        start = self.tick()
        fields = {
            k: attributes.pop(k)
            for k in ("parent_span_id", "status", "seq", "start", "end")
            if k in attributes
        }
        values = {
            key.replace("__", "."): wrap(value) for key, value in attributes.items() if value is not None
        }
        if step is not None:
            values["runrecord.step.index"] = wrap(step)
        entry = Entry(
            kind=kind,
            run=self.run,
            source=own,
            trace_id=self.trace_id,
            span_id=self.span_id(),
            name=name,
            attributes=values,
            **{"seq": None, "start": start, "end": self.tick(), **fields},
        )
        if "seq" not in fields:
            entry = replace(entry, seq=self.seq(own))
        self.entries.append(entry)
        return entry

    def begin(self, source: str | None = None) -> None:
        own = source or self.source
        self.open[own] = (self.seq(own), self.tick(), self.span_id())

    def close(
        self,
        state: str = "completed",
        *,
        source: str | None = None,
        segment: int = 0,
        outcome: str = "success",
        **attributes,
    ) -> Entry:
        own = source or self.source
        seq, start, span_id = self.open.pop(own)
        values = {
            "runrecord.run.id": self.run,
            "runrecord.run.state": state,
            "runrecord.run.segment": wrap(segment),
            "runrecord.run.records": wrap(self.counters[own] - seq),
            "gen_ai.agent.name": "refund-agent",
            "runrecord.run.root": self.root(own, seq, span_id),
            **{key.replace("__", "."): wrap(value) for key, value in attributes.items()},
        }
        if state == "completed":
            values["runrecord.run.outcome"] = outcome
        kind = Kind.RUN_CLOSE if state == "completed" else Kind.SOURCE_CLOSE
        entry = Entry(
            kind=kind,
            run=self.run,
            source=own,
            seq=seq,
            trace_id=self.trace_id,
            span_id=span_id,
            name="invoke_agent refund-agent",
            start=start,
            end=self.tick(),
            attributes=values,
        )
        self.entries.append(entry)
        return entry

    def root(self, source: str, first: int, run_span: str) -> str:
        """What a recorder states: over the ids of all records that it started, also of those that get lost."""
        ids = {e.seq: e.span_id for e in self.entries if e.source == source and e.seq is not None}
        ids[first] = run_span
        trace = int(self.trace_id, 16)
        numbers = range(first, self.counters[source])
        return records_root([(trace, int(ids.get(n, "ff" * 8), 16)) for n in numbers])

    def announce(self, call: str, tool: str = "create_refund", *, source: str | None = None) -> Entry:
        """Say that the tool call which comes next is about to be made."""
        own = source or self.source
        entry = Entry(
            kind=Kind.TOOL_INTENT,
            run=self.run,
            phase="start",
            source=own,
            seq=None,
            trace_id=self.trace_id,
            span_id=f"{self.spans + 1:016x}",
            name="runrecord.tool.intent",
            start=self.clock + SECOND,
            end=self.clock + SECOND,
            attributes={
                "runrecord.record.seq": wrap(self.counters.get(own, 0)),
                "runrecord.subject.name": tool,
                "runrecord.subject.id": call,
            },
        )
        self.entries.append(replace(entry, seq=self.counters.get(own, 0)))
        return self.entries[-1]

    def decision(self, call: str, outcome: str = "allow", **attributes) -> Entry:
        return self.add(
            Kind.POLICY_DECISION,
            "policy_decision refunds",
            **{
                "runrecord__decision__id": f"d-{self.spans}",
                "runrecord__decision__outcome": outcome,
                "runrecord__policy__id": "refunds",
                "runrecord__policy__version": "14",
                "runrecord__policy__rule__id": "over_50_usd",
                "runrecord__subject__type": "tool_call",
                "runrecord__subject__id": call,
                **attributes,
            },
        )

    def request(self, call: str, approval: str = "ap-1", digest: str = AGREED, **attributes) -> Entry:
        return self.add(
            Kind.APPROVAL_REQUEST,
            "request_approval create_refund",
            **{
                "runrecord__approval__id": approval,
                "runrecord__approval__status": "pending",
                "runrecord__approval__subject__digest": digest,
                "runrecord__subject__id": call,
                "runrecord__subject__name": "create_refund",
                **attributes,
            },
        )

    def answer(
        self,
        call: str,
        status: str = "approved",
        approval: str = "ap-1",
        digest: str = AGREED,
        source: str | None = None,
        **attributes,
    ) -> Entry:
        """An answer; one that no open segment of its source holds counts itself."""
        return self.add(
            Kind.APPROVAL_DECISION,
            "approval_decision create_refund",
            source=source,
            **{
                "runrecord__approval__id": approval,
                "runrecord__approval__status": status,
                "runrecord__approval__subject__digest": digest,
                "runrecord__approval__actor__type": "human",
                "runrecord__approval__actor__ref": "u-17",
                "runrecord__approval__wait_seconds": 42.5,
                "runrecord__run__records": None if (source or self.source) in self.open else 1,
                "runrecord__subject__id": call,
                "runrecord__subject__name": "create_refund",
                **attributes,
            },
        )

    def tool(
        self, call: str, tool: str = "create_refund", digest: str = AGREED, effect: str = "pay", **attributes
    ) -> Entry:
        return self.add(
            attributes.pop("kind", Kind.TOOL_RESULT),
            f"execute_tool {tool}",
            **{
                "gen_ai__operation__name": "execute_tool",
                "gen_ai__tool__name": tool,
                "gen_ai__tool__call__id": call,
                "runrecord__arguments__digest": digest,
                "runrecord__side_effect__type": effect,
                "runrecord__side_effect__target": "payments",
                "runrecord__side_effect__committed": True,
                "runrecord__side_effect__reversible": True,
                **attributes,
            },
        )

    def step(self, index: int, kind: str = "act") -> Entry:
        return self.add(
            Kind.STEP,
            f"agent_step {kind}",
            step=index,
            runrecord__step__kind=kind,
            runrecord__step__name="refund",
        )

    def view(self, entries: list[Entry] | None = None) -> RunView:
        chosen = self.entries if entries is None else entries
        return RunView(self.run, [Record(index, entry) for index, entry in enumerate(chosen)])


def approved_refund(run: str = "run-0001") -> RunBuilder:
    """A refund that needed an approval, got it in another process, and ran in a second segment."""
    b = RunBuilder(run, source=f"{run[-4:]}00000000000a"[-16:].rjust(16, "0"))
    later, web = b.source[:-1] + "b", b.source[:-1] + "c"
    b.begin()
    b.step(0, "plan")
    b.tool("call_1", "lookup_order", effect="read", step=0)
    b.decision("call_2", "require_approval", step=1)
    b.request("call_2", step=1)
    b.step(1)
    b.close("suspended")
    b.answer("call_2", source=web, step=1)
    b.begin(later)
    b.decision("call_2", "allow", source=later, step=1)
    b.tool("call_2", source=later, step=1)
    b.add(Kind.STEP, "agent_step act", source=later, step=1, runrecord__step__kind="act")
    b.close(source=later, segment=1)
    return b


class Case:
    """A ledger with two runs, the bundle of the first, and the keys; made once, with fixed keys."""

    def __init__(self, directory, refund):
        self.log_key = NoteSigner("example.com/test", b"l" * 32)
        self.bundle_key = NoteSigner("example.com/test/bundle", b"b" * 32)
        self.trust = Trust((self.log_key.verifier,), (self.bundle_key.verifier,))
        with Ledger(directory, signer=self.log_key, checkpoint_interval=None) as ledger:
            ledger.append_entries(refund("run-0002").entries)
            ledger.append_entries(refund("run-0001").entries)
            self.archive = build_bundle(ledger, "run-0001", signer=self.bundle_key)
            self.again = build_bundle(ledger, "run-0001", signer=self.bundle_key)
            self.other = build_bundle(ledger, "run-0002", signer=self.bundle_key)
        self.files = unpack(self.archive)

    def statement(self):
        return json.loads(b64decode(json.loads(self.files[STATEMENT])["payload"]))

    def resealed(self, files, signer=None, change=lambda statement: None):
        """What an insider with the bundle key, and without the log key, could make."""
        statement = self.statement()
        rest = {name: data for name, data in files.items() if name != STATEMENT}
        statement["predicate"]["materials"] = {name: digest(data) for name, data in rest.items()}
        change(statement)
        return pack(
            {STATEMENT: seal(PAYLOAD_TYPE, canonical_json(statement), signer or self.bundle_key), **rest}
        )


@pytest.fixture(scope="session")
def build():
    return RunBuilder


@pytest.fixture(scope="session")
def refund():
    return approved_refund


@pytest.fixture(scope="session")
def digests():
    return AGREED, OTHER


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger", origin="example.com/test", checkpoint_interval=None) as ledger:
        yield ledger


@pytest.fixture(scope="module")
def case(tmp_path_factory, refund):
    return Case(tmp_path_factory.mktemp("ledger"), refund)
