# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""From the recorder through OTLP bytes into a ledger on disk, and out as a verified bundle: nothing of it is simulated."""

from __future__ import annotations

import pytest
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runrecord.instrumentation import MemoryContextStore, Recorder
from runrecord.ledger import Code, Ledger, Trust, Verdict, audit_run, build_bundle, verify_bundle
from runrecord.processors.ledger import project
from runrecord.processors.signal import Signal
from runrecord.semconv.commitment import TenantKey

KEY = TenantKey(bytes(range(32)))
ARGUMENTS = {"invoice": "inv-7", "amount": 80}


class Processes:
    """Several recorders, as in several processes, that share a store and a back end."""

    def __init__(self):
        self.store = MemoryContextStore()
        self.spans = InMemorySpanExporter()
        self.logs = InMemoryLogRecordExporter()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.loggers = LoggerProvider(shutdown_on_exit=False)
        self.loggers.add_log_record_processor(SimpleLogRecordProcessor(self.logs))

    def start(self):
        return Recorder(
            tracer_provider=self.tracers, logger_provider=self.loggers, store=self.store, tenant_key=KEY
        )

    def entries(self):
        spans = encode_spans(self.spans.get_finished_spans()).SerializeToString()
        logs = encode_logs(self.logs.get_finished_logs()).SerializeToString()
        return project(Signal.TRACES, spans, tenant_key=KEY) + project(Signal.LOGS, logs, tenant_key=KEY)


@pytest.fixture
def processes():
    processes = Processes()
    yield processes
    processes.tracers.shutdown()
    processes.loggers.shutdown()


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger", origin="example.com/test", checkpoint_interval=None) as ledger:
        yield ledger


def asked(processes):
    with processes.start().run(agent="refund-agent", autonomy="execute_with_approval") as run:
        with (
            run.step(kind="plan"),
            run.tool("lookup_order", call_id="c1", arguments={"id": 7}, effect="read") as call,
        ):
            call.result({"total": 80})
        with run.step(kind="act") as step:
            decision = step.decision("refunds", version="14", subject="c2", arguments=ARGUMENTS)
            decision.require_approval(rule="over_50_usd")
            approval = step.request_approval("c2", tool="create_refund", arguments=ARGUMENTS)
        run.suspend()
    return approval.key


def test_an_approved_refund_over_two_processes(processes, ledger):
    key = asked(processes)
    with processes.start().resume(key) as run:
        run.approval.approved(actor="human", actor_ref="u-17")
        with (
            run.step(kind="act") as step,
            step.tool(
                "create_refund",
                call_id="c2",
                arguments=ARGUMENTS,
                effect="pay",
                reversible=False,
            ) as call,
        ):
            call.result({"refund": "r-1"})
    ledger.append_entries(processes.entries())
    (summary,) = ledger.runs()
    view = ledger.run(summary.run)
    assert view.completeness.verdict is Verdict.COMPLETE, view.completeness
    assert [segment.number for segment in view.segments] == [0, 1]
    assert [call.tool for call in view.calls] == ["lookup_order", "create_refund"]
    (approval,) = view.approvals
    assert approval.status == "approved"
    assert view.calls[1].approvals == (approval,)
    assert approval.digests == {view.calls[1].digest}
    assert audit_run(view) == []
    assert b"inv-7" not in b"".join(record.entry.leaf() for record in view.records)
    archive = build_bundle(ledger, summary.run)
    assert verify_bundle(archive, Trust.of_ledger(ledger.path)).code is Code.COMPLETE


def test_a_denied_refund_is_complete_and_ran_nothing(processes, ledger):
    key = asked(processes)
    with processes.start().resume(key) as run:
        run.approval.denied(actor="human", actor_ref="u-17", reason="not_owed")
        run.finish("denied")
    ledger.append_entries(processes.entries())
    view = ledger.run(ledger.runs()[0].run)
    assert (view.outcome, view.completeness.verdict) == ("denied", Verdict.COMPLETE)
    assert [call.tool for call in view.calls] == ["lookup_order"]
    assert audit_run(view) == []


def test_other_arguments_than_the_approved_ones_are_found(processes, ledger):
    key = asked(processes)
    with processes.start().resume(key) as run:
        run.approval.approved(actor="human", actor_ref="u-17")
        with run.tool(
            "create_refund", call_id="c2", arguments={**ARGUMENTS, "amount": 8000}, effect="pay"
        ) as call:
            call.result({})
    ledger.append_entries(processes.entries())
    findings = audit_run(ledger.run(ledger.runs()[0].run))
    assert [finding.rule for finding in findings] == ["approved-is-what-ran"]


def test_an_escalation_is_recorded_and_leaves_no_hole(processes, ledger):
    with processes.start().run(agent="refund-agent") as run:
        run.escalate("customer_asked", target_type="human", target_ref="queue-2")
    ledger.append_entries(processes.entries())
    view = ledger.run(ledger.runs()[0].run)
    kinds = [record.entry.kind for record in view.records]
    assert sorted(kinds) == ["escalation", "resource", "run_close", "run_open"]
    assert view.completeness.verdict is Verdict.COMPLETE


def test_a_span_that_got_lost_on_the_way_leaves_a_hole(processes, ledger):
    asked(processes)
    entries = processes.entries()
    ledger.append_entries([entry for entry in entries if entry.kind != "policy_decision"])
    view = ledger.run(ledger.runs()[0].run)
    assert view.completeness.verdict is Verdict.GAPS
    ledger.append_entries(entries)
    assert (
        ledger.run(view.run).completeness.verdict is Verdict.UNCLOSED
    )  # it waits; nothing is missing any more
