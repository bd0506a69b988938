# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The log event `runrecord.gap`: what somebody on the way lost, or could not take."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from runrecord.semconv import SCHEMA_URL
from runrecord.semconv import attributes as names
from runrecord.semconv.signals import EVENT_GAP

_WARNING: Final = 13  # SeverityNumber of OpenTelemetry's data model


@dataclass
class Gap:
    """What was lost or refused for one reason; times in nanoseconds since the Unix epoch.

    Attributes:
        reason: A member of `runrecord.gap.reason`.
        first: When the first was.
        last: When the last was.
        requests: How many requests.
        records: How many records, as far as is known.
    """

    reason: str
    first: int
    last: int
    requests: int = 0
    records: int = 0

    def add(self, records: int = 0) -> None:
        """Count one more request, now."""
        self.last = time.time_ns()
        self.requests += 1
        self.records += records

    def join(self, other: Gap) -> None:
        """Count what another one counted, which is of the same reason."""
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)
        self.requests += other.requests
        self.records += other.records


def gap_request(gap: Gap, *, source: str, scope: str) -> bytes:
    """Return a request of logs with the one event.

    Args:
        gap: What is to be said.
        source: Source id of who says it.
        scope: Name of the instrumentation scope.
    """
    request = ExportLogsServiceRequest()
    part = request.resource_logs.add().scope_logs.add(schema_url=SCHEMA_URL)
    part.scope.name = scope
    record = part.log_records.add(
        event_name=EVENT_GAP,
        time_unix_nano=gap.last,
        observed_time_unix_nano=time.time_ns(),
        severity_number=_WARNING,
    )
    for name, text in ((names.SOURCE_ID, source), (names.GAP_REASON, gap.reason)):
        record.attributes.add(key=name).value.string_value = text
    counts = {names.GAP_REQUESTS: gap.requests, names.GAP_START: gap.first, names.GAP_END: gap.last}
    if gap.records:
        counts[names.GAP_RECORDS] = gap.records
    for name, number in counts.items():
        record.attributes.add(key=name).value.int_value = number
    return request.SerializeToString()
