# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The JSON Schemas take the spans that the recorder makes, and refuse wrong ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runrecord.instrumentation.context_store import FileContextStore
from runrecord.instrumentation.recorder import Recorder
from runrecord.semconv.commitment import TenantKey
from runrecord.semconv.json_schema import load_json_schema
from runrecord.semconv.registry import load_registry

Attributes = Mapping[str, Any]
STEP = {
    "runrecord.run.id": "run-1",
    "runrecord.source.id": "9f86d081884c7d65",
    "runrecord.record.seq": 1,
    "runrecord.step.index": 0,
    "runrecord.step.kind": "act",
}


def problems(signal: str, attributes: Attributes) -> list[str]:
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in attributes.items()}
    found = Draft202012Validator(load_json_schema(signal)).iter_errors(plain)
    return [f"{error.json_path}: {error.message}" for error in found]


@pytest.fixture
def recorded(tmp_path: Path) -> dict[str, Attributes]:
    """One span of each kind, as the recorder makes it, by the first word of its name."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    recorder = Recorder(
        tracer_provider=provider, store=FileContextStore(tmp_path), tenant_key=TenantKey(b"k" * 32)
    )
    with recorder.run(agent="refund-agent", autonomy="execute_with_approval") as run:
        with run.step(kind="act") as step:
            decision = step.decision("refunds", version="14", subject="call_1", arguments={"amount": 80})
            decision.require_approval(rule="over_50_usd")
            approval = step.request_approval("call_1", tool="create_refund", arguments={"amount": 80})
            approval.approved(actor="human", actor_ref="u-17")
            with step.tool("create_refund", call_id="call_1", arguments={"amount": 80}, effect="pay") as call:
                call.result({"refund": "r-1"})
        with run.verification("refund_matches_order", kind="rule", subject="call_1") as check:
            check.passed()
    provider.shutdown()
    return {span.name.split(" ")[0]: dict(span.attributes or {}) for span in exporter.get_finished_spans()}


@pytest.mark.parametrize(
    ("operation", "signal"),
    [
        ("invoke_agent", "runrecord.run.agent"),
        ("agent_step", "runrecord.step"),
        ("policy_decision", "runrecord.policy_decision"),
        ("request_approval", "runrecord.approval_request"),
        ("approval_decision", "runrecord.approval_decision"),
        ("execute_tool", "runrecord.tool_call"),
        ("verify", "runrecord.verification"),
    ],
)
def test_a_recorded_span_is_valid(recorded: dict[str, Attributes], operation: str, signal: str) -> None:
    attributes = recorded[operation]
    assert problems(signal, attributes) == []
    for key in load_json_schema(signal)["required"]:
        lacking = {name: value for name, value in attributes.items() if name != key}
        assert problems(signal, lacking) == [f"$: {key!r} is a required property"]


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"runrecord.step.kind": "acting"}, "is not one of"),
        ({"runrecord.step.index": "0"}, "is not of type 'integer'"),
        ({"runrecord.step.index": 0.5}, "is not of type 'integer'"),
        ({"runrecord.step.index": True}, "is not of type 'integer'"),
        ({"runrecord.redaction.kinds": "email"}, "is not of type 'array'"),
        ({"runrecord.redaction.kinds": [1]}, "is not of type 'string'"),
        ({"runrecord.step.idx": 0}, "is not one of"),
        ({"runrecord.decision.id": "dec-1"}, "is not one of"),
        ({"gen_ai.tool.name": "create_refund"}, "should not be valid under"),
    ],
)
def test_a_wrong_span_is_refused(wrong: Attributes, problem: str) -> None:
    assert problems("runrecord.step", STEP) == []
    (found,) = problems("runrecord.step", {**STEP, **wrong})
    assert problem in found


def test_what_is_free_is_free() -> None:
    assert problems("runrecord.step", {**STEP, "http.route": "/", "langgraph.node": "x"}) == []


def test_only_the_operations_of_the_span_are_taken() -> None:
    call = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "a-new-provider",
        "runrecord.run.id": "run-1",
    }
    assert problems("runrecord.model_call", call) == []
    assert problems("runrecord.model_call", {**call, "gen_ai.operation.name": "invoke_agent"})


def test_a_metric_takes_no_other_attribute() -> None:
    for metric in load_registry().metrics.values():
        schema = load_json_schema(metric.id)
        assert schema["additionalProperties"] is False
        assert not Draft202012Validator(schema).is_valid({"runrecord.run.id": "run-1"})


def test_every_schema_is_a_schema_and_none_is_unknown() -> None:
    registry = load_registry()
    for name in (*registry.signals, *registry.metrics):
        Draft202012Validator.check_schema(load_json_schema(name))
    with pytest.raises(KeyError, match=r"gen_ai\.inference\.client"):
        load_json_schema("gen_ai.inference.client")
