# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The slow reference of redaction: parse with protobuf, run every rule on every text, serialise.

It shares with the wire engine what happens to one text, and nothing else; the text fields come from the protobuf descriptors.
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from runrecord.processors import Signal
from runrecord.processors.redaction import RedactionPolicy, Redactor
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
IDS = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
"""The size of each in bytes."""
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
            elif field.name in IDS:
                value = getattr(message, field.name)
                if (
                    len(value) > IDS[field.name]
                ):  # no id: nothing may move in it, since nobody knows what it is
                    setattr(message, field.name, self.leaves.mask_in_place(value, {ANY}))
            elif field.type in {field.TYPE_STRING, field.TYPE_BYTES}:
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
            {ANY: []},
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
