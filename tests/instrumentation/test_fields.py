# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Every attribute of the conventions that a recorder sets has a typed call, and no call raises."""

from datetime import datetime, timezone
from typing import Any

from runrecord.semconv.registry import load_registry

ARGUMENTS = {"order": "o-1", "amount": 80}
BY_PROCESSORS = ("runrecord.ledger.", "runrecord.redaction.", "runrecord.gap.")
"""Set on exported copies, or by what loses them, not by a recorder."""


def everything(recorder: Any) -> None:
    """A run in which everything is said that can be said."""
    with recorder.run(
        "refund-agent",
        conversation_id="thread-7",
        autonomy="execute_with_approval",
        principal_ref="u-17",
        principal_type="user",
        delegation_ref="grant-2026-0041",
        tenant_id="tenant-7",
        versions={
            "prompt": "sha256:00",
            "tool_schema": "sha256:01",
            "retrieval_index": "kb-2026-11-20",
            "policy": "14",
            "agent": "3.2.0",
            "code": "c0a16b3",
        },
        prompt_name="refund-triage",
        prompt_version="7",
    ) as run:
        with run.step(kind="act", name="refund", step_id="node-1", attempt=1):
            with run.inference("gpt-5", provider="openai") as model:
                model.usage(input_tokens=100, output_tokens=20, response_model="gpt-5-2026-08-01")
                model.cost(0.0031, "USD", source="price_table")
            decision = run.decision(
                "refunds",
                version="14",
                name="refunds",
                engine="opa",
                mode="enforce",
                subject="call_1",
                subject_name="create_refund",
                arguments=ARGUMENTS,
                governance_ref="grc-77812",
            )
            decision.budget("daily-refunds", dimension="cost", limit=500, consumed=80, currency="USD")
            decision.require_approval(rule="over_50_usd", action="escalate", reason="amount_over_limit")
            approval = run.request_approval(
                "call_1",
                tool="create_refund",
                arguments=ARGUMENTS,
                deadline=datetime(2027, 1, 1, tzinfo=timezone.utc),
                channel="slack",
                scope="once",
            )
            approval.modified(
                arguments={"order": "o-1", "amount": 40},
                actor="human",
                actor_ref="u-18",
                channel="slack",
                scope="once",
                reason="amount_too_high",
            )
            with run.tool(
                "create_refund",
                call_id="call_1",
                arguments={"order": "o-1", "amount": 40},
                effect="pay",
                target="billing",
                reversible=True,
                read_only=False,
                destructive=False,
                idempotent=True,
                open_world=True,
                tool_type="function",
                description="Refunds an order.",
                dry_run=False,
                attempt=1,
                approval_id=approval.approval_id,
            ) as call:
                call.effect(committed=True, ref="re_3PqX")
                call.idempotency(key_present=True, deduplicated=False, ref="hmac-sha256:00")
                call.cost(0.3, "USD", source="provider")
                call.result({"refund": "r-1"})
            run.verification("refund_matches_order", kind="reconciliation", subject="call_1").failed(
                score=0.5
            )
            run.compensation("create_refund", subject_id="call_1", of=call).outcome("succeeded")
            run.breaker("billing-writes", "open", trigger="error_rate")
        run.budget("run-cost", dimension="tokens", limit=100, consumed=120, action="stop")
        run.escalate("low_confidence", target_type="on_call", target_ref="queue-3")
        run.finish(stop_reason="max_tokens")


def test_every_attribute_of_the_registry_has_a_call(telemetry: Any, recorder: Any) -> None:
    everything(recorder)
    said = {name for span in telemetry.spans for name in span.attributes}
    said |= {name for _, attributes in telemetry.events for name in attributes}
    ours = {name for name in load_registry().attributes if name.startswith("runrecord.")}
    assert {name for name in ours - said if not name.startswith(BY_PROCESSORS)} == set()
    telemetry.check_counters()


def test_the_last_budget_that_was_reached_stays(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a") as run:
        run.budget("tokens", dimension="tokens", limit=100, consumed=20)
        run.budget("steps", dimension="steps", limit=5, consumed=5, action="stop")
        run.budget("tokens", dimension="tokens", limit=100, consumed=40)
    attributes = telemetry.one("invoke_agent").attributes
    assert attributes["runrecord.budget.id"] == "steps"
    assert attributes["runrecord.budget.exceeded"] is True
    assert attributes["runrecord.run.outcome"] == "budget_exceeded"


def test_an_official_inference_span_gets_the_run_the_step_and_the_cost(telemetry: Any, recorder: Any) -> None:
    tracer = telemetry.tracer_provider.get_tracer("official")
    facts = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5",
    }
    with (
        recorder.run("a", run_id="run-1") as run,
        run.step(),
        tracer.start_as_current_span("chat gpt-5", attributes=facts) as span,
    ):
        with run.inference() as model:
            model.cost(0.0031, "USD")
        assert span.is_recording()
    assert dict(telemetry.one("chat").attributes) == {
        **facts,
        "runrecord.run.id": "run-1",
        "runrecord.step.index": 0,
        "runrecord.cost.amount": 0.0031,
        "runrecord.cost.currency": "USD",
        "runrecord.cost.source": "price_table",
    }


def test_a_model_call_that_nobody_else_records_is_recorded(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a") as run, run.inference("gpt-5", provider="openai") as model:
        model.usage(input_tokens=3, output_tokens=4, finish_reasons=["stop"])
    span = telemetry.one("chat gpt-5")
    assert span.kind.name == "CLIENT"
    assert span.attributes["gen_ai.usage.output_tokens"] == 4
    assert "runrecord.record.seq" not in span.attributes


def test_a_breaker_changes_also_outside_of_a_run(telemetry: Any, recorder: Any) -> None:
    recorder.breaker("billing-writes", "half_open")
    with recorder.run("a", run_id="run-1"):
        recorder.breaker("billing-writes", "closed", trigger="manual")
    changed = [facts for name, facts in telemetry.events if name == "runrecord.breaker.changed"]
    assert changed == [
        {"runrecord.breaker.id": "billing-writes", "runrecord.breaker.state": "half_open"},
        {
            "runrecord.run.id": "run-1",
            "runrecord.breaker.id": "billing-writes",
            "runrecord.breaker.state": "closed",
            "runrecord.breaker.trigger": "manual",
        },
    ]


def test_a_result_of_a_check_is_the_official_event_too(
    telemetry: Any, recorder: Any, monkeypatch: Any
) -> None:
    with recorder.run("a") as run:
        run.verification("v").passed(score=1.0, explanation="secret-text")
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_AND_EVENT")
        run.verification("w").inconclusive(explanation="shown")
    results = [facts for name, facts in telemetry.events if name == "gen_ai.evaluation.result"]
    shown = [
        {key: value for key, value in facts.items() if key.startswith("gen_ai.evaluation.")}
        for facts in results
    ]
    assert shown == [
        {
            "gen_ai.evaluation.name": "v",
            "gen_ai.evaluation.score.label": "pass",
            "gen_ai.evaluation.score.value": 1.0,
        },
        {
            "gen_ai.evaluation.name": "w",
            "gen_ai.evaluation.score.label": "inconclusive",
            "gen_ai.evaluation.explanation": "shown",
        },
    ]


def test_a_version_that_nobody_knows_costs_nothing_else(telemetry: Any, recorder: Any) -> None:
    recorder.run("a", versions={"prompt": "1", "weather": "sunny"}).stop()
    attributes = telemetry.one("invoke_agent").attributes
    assert attributes["runrecord.version.prompt"] == "1"
    assert "sunny" not in attributes.values()
