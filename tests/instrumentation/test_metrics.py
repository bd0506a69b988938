# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The metrics say what the records say: counted once, with bounded labels, and nothing that is content or an id."""

import json
from typing import Any

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from runrecord.instrumentation import FileContextStore
from runrecord.semconv.registry import load_registry

KEY = ("sdk", "thread-7", "i-1")
ARGUMENTS = {"order": "o-1"}
Points = list[tuple[dict[str, Any], Any]]


class Measured:
    """A real SDK with a reader in memory."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self._last: Any = None

    @property
    def data(self) -> Any:
        found = self.reader.get_metrics_data()
        self._last = found if found is not None else self._last
        return self._last

    @property
    def metrics(self) -> dict[str, Any]:
        if self.data is None:
            return {}
        scopes = [scope for resource in self.data.resource_metrics for scope in resource.scope_metrics]
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def points(self, name: str) -> Points:
        """(labels, value) of a counter, or (labels, (count, sum)) of a histogram."""
        metric = self.metrics.get(name)
        found = [] if metric is None else metric.data.data_points
        return [
            (dict(point.attributes), point.value if hasattr(point, "value") else (point.count, point.sum))
            for point in found
        ]


@pytest.fixture
def measured() -> Measured:
    return Measured()


@pytest.fixture
def metered(telemetry: Any, measured: Measured) -> Any:
    return telemetry.recorder(meter_provider=measured.provider)


def test_a_run_is_counted_once_with_how_it_ended(telemetry: Any, measured: Measured, metered: Any) -> None:
    with metered.run("refund-agent", conversation_id="thread-7") as run:
        telemetry.now += 2
        run.request_approval("c", tool="create_refund", arguments=ARGUMENTS, key=KEY)
        run.suspend()
    assert measured.points("runrecord.runs") == []
    telemetry.now += 600
    with metered.resume(KEY) as run:
        run.approval.approved(actor="human")
        telemetry.now += 3
    run.stop()
    who = {"gen_ai.agent.name": "refund-agent"}
    done = {**who, "runrecord.run.outcome": "success"}
    assert measured.points("runrecord.runs") == [(done, 1)]
    assert measured.points("runrecord.run.duration") == [(done, (1, 605))]
    assert measured.points("gen_ai.invoke_agent.duration") == [(who, (2, 5))]
    subject = {**who, "runrecord.subject.type": "tool_call", "runrecord.subject.name": "create_refund"}
    assert measured.points("runrecord.approval.requests") == [(subject, 1)]
    answered = {**subject, "runrecord.approval.status": "approved", "runrecord.approval.actor.type": "human"}
    assert measured.points("runrecord.approval.wait") == [(answered, (1, 600))]


def test_times_and_costs_go_over_processes(telemetry: Any, measured: Measured, tmp_path: Any) -> None:
    def process() -> Any:
        return telemetry.recorder(
            meter_provider=measured.provider, store=FileContextStore(tmp_path / "contexts")
        )

    first, web, second = process(), process(), process()
    with first.run("a", conversation_id="thread-7", run_id="run-1") as run:
        with run.inference("gpt-5", provider="openai") as model:
            model.cost(0.25, "USD")
        run.request_approval("c", tool="t", arguments=ARGUMENTS, key=KEY)
        run.suspend()
    telemetry.now += 100
    web.approval(KEY).denied(actor="human")
    telemetry.now += 100
    with second.resume(KEY) as run:
        run.approval.denied(actor="human")
        with run.tool("u", effect="send") as call:
            call.cost(99, "USD", source="provider")
            call.cost(0.5, "USD", source="provider")  # corrected
            call.cost(1, "EUR")
            call.cost(0.5, "USD", source="provider")
    labels = {"gen_ai.agent.name": "a", "runrecord.run.outcome": "denied"}
    assert measured.points("runrecord.run.duration") == [(labels, (1, 200))]
    assert measured.points("runrecord.run.cost") == [
        ({**labels, "runrecord.cost.currency": "USD"}, (1, 0.75)),
    ]
    assert [value for _, value in measured.points("runrecord.approval.wait")] == [(1, 100)]
    assert sorted(value for _, value in measured.points("runrecord.call.cost")) == [(1, 0.25), (1, 0.5)]


def test_tool_calls_are_valid_authorised_and_verified(
    telemetry: Any, measured: Measured, metered: Any
) -> None:
    with metered.run("a") as run:
        decision = run.decision("refunds", version="14", subject="c1", subject_name="t", mode="enforce")
        decision.allow()
        decision.deny()  # it is decided
        with run.tool("t", call_id="c1", effect="pay", attempt=1, tool_type="function"):
            telemetry.now += 0.5
        with pytest.raises(ValueError, match="x"), run.tool("t", effect="pay"):
            raise ValueError("x")
        run.tool("t", effect="pay").cut_short()  # waits, and is made again
        with run.tool("u", read_only=True, dry_run=True) as call:
            call.idempotency(deduplicated=True)
        run.verification("v", kind="rule", subject="c1").failed()
        run.verification("v", kind="rule", subject="unknown").passed()
        with run.decision("broken"):
            pass
    who = {"gen_ai.agent.name": "a"}
    paid = {**who, "gen_ai.tool.name": "t", "runrecord.side_effect.type": "pay"}
    assert measured.points("runrecord.tool.calls") == [
        (paid, 1),
        ({**paid, "error.type": "ValueError"}, 1),
        (
            {
                **who,
                "gen_ai.tool.name": "u",
                "runrecord.side_effect.type": "read",
                "runrecord.dry_run": True,
                "runrecord.idempotency.deduplicated": True,
            },
            1,
        ),
    ]
    assert measured.points("gen_ai.execute_tool.duration")[0] == (
        {**who, "gen_ai.tool.name": "t", "gen_ai.tool.type": "function"},
        (1, 0.5),
    )
    assert measured.points("runrecord.retries") == [({**who, "gen_ai.tool.name": "t"}, 1)]
    decided = {**who, "runrecord.subject.type": "tool_call"}
    assert measured.points("runrecord.policy.decisions") == [
        (
            {
                **decided,
                "runrecord.policy.name": "refunds",
                "runrecord.policy.mode": "enforce",
                "runrecord.decision.outcome": "allow",
                "runrecord.subject.name": "t",
            },
            1,
        ),
        ({**decided, "runrecord.policy.name": "broken", "error.type": "no_outcome"}, 1),
    ]
    checked = {**who, "runrecord.verification.name": "v", "runrecord.verification.type": "rule"}
    assert measured.points("runrecord.verifications") == [
        ({**checked, "runrecord.verification.outcome": "fail", "gen_ai.tool.name": "t"}, 1),
        ({**checked, "runrecord.verification.outcome": "pass"}, 1),
    ]


def test_what_has_no_price_is_counted(measured: Measured, metered: Any) -> None:
    with metered.run("a") as run:
        run.inference("gpt-5", provider="openai").stop()
        run.inference("gpt-5", provider="openai").fail("timeout")
        run.tool("t").stop()
    labels = {"gen_ai.agent.name": "a", "gen_ai.request.model": "gpt-5"}
    assert measured.points("runrecord.unpriced_calls") == [(labels, 2)]
    assert measured.points("runrecord.run.cost") == []


def test_steps_escalations_and_budgets(telemetry: Any, measured: Measured, metered: Any) -> None:
    with metered.run(workflow="refunds") as run:
        with run.step(kind="act", attempt=2) as step:
            telemetry.now += 4
            step.waits()
        run.budget("b", dimension="tokens", limit=100, consumed=20)
        run.budget("b", dimension="tokens", limit=100, consumed=150, action="warn")
        run.budget("unused", dimension="steps", limit=3)
        run.escalate("low_confidence")
    who = {"gen_ai.workflow.name": "refunds"}
    waited = {**who, "runrecord.step.kind": "wait"}
    assert measured.points("runrecord.step.duration") == [(waited, (1, 4))]
    assert measured.points("runrecord.retries") == [(waited, 1)]
    assert measured.points("runrecord.escalations") == [
        ({**who, "runrecord.escalation.reason_code": "low_confidence"}, 1)
    ]
    budget = {
        "runrecord.budget.dimension": "tokens",
        "runrecord.budget.exceeded": True,
        "runrecord.budget.action": "warn",
    }
    assert measured.points("runrecord.budget.utilization") == [({**who, **budget}, (1, 1.5))]
    assert measured.points("gen_ai.invoke_workflow.duration") == [(who, (1, 4))]


def test_what_is_replayed_counts_once(measured: Measured, metered: Any) -> None:
    with metered.run("a") as run:
        for _ in range(3):
            run.request_approval("c", tool="t", arguments=ARGUMENTS, key=KEY).approved(actor="human")
    assert [value for _, value in measured.points("runrecord.approval.requests")] == [1]
    assert [value[0] for _, value in measured.points("runrecord.approval.wait")] == [1]


def test_the_official_instrumentation_measures_its_own_spans(
    telemetry: Any, measured: Measured, metered: Any
) -> None:
    with metered.run("a") as run:
        for scope in ("opentelemetry.instrumentation.genai.x", "the-sdk-itself"):
            span = telemetry.tracer_provider.get_tracer(scope).start_span(
                "execute_tool t",
                attributes={"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t"},
            )
            run.tool("t", span=span).stop()
            span.end()
    assert [value[0] for _, value in measured.points("gen_ai.execute_tool.duration")] == [1]
    assert [value for _, value in measured.points("runrecord.tool.calls")] == [2]


def everything(recorder: Any) -> None:
    with recorder.run(
        "agent",
        run_id="run-id-1",
        conversation_id="planted-thread",
        principal_ref="planted-user",
        principal_type="user",
    ) as run:
        with run.step(kind="act", name="planted-step", step_id="planted-step-id", attempt=1):
            with run.inference("gpt-5", provider="openai") as model:
                model.cost(0.1, "USD")
            run.inference("gpt-6", provider="openai").stop()
            run.decision(
                "refunds", name="Refunds", subject="planted-call", subject_name="t", arguments="planted-args"
            ).deny(rule="planted-rule", reason="planted-reason")
            approval = run.request_approval(
                "planted-call",
                tool="t",
                arguments="planted-args",
                key=("sdk", "planted-thread", "planted-key"),
            )
            approval.denied(actor="human", actor_ref="planted-person", reason="planted-reason")
            call = run.tool("t", call_id="planted-call", arguments="planted-args", attempt=1, effect="pay")
            call.effect(target="planted-target", ref="planted-ref")
            call.idempotency(ref="planted-ref")
            call.result("planted-result")
            call.fail(ValueError("planted-text"))
            run.verification("v", subject="planted-call").failed(explanation="planted-text")
        run.budget("planted-budget", dimension="steps", limit=3, consumed=3)
        run.escalate("low_confidence", target_ref="planted-queue")


def test_no_label_is_content_or_an_id_and_all_are_of_the_registry(
    measured: Measured, metered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_AND_EVENT")
    everything(metered)
    text = measured.data.to_json()
    assert "planted" not in text
    assert "run-id-1" not in text
    registry = load_registry()
    known = {**registry.metrics, **registry.official_metrics}
    assert set(registry.metrics) <= set(measured.metrics)
    for name, metric in measured.metrics.items():
        allowed = {use.attribute.key: use for use in known[name].uses}
        required = {key for key, use in allowed.items() if use.level == "required"}
        assert metric.unit == known[name].unit
        assert metric.description == known[name].brief or name in registry.official_metrics
        assert metric.description.endswith(".")
        for labels, _ in measured.points(name):
            assert set(labels) <= set(allowed), (name, labels)
            assert required <= set(labels), (name, labels)


def test_labels_are_bounded(measured: Measured, metered: Any) -> None:
    with metered.run("a") as run:
        for number in range(1_000):
            run.tool(f"tool-{number}").stop()
        run.tool("x" * 500).stop()
        run.tool("tool-7").stop()
    calls = {labels["gen_ai.tool.name"]: value for labels, value in measured.points("runrecord.tool.calls")}
    assert len(calls) == 201
    assert (calls["_OTHER"], calls["tool-7"], sum(calls.values())) == (801, 2, 1002)
    assert "x" * 200 not in json.dumps(sorted(calls))


def test_a_span_of_each_kind_is_made_without_metrics_too(telemetry: Any) -> None:
    everything(telemetry.recorder(meter_provider=NoOpMeterProvider()))
    telemetry.check_counters()


def test_a_meter_provider_that_is_set_later_is_found(
    telemetry: Any, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = telemetry.recorder()
    recorder.run("a").stop()
    monkeypatch.setattr("runrecord.instrumentation._metrics.get_meter_provider", lambda: measured.provider)
    recorder.run("a").stop()
    assert [value for _, value in measured.points("runrecord.runs")] == [1]
