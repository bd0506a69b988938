# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a picture shows of a played scenario: a row for each span and for each log event that repeats no span."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from harness import Process, facts_of

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

Tone = Literal["good", "bad", "warn", "info", "plain"]
Badge = tuple[str, Tone]
Facts = Mapping[str, Any]

_TONES: Mapping[str, Tone] = {
    "success": "good", "allow": "good", "approved": "good", "pass": "good", "succeeded": "good", "closed": "good",
    "failure": "bad", "deny": "bad", "denied": "bad", "fail": "bad", "failed": "bad", "open": "bad",
    "require_approval": "warn", "pending": "warn", "modified": "warn", "expired": "warn", "escalated": "warn",
    "budget_exceeded": "warn", "cancelled": "warn", "suspended": "warn", "inconclusive": "warn", "half_open": "warn",
    "partial": "warn", "not_possible": "warn",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line of a picture.

    Attributes:
        depth: How many rows it is inside of.
        kind: run, step, tool, model, decision, request, answer, verification, compensation, other (a span that is not ours),
            event, or nothing (a call that did not happen, since it was refused).
        name: The name of the span or of the event.
        badges: What is special about it.
        span_id: Empty for an event.
        parent_id: Empty for an event, and for the root of a trace.
        links: The ids of the spans that it links to.
    """

    depth: int
    kind: str
    name: str
    badges: tuple[Badge, ...]
    span_id: str = ""
    parent_id: str = ""
    links: tuple[str, ...] = ()


def rows_of(process: Process, ran: frozenset[str]) -> list[Row]:
    """The rows of one process of a scenario, each below the row it is inside of, in the order of their start.

    Args:
        process: What it emitted.
        ran: The ids of the tool calls that some process made.
    """
    spans: list[Span] = list(process.spans)
    inside: dict[str, list[tuple[float, Any]]] = {}
    known = {span.span_id.hex() for span in spans}
    for span in spans:
        parent = span.parent_span_id.hex()
        inside.setdefault(parent if parent in known else "", []).append((int(span.span_id.hex(), 16), span))
    for record, place in zip(process.logs, process.places, strict=True):
        if record.event_name in EVENTS:
            inside.setdefault(record.span_id.hex(), []).append((place + 0.5, record))
    found: list[Row] = []

    def walk(parent: str, depth: int) -> None:
        for _, item in sorted(inside.get(parent, []), key=lambda pair: pair[0]):
            facts = facts_of(item.attributes)
            if hasattr(item, "event_name"):
                badges = (*EVENTS[item.event_name](facts), *_badges_of_any(facts))
                found.append(Row(depth, "event", item.event_name, badges))
                continue
            kind = _kind(item.name, facts)
            badges = _BADGES.get(kind, _badges_of_others)(facts)
            found.append(
                Row(
                    depth, kind, item.name, (*badges, *_badges_of_any(facts)), item.span_id.hex(),
                    item.parent_span_id.hex(), tuple(link.span_id.hex() for link in item.links),
                )
            )  # fmt: skip
            if _refused(facts) and facts.get("runrecord.subject.id") not in ran:
                name = f"execute_tool {facts.get('runrecord.subject.name', '')}".strip()
                found.append(Row(depth, "nothing", name, (("did not happen", "bad"),)))
            walk(item.span_id.hex(), depth + 1)

    walk("", 0)
    return found


def calls_of(processes: Iterable[Process]) -> frozenset[str]:
    """The ids of the tool calls that these processes made."""
    every = [facts_of(span.attributes) for process in processes for span in process.spans]
    return frozenset(
        str(facts["gen_ai.tool.call.id"])
        for facts in every
        if facts.get("gen_ai.operation.name") == "execute_tool" and "gen_ai.tool.call.id" in facts
    )


def _refused(facts: Facts) -> bool:
    if facts.get("runrecord.subject.type") != "tool_call":
        return False
    denied = (
        facts.get("runrecord.decision.outcome") == "deny" and facts.get("runrecord.policy.mode") != "monitor"
    )
    return denied or facts.get("runrecord.approval.status") in {"denied", "expired", "cancelled"}


_KINDS = {
    "agent_step": "step",
    "execute_tool": "tool",
    "policy_decision": "decision",
    "request_approval": "request",
    "approval_decision": "answer",
    "verify": "verification",
    "compensate": "compensation",
}


def _kind(name: str, facts: Facts) -> str:
    if "runrecord.run.state" in facts:
        return "run"
    if "runrecord.run.id" in facts and facts.get("gen_ai.operation.name") == "chat":
        return "model"
    return _KINDS.get(name.split(" ", 1)[0], "other")


def _word(value: object, *, prefix: str = "") -> list[Badge]:
    return [] if value is None else [(f"{prefix}{value}", _TONES.get(str(value), "plain"))]


def _badges_of_run(facts: Facts) -> tuple[Badge, ...]:
    found = [("suspended: it waits", "warn")] if facts["runrecord.run.state"] == "suspended" else []
    found += _word(facts.get("runrecord.run.outcome"))
    if segment := facts.get("runrecord.run.segment"):
        found.append((f"segment {segment}", "info"))
    if principal := facts.get("runrecord.principal.type"):
        found.append((f"for {'an' if principal == 'agent' else 'a'} {principal}", "plain"))
    found += _budget(facts)
    found += _word(facts.get("runrecord.escalation.reason_code"))
    return tuple(found)  # type: ignore[arg-type]


def _badges_of_step(facts: Facts) -> tuple[Badge, ...]:
    found = _word(facts.get("runrecord.step.name"))
    if attempt := facts.get("runrecord.step.attempt"):
        found.append((f"attempt {attempt}", "info"))
    return tuple(found)


def _badges_of_tool(facts: Facts) -> tuple[Badge, ...]:
    found: list[Badge] = []
    effect, target = facts.get("runrecord.side_effect.type"), facts.get("runrecord.side_effect.target")
    if effect:
        changes = effect not in {"none", "read"}
        found.append((f"{effect} → {target}" if target else str(effect), "info" if changes else "plain"))
    for key, wanted, text, tone in (
        ("runrecord.side_effect.committed", True, "committed", "good"),
        ("runrecord.side_effect.reversible", False, "can't be undone", "warn"),
        ("runrecord.side_effect.reversible", True, "can be undone", "plain"),
        ("runrecord.idempotency.deduplicated", True, "a repeat: no second effect", "good"),
        ("runrecord.dry_run", True, "dry run", "good"),
    ):
        if facts.get(key) is wanted:
            found.append((text, tone))  # type: ignore[arg-type]
    if attempt := facts.get("runrecord.retry.attempt"):
        found.append((f"attempt {attempt}", "info"))
    if "runrecord.approval.id" in facts:
        found.append(("as approved", "good"))
    return tuple(found)


def _badges_of_decision(facts: Facts) -> tuple[Badge, ...]:
    found = _word(facts.get("runrecord.decision.outcome"))
    found += _word(facts.get("runrecord.policy.rule.id") or facts.get("runrecord.decision.reason_code"))
    if facts.get("runrecord.policy.mode") == "monitor":
        found.append(("only monitored", "info"))
    if (action := facts.get("runrecord.decision.action")) not in {None, "none"}:
        found.append((str(action), "info"))
    return (*found, *_budget(facts))


def _badges_of_request(facts: Facts) -> tuple[Badge, ...]:
    found = _word(facts.get("runrecord.approval.status"))
    if deadline := facts.get("runrecord.approval.deadline"):
        found.append((f"until {str(deadline)[:16].replace('T', ' ')}", "plain"))
    return tuple(found)


def _badges_of_answer(facts: Facts) -> tuple[Badge, ...]:
    found = _word(facts.get("runrecord.approval.status"))
    who = [facts.get("runrecord.approval.actor.type"), facts.get("runrecord.approval.actor.ref")]
    if any(who):
        found.append((" ".join(str(part) for part in who if part), "info"))
    if (waited := facts.get("runrecord.approval.wait_seconds", 0.0)) >= 60:
        found.append((f"after {_long(waited)}", "plain"))
    if (scope := facts.get("runrecord.approval.scope")) not in {None, "once"}:
        found.append((f"from now on: {scope}" if scope == "always" else f"for the {scope}", "info"))
    return tuple(found)


def _badges_of_others(facts: Facts) -> tuple[Badge, ...]:
    kept = ("runrecord.verification.outcome", "runrecord.compensation.outcome")
    return tuple(badge for key in kept for badge in _word(facts.get(key)))


def _badges_of_any(facts: Facts) -> tuple[Badge, ...]:
    found: list[Badge] = []
    if (amount := facts.get("runrecord.cost.amount")) is not None:
        found.append((f"{amount:g} {facts.get('runrecord.cost.currency', '')}".strip(), "plain"))
    if error := facts.get("error.type"):
        found.append((str(error).rsplit(".", 1)[-1], "bad"))
    if count := facts.get("runrecord.redaction.count"):
        found.append((f"{count} redacted: {', '.join(facts['runrecord.redaction.kinds'])}", "warn"))
    return tuple(found)


def _budget(facts: Facts) -> list[Badge]:
    if "runrecord.budget.limit" not in facts:
        return []
    used, limit = facts.get("runrecord.budget.consumed", 0.0), facts["runrecord.budget.limit"]
    tone: Tone = "warn" if facts.get("runrecord.budget.exceeded") else "plain"
    unit = facts.get("runrecord.cost.currency") or facts.get("runrecord.budget.dimension", "")
    return [(f"{used:g} of {limit:g} {unit} used", tone)]


def _long(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return " ".join(
        part for part in (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "") if part
    )


_BADGES: Mapping[str, Callable[[Facts], tuple[Badge, ...]]] = {
    "run": _badges_of_run,
    "step": _badges_of_step,
    "tool": _badges_of_tool,
    "decision": _badges_of_decision,
    "request": _badges_of_request,
    "answer": _badges_of_answer,
}

EVENTS: Mapping[str, Callable[[Facts], tuple[Badge, ...]]] = {
    "runrecord.escalation": lambda facts: (
        (str(facts["runrecord.escalation.reason_code"]), "warn"),
        *_word(facts.get("runrecord.escalation.target.type"), prefix="to "),
    ),
    "runrecord.breaker.changed": lambda facts: (
        (str(facts["runrecord.breaker.id"]), "plain"),
        *_word(facts.get("runrecord.breaker.state")),
        *_word(facts.get("runrecord.breaker.trigger")),
    ),
    "gen_ai.evaluation.result": lambda facts: tuple(_word(facts.get("gen_ai.evaluation.score.label"))),
}
