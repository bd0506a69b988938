# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The slow reference: parse, run every rule on every text, serialise. And requests to compare it on."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from runrecord.processors import Signal
from runrecord.processors.redaction import PACKS, RedactionPolicy, Redactor
from runrecord.processors.redaction.annotate import Findings
from runrecord.processors.redaction.confirm import Work
from runrecord.processors.redaction.context import Context
from runrecord.processors.redaction.keys import joined
from runrecord.processors.redaction.leaf import ANY, DropAttribute, DropRecord, Leaves

REQUESTS: dict[Signal, type[Message]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
}
IDS = {"trace_id", "span_id", "parent_span_id"}
RECORDS = {"opentelemetry.proto.trace.v1.Span", "opentelemetry.proto.logs.v1.LogRecord"}


class Reference:
    """Redacts by parsing; shares with the wire engine what happens to one text, and nothing else."""

    def __init__(self, policy: RedactionPolicy, key: bytes | None = None) -> None:
        self.plan = replace(Redactor(policy, key, engine="stdlib")._plan, narrow=None)
        self.limits = policy.limits

    def redact(self, signal: Signal, body: bytes) -> tuple[Message, Mapping[str, int]]:
        request = REQUESTS[signal]()
        request.ParseFromString(body)
        self.leaves = Leaves(self.plan, Work(self.limits.leaf_confirms, self.limits.request_confirms))
        self.record: Any = None
        self.offloaded: dict[str, bytes] = {}
        self.waiting: list[tuple[str, bytes]] = []  # texts whose references have no place yet
        self._message(request, None)
        return request, Counter(self.leaves.counts)

    def _enter(self, message: Any) -> Context:
        """The facts about a place, once more: from the parsed attributes."""
        outer = self.leaves.context
        name = message.DESCRIPTOR.name
        names = {"gen_ai.tool.name": "tool", "gen_ai.agent.name": "agent", "runrecord.tenant.id": "tenant"}
        if name in {"ResourceSpans", "ResourceLogs", "ResourceMetrics"}:
            attributes = message.resource.attributes
            names = {"deployment.environment.name": "environment", "runrecord.tenant.id": "tenant"}
        elif name in {"Span", "LogRecord"} or name.endswith("DataPoint"):
            attributes = message.attributes
        else:
            return outer
        facts: dict[Any, bytes] = {}
        for attribute in attributes:
            if attribute.key in names and attribute.value.HasField("string_value"):
                facts[names[attribute.key]] = attribute.value.string_value.encode()
        self.leaves.context = Context(lambda: facts, outer)
        return outer

    def _message(self, message: Any, where: tuple[bytes, bool] | None) -> None:
        outer = self._enter(message)
        for field in sorted(message.DESCRIPTOR.fields, key=lambda field: field.number):
            if field.type == field.TYPE_MESSAGE:
                inner = where
                if field.message_type.name == "AnyValue" and where is None:
                    inner = (b"body", False)
                if field.is_repeated:
                    self._repeated(getattr(message, field.name), inner)
                elif message.HasField(field.name):
                    self._message(getattr(message, field.name), inner)
            elif field.type in {field.TYPE_STRING, field.TYPE_BYTES} and field.name not in IDS:
                if field.is_repeated:
                    values = getattr(message, field.name)
                    values[:] = [self._text(value, where) for value in values]
                elif field.containing_oneof is None or message.HasField(field.name):
                    setattr(message, field.name, self._text(getattr(message, field.name), where))
        self.leaves.context = outer

    def _repeated(self, items: Any, where: tuple[bytes, bool] | None) -> None:
        kept: list[Any] = []
        edited = False
        for item in items:
            is_record = item.DESCRIPTOR.full_name in RECORDS
            outermost = isinstance(item, KeyValue) and (where is None or not where[1])
            context, waiting, offloaded = self.leaves.context, len(self.waiting), dict(self.offloaded)
            try:
                if is_record:
                    self._record(item)
                elif isinstance(item, KeyValue):
                    if not self._attribute(item, where):
                        continue
                else:
                    self._message(item, where)
            except DropRecord:
                if not is_record:
                    raise
                self.leaves.context, self.offloaded = context, offloaded
                del self.waiting[waiting:]
                continue
            except DropAttribute:
                if not outermost:
                    raise
                self.offloaded = offloaded
                del self.waiting[waiting:]
                continue
            kept.append(item)
            if outermost and len(self.waiting) > waiting:
                edited = True
                kept += self._references(waiting)
        if len(kept) < len(items) or edited:
            copies = [type(item).FromString(item.SerializeToString()) for item in kept]
            del items[:]
            items.extend(copies)

    def _record(self, record: Any) -> None:
        self.record = record
        self.leaves.findings = findings = Findings()
        try:
            self._message(record, None)
        finally:
            self.record = None
            self.leaves.findings = Findings()
            if sys.exc_info()[0] is not None:
                self.waiting.clear()
        record.attributes.extend(self._references(0))
        if findings and self.plan.annotate:
            record.attributes.add(
                key="runrecord.redaction.rules"
            ).value.string_value = self.plan.rules_version
            record.attributes.add(key="runrecord.redaction.count").value.int_value = findings.count
            kinds = record.attributes.add(key="runrecord.redaction.kinds").value.array_value
            for kind in sorted(findings.kinds):
                kinds.values.add().string_value = kind

    def _attribute(self, attribute: KeyValue, where: tuple[bytes, bool] | None) -> bool:
        original = attribute.key.encode()
        path = original if where is None else joined(where[0], original)
        attribute.key = self._text(attribute.key, None)
        if not attribute.HasField("value"):
            return True
        rule = self.plan.keys.find(path, self.leaves.context, nested=where is not None)
        value: AnyValue = attribute.value
        if rule is not None and rule.action != "keep":
            if rule.action == "tag":
                self.leaves.note_key(rule, edits=0)
            elif rule.action in {"drop", "drop_span"}:
                self.leaves.note_key(rule)
                if rule.action == "drop_span" and self.record is not None:
                    raise DropRecord
                return False
            else:
                text = value.string_value.encode() if value.HasField("string_value") else None
                content = self.leaves.keyed_value(rule, text, value.SerializeToString())
                if content is not None:
                    self.leaves.note_key(rule)
                    attribute.value.Clear()
                    attribute.value.string_value = content.decode()
                    return True
        self._message(value, (path, True))
        return True

    def _text(self, value: str | bytes, where: tuple[bytes, bool] | None) -> Any:
        text = value.encode() if isinstance(value, str) else value
        in_attribute = where is not None and where[1]
        redacted = self.leaves.redact(
            text,
            {ANY},
            where[0] if where is not None else None,
            in_record=self.record is not None,
            in_attribute=in_attribute,
        )
        kept, offload = self.leaves.fit(redacted, in_attribute=in_attribute, can_refer=where is not None)
        if offload:
            assert where is not None
            digest = hashlib.sha256(redacted).hexdigest()
            self.offloaded[digest] = redacted
            self.waiting.append((self.leaves.name(where[0]).decode(), redacted))
        return kept.decode() if isinstance(value, str) else kept

    def _references(self, since: int) -> list[KeyValue]:
        found = []
        for name, content in self.waiting[since:]:
            digest = hashlib.sha256(content).hexdigest()
            assert self.plan.store is not None
            uri = self.plan.store.uri(digest)
            found += [
                KeyValue(key=f"{name}.ref", value=AnyValue(string_value=uri)),
                KeyValue(key=f"{name}.ref.digest", value=AnyValue(string_value=f"sha256:{digest}")),
                KeyValue(key=f"{name}.ref.size", value=AnyValue(int_value=len(content))),
            ]
        del self.waiting[since:]
        return found


