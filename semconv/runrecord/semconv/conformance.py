# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Check telemetry against the registry: does this span or log event carry what the conventions say, and nothing else?

Works on plain values, so that it serves tests, live checks and stored OTLP alike. Like the official live check of weaver,
it knows violations only: what is recommended may be missing, and a condition can't be judged from outside.

Example:
    >>> found = check_span(load_registry(), "verify totals", "internal", {"runrecord.verification.type": "hunch"})
    >>> found[-1]
    'verify totals: runrecord.verification.type has a value that is not one of its members'
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Any, TypeGuard

from runrecord.semconv.registry import Attribute, Registry, Signal, load_registry

__all__ = ["check_event", "check_span", "load_registry", "signal_of_event", "signal_of_span"]

_OWN = "runrecord."
_MARKS: Mapping[str, AbstractSet[str]] = {
    "runrecord.run.agent": {"runrecord.record.seq", "runrecord.run.state"},
    "runrecord.run.workflow": {"runrecord.record.seq", "runrecord.run.state"},
    "runrecord.tool_call": {"runrecord.record.seq", "runrecord.run.id"},
}
"""What makes an official span a governed one."""
_TYPES: Mapping[str, Sequence[type]] = {"string": [str], "int": [int], "double": [float], "boolean": [bool]}
_ANYWHERE = frozenset(
    {
        "runrecord.run.id",
        "runrecord.step.index",
        "runrecord.tenant.id",
        "runrecord.cost.amount",
        "runrecord.cost.currency",
        "runrecord.cost.source",
        "runrecord.ledger.origin",
        "runrecord.ledger.index",
        "runrecord.ledger.leaf_hash",
        "runrecord.redaction.rules",
        "runrecord.redaction.count",
        "runrecord.redaction.kinds",
        "runrecord.redaction.failed",
    }
)
"""What a span that is not governed may carry as well: correlation, the cost of a model call, marks of the processors."""


def signal_of_span(registry: Registry, name: str, attributes: Mapping[str, Any]) -> Signal | None:
    """Find what a governed span is; None for a span that is not governed.

    By the first word of its name; an official span must besides carry what the ledger knows it by, and a span of ours an
    attribute of ours, since anybody may name a span ``verify``. An SDK's own step span has a name of its own and is a
    step by its ``runrecord.step.kind``.
    """
    if "runrecord.step.kind" in attributes:
        return registry.signals["runrecord.step"]
    operation = name.split(" ", 1)[0]
    for signal in registry.signals.values():
        if signal.form == "span" and signal.name.split(" ", 1)[0] == operation:
            marks = _MARKS.get(signal.id, set(registry.attributes) - _ANYWHERE)
            return signal if any(key in marks and key.startswith(_OWN) for key in attributes) else None
    return None


def signal_of_event(registry: Registry, name: str) -> Signal | None:
    """Find one of our own events by its name; None for any other."""
    signal = registry.signals.get(name)
    return signal if signal is not None and signal.form == "event" else None


def check_span(registry: Registry, name: str, kind: str, attributes: Mapping[str, Any]) -> list[str]:
    """Check one span.

    Args:
        registry: the conventions.
        name: the name of the span.
        kind: ``internal``, ``client``, ``server``, ``producer`` or ``consumer``, in any case.
        attributes: the attributes as OpenTelemetry's API takes them.

    Returns:
        One line per violation; empty for a span that is not governed and carries nothing of ours.
    """
    signal = signal_of_span(registry, name, attributes)
    if signal is None:
        strays = sorted(key for key in attributes if key.startswith(_OWN) and key not in _ANYWHERE)
        return [f"{name}: carries {key} and is not a governed span" for key in strays]
    found = [f"{name}: {what}" for what in _check(registry, signal, attributes)]
    operation, _, placeholder = signal.name.partition(" ")
    # An official span's kind and name are its own instrumentation's business, and so are an SDK's own step spans.
    if signal.ref or name.split(" ", 1)[0] != operation:
        return found
    if kind.lower() != signal.kind:
        found.append(f"{name}: the kind is {kind.lower()} and must be {signal.kind}")
    key = placeholder.strip("{}")
    if key in attributes and name != f"{operation} {_plain(attributes[key])}":
        found.append(f"{name}: the name must be {operation!r} and the value of {key}")
    return found


def check_event(registry: Registry, name: str, attributes: Mapping[str, Any]) -> list[str]:
    """Check one log event; events that are not ours have no violations."""
    signal = signal_of_event(registry, name)
    if signal is None:
        return [f"{name}: the registry has no such event"] if name.startswith(_OWN) else []
    return [f"{name}: {what}" for what in _check(registry, signal, attributes)]


def _check(registry: Registry, signal: Signal, attributes: Mapping[str, Any]) -> list[str]:
    used = {use.attribute.key: use for use in signal.uses}
    found = [
        f"{key} is required and missing"
        for key, use in used.items()
        if use.level == "required" and key not in attributes
    ]
    for key, value in attributes.items():
        if key in used:
            found += _check_value(used[key].attribute, value)
        elif key in registry.attributes and key.startswith(_OWN):
            found.append(f"{key} does not belong on {signal.id}")
        elif key.startswith(_OWN):
            found.append(f"{key} is not in the registry")
        elif key.startswith("gen_ai.") and not signal.ref:
            found.append(f"{key} would make a reader take this for an official span")
    return found


def _check_value(attribute: Attribute, value: Any) -> list[str]:
    value = _plain(value)
    if not _has_type(value, attribute.type):
        return [f"{attribute.key} is a {type(value).__name__} and must be of type {attribute.type}"]
    if attribute.members and value not in {member.value for member in attribute.members}:
        # The value itself stays out of the message: it may be content that went to the wrong place.
        return [f"{attribute.key} has a value that is not one of its members"]
    return []


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _has_type(value: Any, kind: str) -> bool:
    if kind.endswith("[]"):
        return _is_array(value) and all(_has_type(item, kind.removesuffix("[]")) for item in value)
    # On the wire an int is no double and a bool no int, whatever Python thinks of them.
    return kind == "any" or type(value) in _TYPES[kind]


def _is_array(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, (list, tuple))
