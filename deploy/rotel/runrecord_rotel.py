# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
r"""EXPERIMENTAL: the redaction of Runrecord as a Python processor of Rotel. Prefer the gateway.

```sh
PYTHONPATH=$(python3 -c 'import site; print(site.getsitepackages()[0])') rotel-agent start --exporter otlp ... \
  --otlp-with-trace-processor runrecord_rotel.py --otlp-with-logs-processor runrecord_rotel.py
```

Rotel acknowledges before it processes, so what is lost here is lost. What a processor raises ends its process or lets the data
through, depending on the release: so nothing is raised here, and a text that can't be redacted is replaced. Only what Rotel hands to
Python is seen: no trace state, no schema URL. Spans are never dropped, and there is no ledger.

The policy is the section ``processors.redaction`` of the file that RUNRECORD_CONFIG names, or the default.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rotel_sdk.open_telemetry.common.v1 import AnyValue, ArrayValue, KeyValueList  # Rotel brings it

from runrecord.exporters.settings_yaml import load_yaml
from runrecord.processors.redaction import RedactionPolicy, Redactor
from runrecord.processors.signal import Signal
from runrecord.semconv.commitment import load_tenant_key

_log = logging.getLogger("runrecord.rotel")
_MASK = "[REDACTED]"
_FACTS = ("gen_ai.tool.name", "gen_ai.agent.name", "runrecord.tenant.id")
_DEPTH = 32


def _policy() -> RedactionPolicy:
    path = os.environ.get("RUNRECORD_CONFIG")
    if not path:
        return RedactionPolicy.parse({"annotate": False})
    found: Any = load_yaml(path, os.environ).value or {}
    section = (found.get("processors") or {}).get("redaction") or {}
    return RedactionPolicy.parse({**section, "annotate": False})


_policy_in_use = _policy()
_redactor = Redactor(
    _policy_in_use, key=load_tenant_key().pseudonym_key() if _policy_in_use.needs_key else None
)


@dataclass
class Leaf:
    """One text.

    Attributes:
        key: Of the attribute; empty for a text that is none.
        text: What it says.
        put: Writes another text in its place.
        facts: Attributes of its record that conditions of the policy ask for.
    """

    key: str
    text: str
    put: Callable[[str], None]
    facts: list[tuple[str, str]]


def process_spans(resource_spans: Any) -> None:
    """Redact spans in place; Rotel calls it.

    Args:
        resource_spans: Rotel's ``ResourceSpans``.
    """
    _redact(_span_leaves, resource_spans)


def process_logs(resource_logs: Any) -> None:
    """Redact log records in place; Rotel calls it.

    Args:
        resource_logs: Rotel's ``ResourceLogs``.
    """
    _redact(_log_leaves, resource_logs)


def _redact(leaves_of: Callable[[Any], Iterator[Leaf]], parts: Any) -> None:
    leaves: list[Leaf] = []
    try:
        leaves = list(leaves_of(parts))
        for leaf, text in zip(leaves, _redacted(leaves), strict=True):
            if text != leaf.text:
                leaf.put(text)
    except Exception as error:  # noqa: BLE001 - it would end Rotel, or let the data through
        _log.error("a batch could not be redacted (%s); its texts are replaced", type(error).__name__)
        _blank(leaves, parts)


def _blank(leaves: list[Leaf], parts: Any) -> None:
    """Replace every text that was found; without any, the reading failed, and all attributes go."""
    for leaf in leaves:
        leaf.put(_MASK)
    if not leaves:
        for scope in getattr(parts, "scope_spans", None) or getattr(parts, "scope_logs", ()):
            for record in getattr(scope, "spans", None) or getattr(scope, "log_records", ()):
                record.attributes = []


def _redacted(leaves: list[Leaf]) -> list[str]:
    """Redact all texts in one scan, each as an attribute of a span of its own."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number, leaf in enumerate(leaves):
        span = spans.add(start_time_unix_nano=number + 1)
        span.attributes.add(key=leaf.key or "text").value.string_value = leaf.text
        for key, value in leaf.facts:
            if key != leaf.key:
                span.attributes.add(key=key).value.string_value = value
    body = _redactor.redact(Signal.TRACES, request.SerializeToString()).body
    texts = [_MASK] * len(leaves)  # of what the policy drops
    for part in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in part.scope_spans:
            for span in scope.spans:
                number = span.start_time_unix_nano - 1
                wanted = leaves[number].key or "text"
                texts[number] = next(
                    (pair.value.string_value for pair in span.attributes if pair.key == wanted), _MASK
                )
    return texts


