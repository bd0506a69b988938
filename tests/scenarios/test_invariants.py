# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Every invariant of the audit, kept and broken by a real recorder; `runrecord audit` tells them apart, with the entries that prove it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import typer
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from typer.testing import CliRunner

from runrecord.cli.audit import audit
from runrecord.instrumentation import MemoryContextStore, Recorder
from runrecord.ledger import Ledger
from runrecord.ledger.audit import RULES
from runrecord.ledger.entry import Entry
from runrecord.processors.ledger import project
from runrecord.processors.signal import Signal
from runrecord.semconv.commitment import TenantKey

KEY = TenantKey(bytes(32))
PAY: dict[str, Any] = {"call_id": "c1", "arguments": {"amount": 80}, "effect": "pay"}
app = typer.Typer()
app.command()(audit)


class Play:
    """Recorders that export to one ledger."""

    def __init__(self) -> None:
        self.spans, self.logs = InMemorySpanExporter(), InMemoryLogRecordExporter()
        self.store = MemoryContextStore()
        self.version = "1"

    def recorder(self) -> Recorder:
        tracers = TracerProvider(
            resource=Resource({"service.name": "refunds", "service.version": self.version}),
            shutdown_on_exit=False,
        )
        tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        loggers = LoggerProvider(shutdown_on_exit=False)
        loggers.add_log_record_processor(SimpleLogRecordProcessor(self.logs))
        return Recorder(tracer_provider=tracers, logger_provider=loggers, store=self.store, tenant_key=KEY)

    def entries(self) -> list[Entry]:
        spans = encode_spans(self.spans.get_finished_spans()).SerializeToString()
        logs = encode_logs(self.logs.get_finished_logs()).SerializeToString()
        return project(Signal.TRACES, spans, tenant_key=KEY) + project(Signal.LOGS, logs, tenant_key=KEY)


def allowed(run: Any, **call: Any) -> Any:
    run.decision("refunds", subject=PAY["call_id"], arguments=PAY["arguments"]).allow()
    return run.tool("create_refund", **{**PAY, **call})


def decided_first(play: Play) -> None:
    with play.recorder().run("a") as run:
        allowed(run).stop()


def decided_afterwards(play: Play) -> None:
    with play.recorder().run("a") as run:
        run.tool("create_refund", **PAY).stop()
        run.decision("refunds", subject="c1", arguments=PAY["arguments"]).allow()


def approved(
    play: Play,
    arguments: Any,
    *,
    actor: str = "u-17",
    status: str = "approved",
    deadline: datetime | None = None,
) -> None:
    with play.recorder().run("refund-agent") as run:
        run.decision("refunds", subject="c1", arguments=PAY["arguments"]).require_approval()
        asked = run.request_approval(
            "c1", tool="create_refund", arguments=PAY["arguments"], key=("sdk", "t"), deadline=deadline
        )
        run.suspend()
    with play.recorder().resume(asked.key) as run:
        who = {"actor": "human", "actor_ref": actor} if status in {"approved", "denied"} else {}
        getattr(run.approval, status)(**who)
        if arguments is not None:
            run.tool("create_refund", **{**PAY, "arguments": arguments}).stop()


def finishes_what_it_announces(play: Play) -> None:
    decided_first(play)


def never_says_how_a_call_ended(play: Play) -> None:
    recorder = play.recorder()
    run = recorder.run("a")
    run.decision("refunds", subject="c1", arguments=PAY["arguments"]).allow()
    run.tool("create_refund", **PAY)
    run.stop()


def pays(play: Play, references: list[str]) -> None:
    with play.recorder().run("a") as run:
        for number, reference in enumerate(references):
            run.decision("refunds", subject=f"c{number}").allow()
            with run.tool("create_refund", call_id=f"c{number}", effect="pay") as call:
                call.idempotency(key_present=True, ref=reference)


def pays_in_two_runs(play: Play) -> None:
    for _ in range(2):
        pays(play, ["ref-1"])


def takes_steps(play: Play, count: int) -> None:
    with play.recorder().run("a") as run:
        for _ in range(count):
            run.step().stop()
        run.budget("b", dimension="steps", limit=2, consumed=count, exceeded=count > 2)


def is_closed(play: Play) -> None:
    with play.recorder().run("a") as run:
        run.step().stop()


