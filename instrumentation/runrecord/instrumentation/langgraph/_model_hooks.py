# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the SDK's own middleware around the model decides: reviews, personal data, limits of calls, refusals."""

from collections.abc import Mapping
from typing import Any

from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.langgraph import extract
from runrecord.instrumentation.langgraph._middleware import decide, decision_of, settle, text
from runrecord.instrumentation.langgraph._tracker import Tracker, interrupts_of
from runrecord.instrumentation.recorder import Governed, Run


@guarded
def human_review(
    tracker: Tracker, middleware: Any, calls: list[Mapping[str, Any]], error: BaseException | None
) -> None:
    """Record what ``HumanInTheLoopMiddleware.after_model`` gated in batched mode: approval needed, or let through."""
    if getattr(middleware, "interrupt_mode", "batched") == "per_call":
        return
    if error is not None and not interrupts_of(error):
        return
    scope = tracker.here()
    graph = tracker.graph_of(scope) if scope is not None else None
    gated = getattr(middleware, "interrupt_on", {})
    needed: set[int] = set()
    for interrupt in interrupts_of(error) if error is not None else ():
        items = extract.with_call_ids(extract.asked(interrupt.value), calls)
        wanted = {item.tool_call_id for item in items}
        needed |= {index for index, call in enumerate(calls) if call.get("id") in wanted}
        if graph is not None:
            graph.calls[str(interrupt.id)] = calls
    for index, call in enumerate(calls):
        if call.get("name") not in gated:
            continue
        rule = f"interrupt_on.{call.get('name')}"
        if index in needed:
            decide(tracker, middleware, call, outcome="require_approval", rule=rule)
        else:
            decide(tracker, middleware, call, outcome="allow", rule=rule, unless="require_approval")


@guarded
def personal_data(
    tracker: Tracker, middleware: Any, where: str, result: object, error: BaseException | None
) -> None:
    """Record that ``PIIMiddleware`` changed or stopped what goes to or comes from the model."""
    scope = tracker.here()
    if scope is None or tracker.graph_of(scope) is None:
        return
    subject = "model_input" if where == "before_model" else "model_output"
    rule = text(middleware, "pii_type")
    if error is not None:
        if type(error).__name__ == "PIIDetectionError":
            settle(
                decision_of(scope, middleware, subject_type=subject), "deny", rule, "block", "pii_detected"
            )
    elif result is not None:
        strategy = getattr(middleware, "strategy", "redact")
        settle(
            decision_of(scope, middleware, subject_type=subject), "allow", rule, "redact", f"pii_{strategy}"
        )


@guarded
def call_limit(
    tracker: Tracker, middleware: Any, state: object, result: object, error: BaseException | None
) -> None:
    """Record what a limit of model or tool calls has counted, and the denial where it was reached.

    Args:
        tracker: Where the runs are.
        middleware: ``ToolCallLimitMiddleware`` or ``ModelCallLimitMiddleware``.
        state: What the hook was given; the counts before it.
        result: What it returned: the counts after it, if they changed.
        error: What it raised; the SDK's own error has the counts, too.
    """
    scope = tracker.here()
    graph = tracker.graph_of(scope) if scope is not None else None
    if scope is None or graph is None:
        return
    if error is not None and not type(error).__name__.endswith("LimitExceededError"):
        return
    what = "tool_call" if hasattr(middleware, "tool_name") else "model_call"
    update = extract.mapping(result)
    if error is None and not update:
        return  # nothing was counted
    ends = error is not None or update.get("jump_to") == "end"
    stops = ends and graph.run is not None and scope.parent is graph.run  # else it ends a sub-agent
    blocked = ends or (what == "tool_call" and bool(update.get("messages")))
    action = "stop" if stops else "warn" if blocked else "none"
    budgets = extract.call_budgets(middleware, what, state, update, error)
    run = _run_of(scope)
    for name, limit, consumed in budgets:
        reached = action if consumed >= limit else "none"
        if run is not None:
            run.budget(name, dimension=f"{what}s", limit=limit, consumed=consumed, action=reached)
    if not blocked:
        return
    reason = f"{what}_limit"
    decision = decision_of(scope, middleware, subject_type="run", subject_name=text(middleware, "tool_name"))
    for name, limit, consumed in [item for item in budgets if item[2] >= item[1]][:1]:
        decision.budget(name, dimension=f"{what}s", limit=limit, consumed=consumed, action=action)
    settle(decision, "deny", reason, "terminate" if stops else "block", reason)
    if stops:
        graph.outcome = ("budget_exceeded", reason)


def _run_of(scope: Governed | None) -> Run | None:
    while scope is not None and not isinstance(scope, Run):
        scope = scope.parent
    return scope


@guarded
def refusal(tracker: Tracker, middleware: Any, error: BaseException | None) -> None:
    """Record that ``ModelRefusalMiddleware`` turned the refusal of a model into an error."""
    scope = tracker.here()
    if scope is None or tracker.graph_of(scope) is None or type(error).__name__ != "ModelRefusalError":
        return
    decision = decision_of(scope, middleware, subject_type="model_output")
    settle(decision, "deny", "refusal", "block", "model_refusal")


def calls_in(state: object) -> list[Mapping[str, Any]]:
    """Copy the tool calls that the last AI message of a state has; the SDK changes that message in place."""
    return extract.last_tool_calls(state)
