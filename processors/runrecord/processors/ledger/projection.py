# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""From OTLP to the ledger: which spans and log events are governed, and what an entry keeps of them.

Only governed records enter (see ``_kind``); everything else, and every field that this version does not know, is ignored and
changes no byte. Allow-listed metadata stays in clear, everything else becomes a keyed commitment, so that an entry holds no
content. The projection is a pure function of the record and the tenant key: a span that is sent twice gives the same bytes.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from runrecord.ledger.allowlist import CLEAR, CLEAR_VALUE_BYTES, EXCLUDED_PREFIXES
from runrecord.ledger.entry import MAX_LEAF, Entry, Kind, Link, Origin
from runrecord.processors.errors import ProjectionError
from runrecord.processors.signal import Signal
from runrecord.semconv import attributes as names
from runrecord.semconv.canonical import canonical_json
from runrecord.semconv.commitment import RunKey, TenantKey
from runrecord.semconv.signals import EVENT_ESCALATION, SPAN_APPROVAL_DECISION, SPAN_REQUEST_APPROVAL

JSON = Any

NAME_LENGTH: Final = 256
"""Characters kept of a span name, a service name or a version."""
STATUS_DESCRIPTION: Final = "otel.status_description"
BODY: Final = "otel.log.body"

_PREFILTER: Final = b"runrecord."
_MAX_DEPTH: Final = 16  # three levels of JSON each; canonical JSON has 64
_STATUS: Final = {0: "unset", 1: "ok", 2: "error"}
_RUN_STATES: Final = {"completed": Kind.RUN_CLOSE, "suspended": Kind.SOURCE_CLOSE}
_TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = 8
_MOST_OF_THE_REST: Final = 20_000  # bytes: a dozen texts of NAME_LENGTH characters, escaped
_SHORT: Final = (
    CLEAR_VALUE_BYTES // 6 - 2
)  # no string of so many characters exceeds the limit, whatever its escapes


@dataclass
class Projection:
    """What one request gave.

    Attributes:
        entries: The entries, in the order of the request.
        skipped: Reason to the number of governed records that could not be taken.
    """

    entries: list[Entry] = field(default_factory=list[Entry])
    skipped: dict[str, int] = field(default_factory=dict[str, int])

    def skip(self, reason: str) -> None:
        """Count a governed record that could not be taken."""
        self.skipped[reason] = self.skipped.get(reason, 0) + 1


def project(signal: Signal, body: bytes, *, tenant_key: TenantKey) -> list[Entry]:
    """Return the entries of one OTLP request; see ``project_counted``, which also says what was skipped."""
    return project_counted(signal, body, tenant_key=tenant_key).entries


def project_counted(signal: Signal, body: bytes, *, tenant_key: TenantKey) -> Projection:
    """Project one OTLP request.

    Args:
        signal: What the request carries; metrics give nothing.
        body: A serialised ``Export*ServiceRequest``, not compressed.
        tenant_key: The secret from which the keys of the commitments derive.

    Returns:
        Entries, and counts of governed records without valid ids or a run; one bad record never spoils its request.

    Raises:
        ProjectionError: The body is not the OTLP message of its signal.
    """
    result = Projection()
    if signal is Signal.METRICS or _PREFILTER not in body:
        return result
    projector = _Projector(tenant_key, result)
    try:
        if signal is Signal.TRACES:
            projector.traces(ExportTraceServiceRequest.FromString(body))
        else:
            projector.logs(ExportLogsServiceRequest.FromString(body))
    except DecodeError:
        raise ProjectionError(
            f"a request of {len(body)} bytes is not an OTLP message of signal {signal.name.lower()}; "
            "what it held can't be recorded, so write a gap entry for it"
        ) from None
    return result


