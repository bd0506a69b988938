# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The records that have no children: policy decisions, verifications and compensations."""

from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import Link

from runrecord.instrumentation._content import Unset, captures_content, error_type
from runrecord.instrumentation._governed import Governed, parent_for
from runrecord.instrumentation._metrics import Metrics
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation._state import Attributes
from runrecord.instrumentation.context_store import SpanRef
from runrecord.semconv import attributes as a
from runrecord.semconv.commitment import LABEL_MESSAGE, LABEL_TOOL_ARGUMENTS
from runrecord.semconv.signals import EVENT_POLICY_DECIDED

EVENT_GEN_AI_EVALUATION_RESULT: Final = "gen_ai.evaluation.result"
"""The official event for the result of a check."""
_LETS_RUN: Final = frozenset({"none", "warn", "modify", "redact"})
"""Actions after a denial that don't keep a tool call from being made, such as withholding its result."""


def budget_facts(
    budget: str,
    *,
    dimension: str,
    limit: float,
    consumed: float | None,
    exceeded: bool | None,
    action: str | None,
    currency: str | None,
) -> Attributes:
    """Return the attributes of a budget; the limit counts as reached if as much was used, unless it is said."""
    if exceeded is None and consumed is not None:
        exceeded = consumed >= limit
    return {
        a.BUDGET_ID: budget,
        a.BUDGET_DIMENSION: dimension,
        a.BUDGET_LIMIT: float(limit),
        a.BUDGET_CONSUMED: None if consumed is None else float(consumed),
        a.BUDGET_EXCEEDED: exceeded,
        a.BUDGET_ACTION: action,
        a.COST_CURRENCY: currency,
    }


class Decision(Governed):
    """A policy decision: finished by naming its outcome.

    A decision that is left without an outcome (the engine raised) ends with status ERROR.
    """

    signal = "runrecord.policy_decision"

    def __init__(self, owner: Governed, context: Context | None) -> None:
        self._where, parent = parent_for(owner, context)
        super().__init__(owner.state, parent, parent.step_index)
        self._facts: Attributes = {}
        self._outcome: str | None = None

    @guarded
    def begin(
        self,
        policy: str,
        *,
        version: str | None,
        name: str | None,
        engine: str | None,
        mode: str | None,
        subject: str | None,
        subject_type: str | None,
        subject_name: str | None,
        arguments: object | Unset,
        content: object | Unset,
        decision_id: str | None,
        governance_ref: str | None,
        attributes: Attributes,
        start_time: int | None,
    ) -> None:
        self._start_time = start_time
        digest = self._state.commit(LABEL_TOOL_ARGUMENTS, arguments) or self._state.commit(
            LABEL_MESSAGE, content
        )
        self._facts = {
            a.POLICY_ID: policy,
            a.POLICY_VERSION: version,
            a.POLICY_NAME: name,
            a.POLICY_ENGINE: engine,
            a.POLICY_MODE: mode,
            a.SUBJECT_TYPE: subject_type,
            a.SUBJECT_ID: subject,
            a.SUBJECT_NAME: subject_name,
            a.SUBJECT_DIGEST: digest,
            a.DECISION_ID: decision_id or self._state.core.new_id(),
            a.GOVERNANCE_REF: governance_ref,
            **attributes,
        }
        self._open(f"policy_decision {name or policy}", self._facts, parent=self._where)

    def allow(self, *, rule: str | None = None, action: str | None = None, reason: str | None = None) -> None:
        """The subject may proceed; ``reason`` is a code, never content."""
        self._decide("allow", rule, action, reason)

    def deny(self, *, rule: str | None = None, action: str | None = None, reason: str | None = None) -> None:
        """The subject is stopped; ``reason`` is a code, never content."""
        self._decide("deny", rule, action, reason)

    def require_approval(
        self, *, rule: str | None = None, action: str | None = None, reason: str | None = None
    ) -> None:
        """The subject waits for a person; ``reason`` is a code, never content."""
        self._decide("require_approval", rule, action, reason)

    @guarded
    def budget(
        self,
        budget: str,
        *,
        dimension: str,
        limit: float,
        consumed: float | None = None,
        exceeded: bool | None = None,
        action: str | None = None,
        currency: str | None = None,
    ) -> None:
        """Say which budget the policy looked at; as :meth:`Run.budget`."""
        self.set(
            budget_facts(
                budget,
                dimension=dimension,
                limit=limit,
                consumed=consumed,
                exceeded=exceeded,
                action=action,
                currency=currency,
            )
        )

    @guarded
    def _decide(self, outcome: str, rule: str | None, action: str | None, reason: str | None) -> None:
        if not self._ended:
            self._outcome = outcome
        decided: Attributes = {
            a.DECISION_OUTCOME: outcome,
            a.DECISION_ACTION: action,
            a.DECISION_REASON_CODE: reason,
            a.POLICY_RULE_ID: rule,
        }
        if self._finish(decided, None):
            self._note_denial(outcome, action)
            facts: Attributes = {a.STEP_INDEX: self._step_index, **self._facts}
            self._state.emit(EVENT_POLICY_DECIDED, {**facts, **decided}, self.context)

    def _measure(self, metrics: Metrics, error: str | None) -> None:
        metrics.decided(self._state, self._facts, self._outcome, error)

    def _note_denial(self, outcome: str, action: str | None) -> None:
        facts = self._facts
        enforced = facts.get(a.POLICY_MODE) != "monitor" and action not in _LETS_RUN
        if outcome == "deny" and enforced and facts.get(a.SUBJECT_TYPE) == "tool_call":
            subject, tool = facts.get(a.SUBJECT_ID), facts.get(a.SUBJECT_NAME)
            self._state.stopped.stop(
                str(subject or facts.get(a.DECISION_ID)), None if tool is None else str(tool)
            )

    @guarded
    def stop(self) -> None:
        """Finish; without an outcome that is an error of the policy engine."""
        self._finish({}, "no_outcome")