def is_never_closed(play: Play) -> None:
    run = play.recorder().run("a")
    run.step().stop()


def keeps_its_version(play: Play, *, changes: bool = False) -> None:
    with play.recorder().run("a") as run:
        asked = run.request_approval("c1", tool="t", arguments={}, key=("sdk", "t"))
        run.suspend()
    play.version = "2" if changes else "1"
    with play.recorder().resume(asked.key) as run:
        run.approval.approved(actor="human", actor_ref="u-17")


HOUR = timedelta(hours=1)
NOW = datetime.fromtimestamp(time.time(), tz=timezone.utc)
SAME, OTHER = PAY["arguments"], {"amount": 8000}
CASES: dict[str, list[tuple[Callable[[Play], Any], Callable[[Play], Any]]]] = {
    "decision-precedes-effect": [(decided_first, decided_afterwards)],
    "approved-is-what-ran": [(lambda p: approved(p, SAME), lambda p: approved(p, OTHER))],
    "no-effect-after-refusal": [
        (lambda p: approved(p, None, status="denied"), lambda p: approved(p, SAME, status="denied")),
        (lambda p: approved(p, None, status="expired"), lambda p: approved(p, SAME, status="expired")),
        (lambda p: approved(p, None, status="cancelled"), lambda p: approved(p, SAME, status="cancelled")),
        (lambda p: approved(p, SAME, deadline=NOW + HOUR), lambda p: approved(p, SAME, deadline=NOW - HOUR)),
    ],
    "intent-has-result": [(finishes_what_it_announces, never_says_how_a_call_ended)],
    "one-effect-per-reference": [
        (lambda p: pays(p, ["ref-1", "ref-2"]), lambda p: pays(p, ["ref-1", "ref-1"])),
        (lambda p: pays(p, ["ref-1"]), pays_in_two_runs),
    ],
    "within-budget": [(lambda p: takes_steps(p, 2), lambda p: takes_steps(p, 3))],
    "ended-is-closed": [(is_closed, is_never_closed)],
    "approver-is-not-agent": [
        (lambda p: approved(p, SAME), lambda p: approved(p, SAME, actor="refund-agent"))
    ],
    "versions-constant": [(keeps_its_version, lambda p: keeps_its_version(p, changes=True))],
}
PAIRS = [(rule, *pair) for rule, pairs in CASES.items() for pair in pairs]


def test_every_invariant_has_a_scenario_that_keeps_and_one_that_breaks_it() -> None:
    assert list(CASES) == list(RULES)


def audited(play: Play, directory: Path) -> tuple[int, list[dict[str, Any]], int]:
    with Ledger(directory, origin="example.com/test", checkpoint_interval=None) as ledger:
        ledger.append_entries(play.entries())
        ledger.publish()
        size = ledger.log.size
    result = CliRunner().invoke(app, ["--all", "--json", "--ledger", str(directory)])
    found = [finding for run in json.loads(result.output) for finding in run["findings"]]
    return result.exit_code, [each for each in found if each["severity"] == "violation"], size


@pytest.mark.parametrize(("rule", "keeps", "breaks"), PAIRS, ids=[rule for rule, _, _ in PAIRS])
def test_an_invariant(rule: str, keeps: Any, breaks: Any, tmp_path: Path) -> None:
    good, bad = Play(), Play()
    keeps(good)
    assert audited(good, tmp_path / "good")[:2] == (0, [])
    breaks(bad)
    code, violations, size = audited(bad, tmp_path / "bad")
    assert code == 1
    assert rule in {finding["rule"] for finding in violations}
    for finding in violations:
        assert finding["entries"]
        assert all(0 <= index < size for index in finding["entries"])


def test_a_record_with_a_gap_is_an_exit_code_of_its_own(tmp_path: Path) -> None:
    play = Play()
    decided_first(play)
    entries = [entry for entry in play.entries() if entry.kind != "policy_decision"]
    with Ledger(tmp_path, origin="example.com/test", checkpoint_interval=None) as ledger:
        ledger.append_entries(entries)
        ledger.publish()
    result = CliRunner().invoke(app, ["--all", "--ledger", str(tmp_path)])
    assert result.exit_code == 2
    assert "the record is GAPS" in result.output
    assert "1 of 3 records are missing: 1" in result.output