def _span_leaves(parts: Any) -> Iterator[Leaf]:
    yield from _resource_leaves(parts)
    for scope in parts.scope_spans:
        yield from _scope_leaves(scope)
        for span in scope.spans:
            facts = _facts(span.attributes)
            yield _field(span, "name", facts)
            if span.status is not None:
                yield _field(span.status, "message", facts)
            yield from _attribute_leaves(span.attributes, facts)
            for event in span.events:
                yield _field(event, "name", facts)
                yield from _attribute_leaves(event.attributes, facts)
            for link in span.links:
                yield from _attribute_leaves(link.attributes, facts)


def _log_leaves(parts: Any) -> Iterator[Leaf]:
    yield from _resource_leaves(parts)
    for scope in parts.scope_logs:
        yield from _scope_leaves(scope)
        for record in scope.log_records:
            facts = _facts(record.attributes)
            if record.body is not None:
                yield from _value_leaves("", record.body, partial(_put_body, record), facts)
            yield _field(record, "severity_text", facts)
            yield from _attribute_leaves(record.attributes, facts)


def _resource_leaves(parts: Any) -> Iterator[Leaf]:
    if parts.resource is not None:
        yield from _attribute_leaves(parts.resource.attributes, [])


def _scope_leaves(scope: Any) -> Iterator[Leaf]:
    if scope.scope is not None:
        yield _field(scope.scope, "name", [])
        yield from _attribute_leaves(scope.scope.attributes, [])


def _field(owner: Any, name: str, facts: list[tuple[str, str]]) -> Leaf:
    return Leaf("", getattr(owner, name) or "", lambda text: setattr(owner, name, text), facts)


def _facts(attributes: Iterable[Any]) -> list[tuple[str, str]]:
    return [
        (pair.key, pair.value.value)
        for pair in attributes
        if pair.key in _FACTS and pair.value is not None and isinstance(pair.value.value, str)
    ]


def _attribute_leaves(
    attributes: Iterable[Any], facts: list[tuple[str, str]], depth: int = 0
) -> Iterator[Leaf]:
    for pair in attributes:
        if pair.value is not None:
            yield from _value_leaves(pair.key, pair.value, partial(_put_value, pair), facts, depth)


def _value_leaves(
    key: str, value: Any, put: Callable[[str], None], facts: list[tuple[str, str]], depth: int = 0
) -> Iterator[Leaf]:
    inner = value.value
    if isinstance(inner, str):
        yield Leaf(key, inner, put, facts)
    elif isinstance(inner, (bytes, list)):  # bytes come as a list of numbers
        yield Leaf(key, bytes(inner).decode("latin-1"), put, facts)
    elif depth > _DEPTH:
        put(_MASK)
    elif isinstance(inner, ArrayValue):
        for index in range(len(inner)):
            yield from _value_leaves(key, inner[index], partial(_put_item, inner, index), facts, depth + 1)
    elif isinstance(inner, KeyValueList):
        yield from _attribute_leaves(inner, facts, depth + 1)
    elif inner is not None and not isinstance(inner, (bool, int, float)):
        put(_MASK)  # a kind that this was not written for


def _put_value(pair: Any, text: str) -> None:
    pair.value = AnyValue(text)


def _put_item(array: Any, index: int, text: str) -> None:
    array[index] = AnyValue(text)


def _put_body(record: Any, text: str) -> None:
    record.body = AnyValue(text)