class _Projector:
    def __init__(self, tenant_key: TenantKey, result: Projection) -> None:
        self._tenant_key = tenant_key
        self._result = result
        self._run_keys: dict[str, RunKey] = {}

    def traces(self, request: ExportTraceServiceRequest) -> None:
        for resource_spans in request.resource_spans:
            resource = _ResourceFacts(resource_spans.resource)
            for scope_spans in resource_spans.scope_spans:
                scope = (scope_spans.scope.name, scope_spans.scope.version)
                schema_url = scope_spans.schema_url or resource_spans.schema_url
                for span in scope_spans.spans:
                    attributes = _by_name(span.attributes)
                    if kind := _kind(span.name, attributes):
                        self._add(self._span(kind, span, attributes, resource, (*scope, schema_url)))

    def logs(self, request: ExportLogsServiceRequest) -> None:
        for resource_logs in request.resource_logs:
            resource = _ResourceFacts(resource_logs.resource)
            for scope_logs in resource_logs.scope_logs:
                scope = (scope_logs.scope.name, scope_logs.scope.version)
                schema_url = scope_logs.schema_url or resource_logs.schema_url
                for record in scope_logs.log_records:
                    if record.event_name == EVENT_ESCALATION:
                        self._add(self._event(record, resource, (*scope, schema_url)))

    def _add(self, entry: Entry | None) -> None:
        if entry is not None:
            self._result.entries.append(entry if _surely_fits(entry) else entry.fitted())

    def _span(
        self,
        kind: str,
        span: Span,
        attributes: Mapping[str, AnyValue],
        resource: _ResourceFacts,
        scope: tuple[str, str, str],
    ) -> Entry | None:
        ids = self._ids(span.trace_id, span.span_id, attributes)
        if ids is None:
            return None
        trace_id, span_id, run = ids
        key = self._run_key(run)
        clear, commitments = self._attributes(key, f"{trace_id}/{span_id}", attributes)
        if span.status.message:
            commitments[STATUS_DESCRIPTION] = key.commit(
                f"attribute/{trace_id}/{span_id}/{STATUS_DESCRIPTION}", span.status.message
            )
        return Entry(
            kind=kind,
            run=run,
            tenant=_clip(_string(attributes, names.TENANT_ID) or resource.tenant),
            source=_clip(_string(attributes, names.SOURCE_ID)),
            seq=_counter(attributes),
            trace_id=trace_id,
            span_id=span_id,
            parent_span_id=span.parent_span_id.hex() if _valid(span.parent_span_id, _SPAN_ID_BYTES) else "",
            name=_clip(span.name),
            start=span.start_time_unix_nano,
            end=span.end_time_unix_nano,
            status=_STATUS.get(span.status.code, "unset"),
            links=tuple(
                Link(link.trace_id.hex(), link.span_id.hex())
                for link in span.links
                if _valid(link.trace_id, _TRACE_ID_BYTES) and _valid(link.span_id, _SPAN_ID_BYTES)
            ),
            attributes=clear,
            commitments=commitments,
            origin=resource.origin(key, scope),
        )

    def _event(
        self, record: LogRecord, resource: _ResourceFacts, scope: tuple[str, str, str]
    ) -> Entry | None:
        attributes = _by_name(record.attributes)
        ids = self._ids(record.trace_id, record.span_id, attributes)
        if ids is None:
            return None
        trace_id, span_id, run = ids
        key = self._run_key(run)
        clear, commitments = self._attributes(key, f"{trace_id}/{span_id}", attributes)
        if (content := _plain(record.body)) is not None:
            commitments[BODY] = key.commit(f"attribute/{trace_id}/{span_id}/{BODY}", content)
        return Entry(
            kind=Kind.ESCALATION,
            run=run,
            phase=f"event:{record.time_unix_nano}",
            tenant=_clip(_string(attributes, names.TENANT_ID) or resource.tenant),
            source=_clip(_string(attributes, names.SOURCE_ID)),
            seq=_counter(attributes),
            trace_id=trace_id,
            span_id=span_id,
            name=record.event_name,
            start=record.time_unix_nano,
            end=record.time_unix_nano,
            attributes=clear,
            commitments=commitments,
            origin=resource.origin(key, scope),
        )

    def _ids(
        self, trace_id: bytes, span_id: bytes, attributes: Mapping[str, AnyValue]
    ) -> tuple[str, str, str] | None:
        run = _string(attributes, names.RUN_ID)
        if not _valid(trace_id, _TRACE_ID_BYTES) or not _valid(span_id, _SPAN_ID_BYTES):
            self._result.skip("invalid trace or span id")
        elif not run or len(run) > NAME_LENGTH:
            self._result.skip("no valid run id")
        else:
            return trace_id.hex(), span_id.hex(), run
        return None

    def _run_key(self, run: str) -> RunKey:
        if run not in self._run_keys:
            self._run_keys[run] = self._tenant_key.run_key(run)
        return self._run_keys[run]

    def _attributes(
        self, key: RunKey, record: str, attributes: Mapping[str, AnyValue]
    ) -> tuple[dict[str, JSON], dict[str, str]]:
        clear: dict[str, JSON] = {}
        commitments: dict[str, str] = {}
        for name, value in attributes.items():
            plain = _plain(value)
            if plain is None or name.startswith(EXCLUDED_PREFIXES):
                continue
            if name in CLEAR and _is_short(plain):
                clear[name] = plain
            else:
                commitments[name] = key.commit(f"attribute/{record}/{name}", plain)
        return clear, commitments


