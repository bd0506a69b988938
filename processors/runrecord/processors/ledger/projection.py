# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""From OTLP to the ledger: which spans and log events are governed, and what an entry keeps of them.

Only governed records enter (see ``_kind`` and ``_EVENTS``), and what their resources say of themselves, once for each run; everything else, and every field that this version does not know, is ignored and
changes no byte. Allow-listed metadata stays in clear, everything else becomes a keyed commitment, so that an entry holds no
content; what the app committed to becomes a commitment to that, under the ledger's key of the run. The projection is a pure function of
the record and the keys: a span that is sent twice gives the same bytes, unless its run was erased in between.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from runrecord.ledger.allowlist import CLEAR, CLEAR_VALUE_BYTES, EXCLUDED_PREFIXES
from runrecord.ledger.completeness import CLOSES
from runrecord.ledger.entry import MAX_LEAF, Entry, Kind, Link
from runrecord.ledger.opening import DIGESTS, attribute_label, without_content
from runrecord.ledger.vault import Content
from runrecord.processors.errors import ProjectionError
from runrecord.processors.ledger.otlp_values import (
    JSON,
    NAME_LENGTH,
    by_name,
    clip,
    is_short,
    plain_value,
    string_of,
    valid,
)
from runrecord.processors.ledger.resource import ResourceFacts
from runrecord.processors.signal import Signal
from runrecord.semconv import attributes as names
from runrecord.semconv.commitment import LABEL_DIGEST, RunKey, TenantKey
from runrecord.semconv.signals import (
    EVENT_ESCALATION,
    EVENT_GAP,
    EVENT_RUN_OPENED,
    EVENT_TOOL_INTENT,
    SPAN_APPROVAL_DECISION,
    SPAN_REQUEST_APPROVAL,
)

STATUS_DESCRIPTION: Final = "otel.status_description"
BODY: Final = "otel.log.body"

_PREFILTER: Final = b"runrecord."
_STATUS: Final = {0: "unset", 1: "ok", 2: "error"}
_EVENTS: Final = {
    EVENT_ESCALATION: Kind.ESCALATION,
    EVENT_RUN_OPENED: Kind.RUN_OPEN,
    EVENT_TOOL_INTENT: Kind.TOOL_INTENT,
}
_CLEAR: Final = {**dict.fromkeys(CLEAR, False), **dict.fromkeys(DIGESTS, True)}
"""What stands in clear, and whether that is a commitment to what the app committed to: one look-up for each attribute."""
_RUN_STATES: Final = {"completed": Kind.RUN_CLOSE, "suspended": Kind.SOURCE_CLOSE}
_TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = 8
_MOST_OF_THE_REST: Final = 20_000  # bytes: a dozen texts of NAME_LENGTH characters, escaped


ResourceOf: TypeAlias = tuple[str, str]
"""A run, and the commitment to a resource that took part in it."""


KeyOf: TypeAlias = Callable[[str, str], "RunKey | None"]
"""Gives the key of a tenant's run, None if it was erased (:meth:`runrecord.ledger.run_keys.RunKeys.key`)."""

_NOBODYS_KEY: Final = RunKey(bytes(32))
"""Stands in for the key of an erased run; nothing that is made with it is kept."""


@dataclass
class Projection:
    """What one request gave.

    Attributes:
        entries: The entries, in the order of the request.
        skipped: Reason to the number of governed records that could not be taken.
        contents: What entries commit to, as far as it was asked for; nothing of resources.
    """

    entries: list[Entry] = field(default_factory=list[Entry])
    skipped: dict[str, int] = field(default_factory=dict[str, int])
    contents: list[Content] = field(default_factory=list["Content"])

    def skip(self, reason: str) -> None:
        """Count a governed record that could not be taken."""
        self.skipped[reason] = self.skipped.get(reason, 0) + 1


def project(signal: Signal, body: bytes, *, tenant_key: TenantKey) -> list[Entry]:
    """Return the entries of one OTLP request under the keys of the app, which can't be erased (see ``project_counted``)."""
    return project_counted(signal, body, key_of=lambda _tenant, run: tenant_key.run_key(run)).entries


def project_counted(
    signal: Signal,
    body: bytes,
    *,
    key_of: KeyOf,
    known: Container[ResourceOf] = frozenset(),
    keep: Callable[[str], bool] | None = None,
) -> Projection:
    """Project one OTLP request.

    Args:
        signal: What the request carries; metrics give nothing.
        body: A serialised ``Export*ServiceRequest``, not compressed.
        key_of: Gives the keys of the commitments; what comes of an erased run is recorded without any.
        known: Resources, each of a run, that the ledger has an entry of; it saves time and changes nothing in the ledger.
        keep: Says of which attributes the values are returned, for a vault; None of none.

    Returns:
        Entries, spans in the order in which they ended, for a request orders them by their instrumentations; and counts of governed
        records without valid ids or a run. One bad record never spoils its request.

    Raises:
        ProjectionError: The body is not the OTLP message of its signal.
    """
    result = Projection()
    if signal is Signal.METRICS or _PREFILTER not in body:
        return result
    projector = _Projector(key_of, result, known, keep)
    try:
        if signal is Signal.TRACES:
            projector.traces(ExportTraceServiceRequest.FromString(body))
            result.entries.sort(key=_end)
        else:
            projector.logs(ExportLogsServiceRequest.FromString(body))
    except DecodeError:
        raise ProjectionError(
            f"a request of {len(body)} bytes is not an OTLP message of signal {signal.name.lower()}; "
            "what it held can't be recorded, so write a gap entry for it"
        ) from None
    return result


