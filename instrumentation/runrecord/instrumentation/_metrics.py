# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Every metric of the recorder: what is measured where a record ends, and with which labels.

The names and units are those of the registry (``registry/metrics.yaml``). No id and no content is ever a label. Names that an
application gives (agents, tools, policies, models, error types, reasons) are bounded: of each label the first 200 values of a
process are kept, and what is beyond, or longer than 128 characters, is ``_OTHER``, as in the HTTP conventions.
"""

from collections.abc import Callable, Iterable
from typing import Final

from opentelemetry.metrics import Meter, MeterProvider, get_meter, get_meter_provider

from runrecord.instrumentation._state import Attributes, RunState
from runrecord.semconv import attributes as a
from runrecord.semconv import metrics as m

OTHER: Final = "_OTHER"
MAX_VALUES: Final = 200
MAX_LENGTH: Final = 128
_MAX_MADE: Final = 2_000

AGENT_DURATION: Final = "gen_ai.invoke_agent.duration"
WORKFLOW_DURATION: Final = "gen_ai.invoke_workflow.duration"
TOOL_DURATION: Final = "gen_ai.execute_tool.duration"

_OFFICIAL: Final = {
    AGENT_DURATION: "The duration of an invocation of an agent.",
    WORKFLOW_DURATION: "The duration of a workflow.",
    TOOL_DURATION: "The duration of a call of a tool.",
}
"""What the official metrics measure; the unit of each is the second."""

_OPERATION: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Boundaries in seconds: those that the GenAI conventions advise for the duration of an operation."""
_LONG: Final = (0.1, 1, 5, 15, 60, 300, 900, 3600, 14_400, 43_200, 86_400, 259_200, 604_800)
"""Boundaries in seconds of what may wait for a person: up to a week."""
_COST: Final = (0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100)
_PART: Final = (0.1, 0.25, 0.5, 0.75, 0.9, 1, 1.1, 1.25, 1.5, 2)


