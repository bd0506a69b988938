# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Say on the copy of a record that is exported where the ledger holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runrecord.ledger.entry import Entry
from runrecord.processors.signal import Signal
from runrecord.semconv import attributes as names

_NAMES: Final = frozenset({names.LEDGER_ORIGIN, names.LEDGER_INDEX, names.LEDGER_LEAF_HASH})


class RecordId(NamedTuple):
    """Which record of a request an entry is of.

    Attributes:
        trace_id: As bytes.
        span_id: As bytes.
        time: Start of a span, time of a log record (Unix ns).
    """

    trace_id: bytes
    span_id: bytes
    time: int


@dataclass(frozen=True)
class Place:
    """Where an entry is.

    Attributes:
        origin: The name of the log.
        index: From 0.
        leaf_hash: RFC 6962 hash of the leaf.
    """

    origin: str
    index: int
    leaf_hash: bytes


def record_id(entry: Entry) -> RecordId:
    """Return of which record an entry was made by `project`."""
    return RecordId(bytes.fromhex(entry.trace_id), bytes.fromhex(entry.span_id), entry.start)


def stamp(signal: Signal, body: bytes, places: Mapping[RecordId, Place]) -> bytes:
    """Set ``runrecord.ledger.*`` on the records that are in a ledger, and take it away from all others.

    Args:
        signal: What the body is a request of.
        body: A serialised request, valid.
        places: Where its governed records are.

    Returns:
        The request; the very same bytes if nothing was to be done. Unknown fields survive.
    """
    if signal is Signal.METRICS or (not places and b"runrecord.ledger." not in body):
        return body
    changed = False
    if signal is Signal.TRACES:
        traces = ExportTraceServiceRequest.FromString(body)
        for part in traces.resource_spans:
            for scope in part.scope_spans:
                for span in scope.spans:
                    changed |= _set(span, span.start_time_unix_nano, places)
        return traces.SerializeToString() if changed else body
    logs = ExportLogsServiceRequest.FromString(body)
    for records in logs.resource_logs:
        for scope_logs in records.scope_logs:
            for record in scope_logs.log_records:
                changed |= _set(record, record.time_unix_nano, places)
    return logs.SerializeToString() if changed else body


def _set(item: Any, time: int, places: Mapping[RecordId, Place]) -> bool:
    forged = [index for index, pair in enumerate(item.attributes) if pair.key in _NAMES]
    for index in reversed(forged):
        del item.attributes[index]
    place = places.get(RecordId(item.trace_id, item.span_id, time))
    if place is None:
        return bool(forged)
    item.attributes.add(key=names.LEDGER_ORIGIN).value.string_value = place.origin
    item.attributes.add(key=names.LEDGER_INDEX).value.int_value = place.index
    item.attributes.add(key=names.LEDGER_LEAF_HASH).value.string_value = place.leaf_hash.hex()
    return True