class _ResourceFacts:
    """What entries say about the resource; the commitment is made once per run."""

    def __init__(self, resource: Resource) -> None:
        attributes = _by_name(resource.attributes)
        self._plain = {n: p for n, v in attributes.items() if (p := _plain(v)) is not None}
        self._service = _clip(_string(attributes, "service.name"))
        self._version = _clip(_string(attributes, "service.version"))
        self._commitments: dict[int, str] = {}
        self.tenant = _string(attributes, names.TENANT_ID)

    def origin(self, key: RunKey, scope: tuple[str, str, str]) -> Origin:
        commitment = self._commitments.get(id(key))
        if commitment is None:
            commitment = self._commitments[id(key)] = key.commit("resource", self._plain)
        scope_name, scope_version, schema_url = (_clip(part) for part in scope)
        return Origin(commitment, self._service, self._version, scope_name, scope_version, schema_url)


def _kind(name: str, attributes: Mapping[str, AnyValue]) -> str | None:  # noqa: PLR0911 - a table
    """Return the kind of a governed span, or None for any other span."""
    if names.RUN_STATE in attributes:
        # A state that this version does not know did not end the run.
        return _RUN_STATES.get(_string(attributes, names.RUN_STATE), Kind.SOURCE_CLOSE)
    if names.DECISION_ID in attributes:
        return Kind.POLICY_DECISION
    if names.APPROVAL_ID in attributes:
        if name.startswith(SPAN_REQUEST_APPROVAL):
            return Kind.APPROVAL_REQUEST
        if name.startswith(SPAN_APPROVAL_DECISION):
            return Kind.APPROVAL_DECISION
    if names.RUN_ID in attributes and _string(attributes, names.GEN_AI_OPERATION_NAME) == "execute_tool":
        return Kind.TOOL_RESULT
    if names.STEP_KIND in attributes:
        return Kind.STEP
    if names.VERIFICATION_TYPE in attributes:
        return Kind.VERIFICATION
    if names.COMPENSATION_OUTCOME in attributes:
        return Kind.COMPENSATION
    return None


def _by_name(attributes: Iterable[KeyValue]) -> dict[str, AnyValue]:
    return {attribute.key: attribute.value for attribute in attributes if attribute.key}


def _string(attributes: Mapping[str, AnyValue], name: str) -> str:
    value = attributes.get(name)
    return value.string_value if value is not None else ""


def _counter(attributes: Mapping[str, AnyValue]) -> int | None:
    value = attributes.get(names.RECORD_SEQ)
    if value is None or value.WhichOneof("value") != "int_value" or value.int_value < 0:
        return None
    return value.int_value


def _plain(value: AnyValue, depth: int = 0) -> JSON:  # noqa: PLR0911 - a table
    """Return a value as an entry writes it, or None for a value that is unset, of an unknown type, or too deep."""
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "int_value":
            return {"intValue": str(value.int_value)}
        case "bool_value":
            return {"boolValue": value.bool_value}
        case "double_value":
            number = value.double_value
            return {"doubleValue": number if math.isfinite(number) else _non_finite(number)}
        case "bytes_value":
            return {"bytesValue": base64.b64encode(value.bytes_value).decode()}
        case "array_value" if depth < _MAX_DEPTH:
            return {"arrayValue": {"values": [_plain(item, depth + 1) for item in value.array_value.values]}}
        case "kvlist_value" if depth < _MAX_DEPTH:
            members = {item.key: _plain(item.value, depth + 1) for item in value.kvlist_value.values}
            return {"kvlistValue": members}
        case _:
            return None


def _non_finite(number: float) -> str:
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _surely_fits(entry: Entry) -> bool:
    """Return whether an entry is far from the longest leaf, without encoding it; six bytes is the longest escape."""
    commitments = sum(map(len, entry.commitments)) * 6 + len(entry.commitments) * 90
    attributes = len(entry.attributes) * (CLEAR_VALUE_BYTES + 50)
    return _MOST_OF_THE_REST + attributes + commitments + len(entry.links) * 100 < MAX_LEAF


def _is_short(value: JSON) -> bool:
    if isinstance(value, str):
        if len(value) <= _SHORT:
            return True
    elif "intValue" in value or "boolValue" in value:
        return True
    return len(canonical_json(value)) <= CLEAR_VALUE_BYTES


def _valid(identifier: bytes, length: int) -> bool:
    return len(identifier) == length and any(identifier)


def _clip(text: str) -> str:
    return text[:NAME_LENGTH]