# Raw text around secrets: field edges, JSON escapes, words that begin on an escape's letter, non-ASCII, digits.
_FILLER = ["", " ", "\n", "\t", "hello world ", "naïve ", "日本語", "😀", "1", "9.5", ".", "-", "n", "_", "\\", '"', ", ",
           "key: ", "x" * 120, "https://example.org/", "C:\\new\\", "%3D", "{}", "[1, 2]", "@", "=", "\x00", "b",
           "password: ", "secret='", "it's", 'api_key="', "token", "-----BEGIN "]  # fmt: skip
_EXAMPLES = [
    example
    for rules in PACKS.values()
    for rule in rules
    for example in (*rule.examples, *rule.counter_examples)
]
_KEYS = ["gen_ai.tool.name", "gen_ai.input.messages", "password", "user.password", "http.request.header.authorization",
         "a", "token", "ada@example.com", "session", "content"]  # fmt: skip


@st.composite
def texts(draw: Callable[..., Any]) -> str:
    """Text with planted examples, in up to two layers of JSON."""
    text = "".join(draw(st.lists(st.sampled_from(_FILLER) | st.sampled_from(_EXAMPLES), max_size=4)))
    for _ in range(draw(st.integers(0, 2))):
        key = draw(st.sampled_from(_KEYS))
        value: Any = draw(
            st.sampled_from([text, [text, 4111111111111111], {"n": 63.402203105447974, "t": text}, None])
        )
        text = json.dumps(
            {key: value, "text": text},
            ensure_ascii=draw(st.booleans()),
            indent=draw(st.sampled_from([None, 8])),
        )
    return text