class Verification(Governed):
    """An independent check of a result: ``passed``, ``failed`` or ``inconclusive``."""

    def __init__(self, owner: Governed, context: Context | None) -> None:
        self._where, parent = parent_for(owner, context)
        super().__init__(owner.state, parent, parent.step_index)
        self._check = self._kind = self._outcome = ""
        self._subject: str | None = None

    @guarded
    def begin(self, check: str, *, kind: str, subject: str | None, attributes: Attributes) -> None:
        facts: Attributes = {
            a.VERIFICATION_TYPE: kind,
            a.VERIFICATION_NAME: check,
            a.VERIFICATION_SUBJECT_ID: subject,
            **attributes,
        }
        self._check, self._kind, self._subject = check, kind, subject
        self._open(f"verify {check}", facts, parent=self._where)

    def passed(self, *, score: float | None = None, explanation: str | None = None) -> None:
        """The check passed; the ``explanation`` is content, recorded only where content is captured."""
        self._conclude("pass", None, score, explanation)

    def failed(self, *, score: float | None = None, explanation: str | None = None) -> None:
        """The check ran and did not pass, which is not an error."""
        self._conclude("fail", None, score, explanation)

    def inconclusive(self, *, score: float | None = None, explanation: str | None = None) -> None:
        """The check could not tell."""
        self._conclude("inconclusive", None, score, explanation)

    def stop(self) -> None:
        """Finish; without an outcome the check was inconclusive."""
        self._conclude("inconclusive", None)

    def fail(self, error: BaseException | str) -> None:
        """Finish with an error of the check itself."""
        self._conclude("inconclusive", error)

    @guarded
    def _conclude(
        self,
        outcome: str,
        error: BaseException | str | None,
        score: float | None = None,
        explanation: str | None = None,
    ) -> None:
        self._outcome = self._outcome or outcome
        if not self._finish({a.VERIFICATION_OUTCOME: outcome}, error):
            return
        facts: Attributes = {
            a.GEN_AI_EVALUATION_NAME: self._check,
            a.GEN_AI_EVALUATION_SCORE_LABEL: outcome,
            a.GEN_AI_EVALUATION_SCORE_VALUE: score,
            a.GEN_AI_EVALUATION_EXPLANATION: explanation if captures_content() else None,
            a.ERROR_TYPE: None if error is None else error_type(error),
        }
        self._state.emit(EVENT_GEN_AI_EVALUATION_RESULT, facts, self.context)

    def _measure(self, metrics: Metrics, error: str | None) -> None:
        facts: Attributes = {
            a.VERIFICATION_NAME: self._check,
            a.VERIFICATION_TYPE: self._kind,
            a.VERIFICATION_OUTCOME: self._outcome,
            a.GEN_AI_TOOL_NAME: self._state.stopped.tool_of(self._subject),
            a.ERROR_TYPE: error,
        }
        metrics.verified(self._state, facts)


class Compensation(Governed):
    """The attempt to undo an effect, linked to the call that made it."""

    def __init__(self, owner: Governed, context: Context | None) -> None:
        self._where, parent = parent_for(owner, context)
        super().__init__(owner.state, parent, parent.step_index)

    @guarded
    def begin(
        self, subject: str, *, subject_id: str | None, of: SpanRef | Governed | None, attributes: Attributes
    ) -> None:
        address = of.span_context if isinstance(of, Governed) else of.span_context() if of else None
        links = [Link(address)] if address is not None and address.is_valid else []
        facts: Attributes = {a.SUBJECT_NAME: subject, a.COMPENSATION_SUBJECT_ID: subject_id, **attributes}
        self._open(f"compensate {subject}", facts, parent=self._where, links=links)

    @guarded
    def outcome(self, outcome: str) -> None:
        """Finish with one of succeeded, failed, partial, not_possible."""
        self._finish({a.COMPENSATION_OUTCOME: outcome}, None)

    @guarded
    def stop(self) -> None:
        """Finish; it succeeded."""
        self._finish({a.COMPENSATION_OUTCOME: "succeeded"}, None)

    @guarded
    def fail(self, error: BaseException | str) -> None:
        """Finish; the effect still stands."""
        self._finish({a.COMPENSATION_OUTCOME: "failed"}, error)
