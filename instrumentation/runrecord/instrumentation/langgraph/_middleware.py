# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What middleware decides, as policy decisions.

``wrap_tool_call`` hooks leave no callback, so each class's own method is wrapped: answering without calling the handler is
a denial; calling it is an allow, which is recorded for a middleware that declares itself a policy with ``policy_id``
(and, optionally, ``policy_version``, ``policy_rule`` and ``policy_tools``, the names of the tools it judges).
``policy_id = None`` says that a middleware is no policy, such as a cache that answers in place of the tool.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.langgraph import extract
from runrecord.instrumentation.langgraph._tracker import Tracker, interrupts_of, is_control_flow
from runrecord.instrumentation.recorder import UNSET, Decision, Scope, Step

# Middleware of the SDK that answers a call without being a policy.
NO_POLICY: Final = frozenset({"LLMToolEmulator"})
HUMAN: Final = "HumanInTheLoopMiddleware"
AUTO: Final = "AutoModeMiddleware"

_observed: ContextVar[tuple[int, ...]] = ContextVar("runrecord_langgraph_observed", default=())


def is_a(instance: object, name: str) -> bool:
    """Say whether a class of that name is among the bases."""
    return any(kind.__name__ == name for kind in type(instance).__mro__)


class ToolCallObservation:
    """One pass of one tool call through one middleware's ``wrap_tool_call``."""

    def __init__(self, tracker: Tracker, middleware: Any, request: Any) -> None:
        self._tracker = tracker
        self._middleware = middleware
        self._call: Mapping[str, Any] = dict(extract.mapping(getattr(request, "tool_call", None)))
        self._human = is_a(middleware, HUMAN)
        self._auto = is_a(middleware, AUTO)
        self.called = False

    @property
    def _declared(self) -> bool:
        return self._auto or isinstance(getattr(self._middleware, "policy_id", None), str)

    @property
    def _judges(self) -> bool:
        tools = getattr(self._middleware, "policy_tools", None)
        if tools is None and self._auto:
            tools = extract.names_of(getattr(getattr(self._middleware, "config", None), "tools", ()))
        return tools is None or self._call.get("name") in tools

    @guarded
    def proceeds(self) -> None:
        """The middleware calls the handler: it lets the call through."""
        if self.called:
            return
        self.called = True
        if self._human:
            self._let_through_by_person()
        elif self._declared and self._judges:
            self._decide("allow", None, None)

    @guarded
    def returned(self, result: object) -> None:
        """The middleware returned; without a call of the handler that is an answer in place of the tool."""
        if self.called or self._human:
            return
        if getattr(self._middleware, "policy_id", "") is None:
            return
        if any(is_a(self._middleware, name) for name in NO_POLICY):
            return
        reason = "answered_with_error" if extract.tool_result(result)[1] else "answered_without_call"
        self._decide("deny", "block", "classified_risky" if self._auto else reason)

    @guarded
    def raised(self, error: BaseException) -> None:
        """The middleware raised: a pause for a person, or a policy that stops the run."""
        if self._human:
            if interrupts_of(error) and not self.called:
                self._decide("require_approval", None, None)
        elif (
            not self.called and self._declared and isinstance(error, Exception) and not is_control_flow(error)
        ):
            self._decide("deny", "terminate", "raised")

    def _let_through_by_person(self) -> None:
        """In ``per_call`` mode a gated call goes through when its ``when`` says so, or a person has said so."""
        gated = getattr(self._middleware, "interrupt_on", {})
        per_call = getattr(self._middleware, "interrupt_mode", "batched") == "per_call"
        if per_call and self._call.get("name") in gated:
            self._decide("allow", None, None, unless="require_approval")

    def _decide(
        self, outcome: str, action: str | None, reason: str | None, unless: str | None = None
    ) -> None:
        rule = f"interrupt_on.{self._call.get('name')}" if self._human else "is_risky" if self._auto else None
        decide(
            self._tracker,
            self._middleware,
            self._call,
            outcome=outcome,
            action=action,
            reason=reason,
            rule=rule,
            unless=unless,
        )


def decide(
    tracker: Tracker,
    middleware: Any,
    call: Mapping[str, Any],
    *,
    outcome: str,
    action: str | None = None,
    reason: str | None = None,
    rule: str | None = None,
    unless: str | None = None,
) -> None:
    """Record a decision about a tool call, once per task, middleware, call and outcome: replays repeat the code."""
    scope = tracker.here()
    if scope is None or tracker.graph_of(scope) is None:
        return
    policy = _policy_id(middleware)
    place = scope.step_id if isinstance(scope, Step) else None
    mark = f"decision|{place}|{policy}|{call.get('id')}|"
    if unless is not None and scope.state.seen(mark + unless):
        return
    if not scope.state.once(mark + outcome):
        return
    decision = decision_of(
        scope,
        middleware,
        subject=call.get("id"),
        subject_type="tool_call",
        subject_name=extract.bounded(call.get("name")),
        arguments=call.get("args", UNSET),
    )
    settle(decision, outcome, rule or text(middleware, "policy_rule"), action, reason)


def _policy_id(middleware: Any) -> str:
    return extract.bounded(
        getattr(middleware, "policy_id", None) or getattr(middleware, "name", None), "middleware"
    )


def text(middleware: Any, name: str) -> str | None:
    """Return an attribute of a middleware as text."""
    value = getattr(middleware, name, None)
    return str(value) if value is not None else None


def decision_of(scope: Scope, middleware: Any, **subject: Any) -> Decision:
    """Start the decision of a middleware, which is the policy."""
    declared = isinstance(getattr(middleware, "policy_id", None), str)
    ours = type(middleware).__module__.startswith(("langchain.", "deepagents."))
    return scope.decision(
        _policy_id(middleware),
        version=text(middleware, "policy_version"),
        engine="sdk" if ours and not declared else "custom",
        mode="enforce",
        **subject,
    )


def settle(
    decision: Decision, outcome: str, rule: str | None, action: str | None, reason: str | None
) -> None:
    """Finish a decision."""
    ends = {"allow": decision.allow, "deny": decision.deny, "require_approval": decision.require_approval}
    ends[outcome](rule=rule, action=action, reason=reason)


def nested(instance: object, hook: str) -> bool:
    """Say whether this hook of this instance is observed already, further out: ``super()`` and a-sync twins."""
    mark = hash((id(instance), hook))
    seen = _observed.get()
    if mark in seen:
        return True
    _observed.set((*seen, mark))
    return False


def leave(instance: object, hook: str) -> None:
    """Undo what :func:`nested` noted."""
    mark = hash((id(instance), hook))
    _observed.set(tuple(item for item in _observed.get() if item != mark))