def _any_value(draw: Callable[..., Any], value: AnyValue, depth: int) -> None:
    kind = draw(st.integers(0, 7 if depth < 3 else 4))
    if kind <= 2:
        value.string_value = draw(texts())
    elif kind == 3:
        value.bytes_value = draw(texts()).encode() + draw(st.binary(max_size=3))
    elif kind == 4:
        value.int_value = draw(st.integers(-(2**63), 2**63 - 1))
    elif kind == 5:
        value.array_value.SetInParent()
        for _ in range(draw(st.integers(0, 2))):
            _any_value(draw, value.array_value.values.add(), depth + 1)
    elif kind == 6:
        value.kvlist_value.SetInParent()
        _attributes(draw, value.kvlist_value.values, depth + 1)


def _attributes(draw: Callable[..., Any], attributes: Any, depth: int = 0) -> None:
    for _ in range(draw(st.integers(0, 2))):
        attribute = attributes.add(key=draw(st.sampled_from(_KEYS) | texts()))
        if draw(st.integers(0, 9)):
            _any_value(draw, attribute.value, depth)
            if not attribute.HasField("value"):
                attribute.value.SetInParent()


def _fill(draw: Callable[..., Any], message: Any, depth: int = 0) -> None:
    for field in message.DESCRIPTOR.fields:
        name = field.name
        if field.type == field.TYPE_MESSAGE and field.message_type.name == "KeyValue":
            _attributes(draw, getattr(message, name))
        elif field.type == field.TYPE_MESSAGE and field.message_type.name == "AnyValue":
            _any_value(draw, message.body, 0)
        elif field.type == field.TYPE_MESSAGE:
            if field.is_repeated:
                for _ in range(draw(st.integers(0 if depth else 1, 2 if depth < 3 else 1))):
                    _fill(draw, getattr(message, name).add(), depth + 1)
            elif draw(st.booleans()):
                getattr(message, name).SetInParent()
                _fill(draw, getattr(message, name), depth + 1)
        elif field.type == field.TYPE_STRING:
            if field.is_repeated:
                getattr(message, name).extend(draw(st.lists(texts(), max_size=2)))
            elif draw(st.integers(0, 3)) == 0:
                setattr(message, name, draw(texts()))
        elif name in IDS and draw(st.booleans()):
            setattr(message, name, draw(st.binary(min_size=8, max_size=8)))
        elif field.type in {field.TYPE_FIXED64, field.TYPE_UINT64} and field.is_repeated:
            getattr(message, name).extend(draw(st.lists(st.integers(0, 2**64 - 1), max_size=2)))


@st.composite
def requests(draw: Callable[..., Any], signal: Signal) -> bytes:
    """A request of a signal, with secrets planted anywhere that text can be."""
    request = REQUESTS[signal]()
    _fill(draw, request)
    return request.SerializeToString()


def span_request(*attributes: tuple[str, str], name: str = "chat") -> bytes:
    """A request with one span."""
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(name=name)
    for key, value in attributes:
        span.attributes.add(key=key).value.string_value = value
    return request.SerializeToString()


def parsed(signal: Signal, body: bytes) -> Any:
    """The parsed request."""
    request = REQUESTS[signal]()
    request.ParseFromString(body)
    return request


def span_of(body: bytes) -> Any:
    """The only span of a request."""
    return parsed(Signal.TRACES, body).resource_spans[0].scope_spans[0].spans[0]


@pytest.fixture(scope="session")
def otlp() -> SimpleNamespace:
    """Helpers: requests, parsing, the reference."""
    return SimpleNamespace(
        Reference=Reference, requests=requests, texts=texts, span_request=span_request, parsed=parsed, span_of=span_of,
        REQUESTS=REQUESTS, IDS=IDS,
    )  # fmt: skip