class Metrics:
    """The instruments of one recorder; every method is one kind of measurement."""

    def __init__(self, meter: Meter) -> None:
        def counter(name: str) -> Callable[..., None]:
            return meter.create_counter(name, m.UNITS[name], m.BRIEFS[name]).add

        def histogram(name: str, boundaries: Iterable[float]) -> Callable[..., None]:
            unit, brief = m.UNITS.get(name, "s"), m.BRIEFS.get(name, _OFFICIAL.get(name, ""))
            return meter.create_histogram(
                name, unit, brief, explicit_bucket_boundaries_advisory=[*boundaries]
            ).record

        self._runs = counter(m.RUNS)
        self._run_duration = histogram(m.RUN_DURATION, _LONG)
        self._run_cost = histogram(m.RUN_COST, _COST)
        self._agent_duration = histogram(AGENT_DURATION, _OPERATION)
        self._workflow_duration = histogram(WORKFLOW_DURATION, _OPERATION)
        self._call_cost = histogram(m.CALL_COST, _COST)
        self._unpriced = counter(m.UNPRICED_CALLS)
        self._step_duration = histogram(m.STEP_DURATION, _OPERATION)
        self._tool_calls = counter(m.TOOL_CALLS)
        self._tool_duration = histogram(TOOL_DURATION, _OPERATION)
        self._decisions = counter(m.POLICY_DECISIONS)
        self._requests = counter(m.APPROVAL_REQUESTS)
        self._wait = histogram(m.APPROVAL_WAIT, _LONG)
        self._verifications = counter(m.VERIFICATIONS)
        self._escalations = counter(m.ESCALATIONS)
        self._retries = counter(m.RETRIES)
        self._budget = histogram(m.BUDGET_UTILIZATION, _PART)
        self._known: dict[str, set[str]] = {}
        self._made: dict[tuple[object, ...], dict[str, str | bool]] = {}

    def segment_ended(self, state: RunState, seconds: float, error: str | None) -> None:
        """Measure one segment of a run."""
        record = self._workflow_duration if state.is_workflow else self._agent_duration
        record(seconds, self._labels(state, {a.ERROR_TYPE: error}))

    def run_ended(
        self,
        state: RunState,
        outcome: str,
        error: str | None,
        *,
        seconds: float | None,
        budgets: Iterable[tuple[float, Attributes]],
    ) -> None:
        """Count a run whose last segment ended; ``seconds`` is None if it is not known when the first began."""
        ended: Attributes = {a.RUN_OUTCOME: outcome}
        self._runs(1, self._labels(state, {**ended, a.ERROR_TYPE: error}))
        if seconds is not None:
            self._run_duration(seconds, self._labels(state, ended))
        for currency, amount in state.spent.items():
            self._run_cost(amount, self._labels(state, {**ended, a.COST_CURRENCY: currency}))
        for part, said in budgets:
            labels = {
                name: said.get(name) for name in (a.BUDGET_DIMENSION, a.BUDGET_EXCEEDED, a.BUDGET_ACTION)
            }
            self._budget(part, self._labels(state, labels))

    def step_ended(self, state: RunState, kind: str, seconds: float, error: str | None) -> None:
        """Measure a step."""
        self._step_duration(seconds, self._labels(state, {a.STEP_KIND: kind, a.ERROR_TYPE: error}))

    def tool_took(
        self, state: RunState, tool: str, kind: str | None, seconds: float, error: str | None
    ) -> None:
        """Measure a tool call; ``kind`` is the type of the tool."""
        labels: Attributes = {a.GEN_AI_TOOL_NAME: tool, a.GEN_AI_TOOL_TYPE: kind, a.ERROR_TYPE: error}
        self._tool_duration(seconds, self._labels(state, labels))

    def tool_ended(self, state: RunState, tool: str, effects: Attributes, error: str | None) -> None:
        """Count a tool call with what was said of its effect."""
        labels: Attributes = {
            a.GEN_AI_TOOL_NAME: tool,
            a.SIDE_EFFECT_TYPE: effects.get(a.SIDE_EFFECT_TYPE),
            a.DRY_RUN: effects.get(a.DRY_RUN) or None,
            a.IDEMPOTENCY_DEDUPLICATED: effects.get(a.IDEMPOTENCY_DEDUPLICATED) or None,
            a.ERROR_TYPE: error,
        }
        self._tool_calls(1, self._labels(state, labels))

    def tried_again(self, state: RunState, what: Attributes) -> None:
        """Count an attempt after the first, of a tool or a step."""
        self._retries(1, self._labels(state, what))

    def call_cost(self, state: RunState, called: Attributes, cost: tuple[float, str, str]) -> None:
        """Measure what a call of a model or a tool cost."""
        amount, currency, source = cost
        labels = {**called, a.COST_CURRENCY: currency, a.COST_SOURCE: source}
        self._call_cost(amount, self._labels(state, labels))

    def unpriced(self, state: RunState, model: str | None) -> None:
        """Count a call of a model of which nobody said the cost."""
        self._unpriced(1, self._labels(state, {a.GEN_AI_REQUEST_MODEL: model}))

    def decided(self, state: RunState, facts: Attributes, outcome: str | None, error: str | None) -> None:
        """Count a decision of a policy."""
        labels: Attributes = {
            a.POLICY_NAME: facts.get(a.POLICY_NAME) or facts.get(a.POLICY_ID),
            a.POLICY_MODE: facts.get(a.POLICY_MODE),
            a.DECISION_OUTCOME: outcome,
            a.SUBJECT_TYPE: facts.get(a.SUBJECT_TYPE),
            a.SUBJECT_NAME: facts.get(a.SUBJECT_NAME),
            a.ERROR_TYPE: error,
        }
        self._decisions(1, self._labels(state, labels))

    def approval_requested(self, state: RunState, subject: Attributes) -> None:
        """Count a request for approval."""
        self._requests(1, self._labels(state, subject))

    def approval_decided(
        self, state: RunState, subject: Attributes, seconds: float, status: str, actor: str | None
    ) -> None:
        """Measure how long an approval was waited for."""
        said: Attributes = {a.APPROVAL_STATUS: status, a.APPROVAL_ACTOR_TYPE: actor}
        self._wait(seconds, self._labels(state, {**subject, **said}))

    def verified(self, state: RunState, facts: Attributes) -> None:
        """Count a verification."""
        self._verifications(1, self._labels(state, facts))

    def escalated(self, state: RunState, reason: str) -> None:
        """Count an escalation."""
        self._escalations(1, self._labels(state, {a.ESCALATION_REASON_CODE: reason}))

    def _labels(self, state: RunState, labels: Attributes) -> dict[str, str | bool]:
        key = (state.agent, state.workflow, *labels.items())
        found = self._made.get(key)
        if found is None:
            run = a.GEN_AI_WORKFLOW_NAME if state.is_workflow else a.GEN_AI_AGENT_NAME
            found = self._bounded({run: state.workflow if state.is_workflow else state.agent, **labels})
            if len(self._made) >= _MAX_MADE:
                self._made.clear()
            self._made[key] = found
        return found

    def _bounded(self, labels: Attributes) -> dict[str, str | bool]:
        bounded: dict[str, str | bool] = {}
        for name, value in labels.items():
            if isinstance(value, bool):
                bounded[name] = value
            elif value is not None:
                known = self._known.setdefault(name, set())
                text = str(value)
                if text not in known:
                    if len(known) >= MAX_VALUES or len(text) > MAX_LENGTH:
                        text = OTHER
                    else:
                        known.add(text)
                bounded[name] = text
        return bounded


def finder(
    scope: str, version: str | None, provider: MeterProvider | None, schema_url: str
) -> Callable[[], Metrics | None]:
    """Return what gives the instruments, or None while nobody set a MeterProvider: then nothing is measured at all."""
    found: list[Metrics] = []

    def find() -> Metrics | None:
        if not found:
            chosen = provider if provider is not None else get_meter_provider()
            # The API's own providers, the proxy and the no-op, measure nothing.
            if type(chosen).__module__.startswith("opentelemetry.metrics"):
                return None
            found.append(Metrics(get_meter(scope, version or "", chosen, schema_url)))
        return found[0]

    return find