def _end(entry: Entry) -> tuple[int, bool]:
    return entry.end, entry.kind in CLOSES


class _Projector:
    def __init__(
        self,
        key_of: KeyOf,
        result: Projection,
        known: Container[ResourceOf],
        keep: Callable[[str], bool] | None,
    ) -> None:
        self._key_of = key_of
        self._result = result
        self._known = known
        self._keep = keep
        self._key = _NOBODYS_KEY
        """Of the run of the record that is being projected."""
        self._kept: dict[str, JSON] = {}
        self._resources: set[ResourceOf] = set()
        self._run_keys: dict[tuple[str, str], RunKey] = {}

    def traces(self, request: ExportTraceServiceRequest) -> None:
        for resource_spans in request.resource_spans:
            resource = ResourceFacts(resource_spans.resource)
            for scope_spans in resource_spans.scope_spans:
                scope = (scope_spans.scope.name, scope_spans.scope.version)
                schema_url = scope_spans.schema_url or resource_spans.schema_url
                for span in scope_spans.spans:
                    attributes = by_name(span.attributes)
                    if kind := _kind(span.name, attributes):
                        entry = self._span(kind, span, attributes, resource, (*scope, schema_url))
                        self._add(entry, resource)

    def logs(self, request: ExportLogsServiceRequest) -> None:
        for resource_logs in request.resource_logs:
            resource = ResourceFacts(resource_logs.resource)
            for scope_logs in resource_logs.scope_logs:
                scope = (scope_logs.scope.name, scope_logs.scope.version)
                schema_url = scope_logs.schema_url or resource_logs.schema_url
                for record in scope_logs.log_records:
                    if kind := _EVENTS.get(record.event_name):
                        self._add(self._event(kind, record, resource, (*scope, schema_url)), resource)
                    elif record.event_name == EVENT_GAP:
                        self._result.entries.append(_gap(record))

    def _add(self, entry: Entry | None, resource: ResourceFacts) -> None:
        if entry is None:
            return
        key = self._key
        if key is _NOBODYS_KEY:
            entry = without_content(entry)
        else:
            of = (entry.run, entry.origin.resource)
            if of not in self._resources and of not in self._known:
                self._resources.add(of)
                if described := resource.entry(key, entry):
                    self._result.entries.append(described.fitted())
        entry = entry if _surely_fits(entry) else entry.fitted()
        self._result.entries.append(entry)
        if self._kept:
            values = {name: value for name, value in self._kept.items() if name in entry.commitments}
            if values:
                self._result.contents.append(Content(entry, key, values))
            self._kept = {}

    def _span(
        self,
        kind: str,
        span: Span,
        attributes: Mapping[str, AnyValue],
        resource: ResourceFacts,
        scope: tuple[str, str, str],
    ) -> Entry | None:
        ids = self._ids(span.trace_id, span.span_id, attributes)
        if ids is None:
            return None
        trace_id, span_id, run = ids
        tenant = clip(string_of(attributes, names.TENANT_ID) or resource.tenant)
        key = self._key = self._run_key(tenant, run)
        label = attribute_label(trace_id, span_id, "")
        clear, commitments = self._attributes(key, label, attributes)
        if span.status.message:
            commitments[STATUS_DESCRIPTION] = self._commit(
                key, label, STATUS_DESCRIPTION, span.status.message
            )
        return Entry(
            kind=kind,
            run=run,
            tenant=tenant,
            source=clip(string_of(attributes, names.SOURCE_ID)),
            seq=_counter(attributes),
            trace_id=trace_id,
            span_id=span_id,
            parent_span_id=span.parent_span_id.hex() if valid(span.parent_span_id, _SPAN_ID_BYTES) else "",
            name=clip(span.name),
            start=span.start_time_unix_nano,
            end=span.end_time_unix_nano,
            status=_STATUS.get(span.status.code, "unset"),
            links=tuple(
                Link(link.trace_id.hex(), link.span_id.hex())
                for link in span.links
                if valid(link.trace_id, _TRACE_ID_BYTES) and valid(link.span_id, _SPAN_ID_BYTES)
            ),
            attributes=clear,
            commitments=commitments,
            origin=resource.origin(key, scope),
        )

    def _event(
        self, kind: str, record: LogRecord, resource: ResourceFacts, scope: tuple[str, str, str]
    ) -> Entry | None:
        attributes = by_name(record.attributes)
        ids = self._ids(record.trace_id, record.span_id, attributes)
        if ids is None:
            return None
        trace_id, span_id, run = ids
        tenant = clip(string_of(attributes, names.TENANT_ID) or resource.tenant)
        key = self._key = self._run_key(tenant, run)
        label = attribute_label(trace_id, span_id, "")
        clear, commitments = self._attributes(key, label, attributes)
        if (content := plain_value(record.body)) is not None:
            commitments[BODY] = self._commit(key, label, BODY, content)
        return Entry(
            kind=kind,
            run=run,
            phase=f"event:{record.time_unix_nano}" if kind == Kind.ESCALATION else "start",
            tenant=tenant,
            source=clip(string_of(attributes, names.SOURCE_ID)),
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
        run = string_of(attributes, names.RUN_ID)
        if not valid(trace_id, _TRACE_ID_BYTES) or not valid(span_id, _SPAN_ID_BYTES):
            self._result.skip("invalid trace or span id")
        elif not run or len(run) > NAME_LENGTH:
            self._result.skip("no valid run id")
        else:
            return trace_id.hex(), span_id.hex(), run
        return None

    def _run_key(self, tenant: str, run: str) -> RunKey:
        """Return the key of a run, the same one for the whole request."""
        key = self._run_keys.get((tenant, run))
        if key is None:
            key = self._run_keys[tenant, run] = self._key_of(tenant, run) or _NOBODYS_KEY
        return key

    def _attributes(
        self, key: RunKey, label: str, attributes: Mapping[str, AnyValue]
    ) -> tuple[dict[str, JSON], dict[str, str]]:
        clear: dict[str, JSON] = {}
        commitments: dict[str, str] = {}
        for name, value in attributes.items():
            plain = plain_value(value)
            if plain is None or name.startswith(EXCLUDED_PREFIXES):
                continue
            is_digest = _CLEAR.get(name)
            if is_digest:
                clear[name] = key.commit(LABEL_DIGEST, plain)
            elif is_digest is not None and is_short(plain):
                clear[name] = plain
            else:
                commitments[name] = self._commit(key, label, name, plain)
        return clear, commitments

    def _commit(self, key: RunKey, label: str, name: str, value: JSON) -> str:
        """Commit to a value of a record with a label, and keep it for the vault if it is wanted there."""
        if self._keep is not None and self._keep(name):
            self._kept[name] = value
        return key.commit(label + name, value)


def _kind(name: str, attributes: Mapping[str, AnyValue]) -> str | None:  # noqa: PLR0911 - a table
    """Return the kind of a governed span, or None for any other span."""
    if names.RUN_STATE in attributes:
        # A state that this version does not know did not end the run.
        return _RUN_STATES.get(string_of(attributes, names.RUN_STATE), Kind.SOURCE_CLOSE)
    if names.DECISION_ID in attributes:
        return Kind.POLICY_DECISION
    if names.APPROVAL_ID in attributes:
        if name.startswith(SPAN_REQUEST_APPROVAL):
            return Kind.APPROVAL_REQUEST
        if name.startswith(SPAN_APPROVAL_DECISION):
            return Kind.APPROVAL_DECISION
    if names.RUN_ID in attributes and string_of(attributes, names.GEN_AI_OPERATION_NAME) == "execute_tool":
        return Kind.TOOL_RESULT
    if names.STEP_KIND in attributes:
        return Kind.STEP
    if names.VERIFICATION_TYPE in attributes:
        return Kind.VERIFICATION
    if names.COMPENSATION_OUTCOME in attributes:
        return Kind.COMPENSATION
    return None


def _surely_fits(entry: Entry) -> bool:
    """Return whether an entry is far from the longest leaf, without encoding it; six bytes is the longest escape."""
    commitments = sum(map(len, entry.commitments)) * 6 + len(entry.commitments) * 90
    attributes = len(entry.attributes) * (CLEAR_VALUE_BYTES + 50)
    return _MOST_OF_THE_REST + attributes + commitments + len(entry.links) * 100 < MAX_LEAF


def _gap(record: LogRecord) -> Entry:
    """Return what somebody on the way said of what it lost; it needs no run."""
    attributes = by_name(record.attributes)
    detail = {"reason": clip(string_of(attributes, names.GAP_REASON)) or "not stated"}
    for name, attribute in (("requests", names.GAP_REQUESTS), ("records", names.GAP_RECORDS)):
        if attribute in attributes:
            detail[name] = str(max(0, attributes[attribute].int_value))
    times = [
        max(0, attributes[n].int_value) if n in attributes else record.time_unix_nano
        for n in (names.GAP_START, names.GAP_END)
    ]
    return Entry(
        kind=Kind.GAP,
        run=clip(string_of(attributes, names.RUN_ID)),
        tenant=clip(string_of(attributes, names.TENANT_ID)),
        source=clip(string_of(attributes, names.SOURCE_ID)),
        start=times[0],
        end=times[1],
        detail=detail,
    )


def _counter(attributes: Mapping[str, AnyValue]) -> int | None:
    value = attributes.get(names.RECORD_SEQ)
    if value is None or value.WhichOneof("value") != "int_value" or value.int_value < 0:
        return None
    return value.int_value
