# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Redact, then run the other processors, over one serialised export request; fail closed.

The rule (architecture, "Redact before anything is written or sent"): when a processor raises, no byte of what it was
given goes on. The request is taken apart and tried one span (or log record) at a time, so that one poisonous span
costs only itself; those that still fail are replaced by a marker, see `runrecord.exporters.marker`, and set aside before if
the policy says so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from opentelemetry.metrics import Counter, get_meter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs, ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from runrecord.exporters.marker import mark_logs, mark_traces
from runrecord.processors import QuarantineError, Signal

if TYPE_CHECKING:
    from runrecord.processors.redaction import RedactionQuarantine

_logger = logging.getLogger(__name__)

Processor: TypeAlias = Callable[[Signal, bytes], bytes]
"""Takes a serialised OTLP export request, returns one; the same object when it had nothing to do."""

ExportRequest: TypeAlias = ExportTraceServiceRequest | ExportLogsServiceRequest

FAILURE_METRIC: Final = "runrecord.redaction.failures"


class Redacted(Protocol):
    """What redacting one request results in; `runrecord.processors.redaction.Redaction` is one."""

    @property
    def body(self) -> bytes:
        """The request that may be sent; the same object when nothing matched."""
        ...


class Redacts(Protocol):
    """What a pipeline needs of a redactor; `runrecord.processors.redaction.Redactor` is one."""

    def redact(self, signal: Signal, body: bytes, /) -> Redacted:
        """Return the redacted request; raise rather than return bytes that were not scanned."""
        ...


class Pipeline:
    """The way of one signal from encoded to ready to send.

    Thread-safe when the redactor and the processors are.

    Attributes:
        signal: Traces or logs.
        failures: How many spans or log records had to be replaced by a marker so far.
    """

    def __init__(self, signal: Signal, redactor: Redacts, processors: Sequence[Processor] = ()) -> None:
        """Compose a pipeline.

        Args:
            signal: `Signal.TRACES` or `Signal.LOGS`.
            redactor: Runs first, over everything.
            processors: Run afterwards, in order, over what the redactor returned.
        """
        self.signal = signal
        self.failures = 0
        self._redactor = redactor
        self._processors = tuple(processors)
        self._lock = threading.Lock()
        self._counter: Counter | None = None

    def process(self, body: bytes) -> bytes:
        """Return what may be sent in place of ``body``.

        Args:
            body: A serialised export request of this pipeline's signal, as the encoder made it.

        Returns:
            The same object when no processor changed anything; else a request that may have fewer, changed, or marked
            records. Never raises for a failing processor.
        """
        try:
            return self._apply(body)
        except Exception:  # noqa: BLE001 - whatever it was, nothing unredacted may leave
            return self._one_by_one(body)

    def count_failures(self, number: int, cause: BaseException) -> None:
        """Count ``number`` records whose content was replaced, and say so once per pipeline.

        Args:
            number: How many records.
            cause: What was raised. Only its type is named: its text may quote what it failed on.
        """
        with self._lock:
            first = self.failures == 0
            self.failures += number
            if self._counter is None:
                self._counter = get_meter("runrecord.exporters").create_counter(
                    FAILURE_METRIC,
                    "{record}",
                    "Records whose content was removed because they could not be redacted",
                )
        self._counter.add(number, {"signal": self.signal.name.lower()})
        if first:
            _logger.error(
                "Redaction failed with %s.%s: the content of %d %s record(s) was removed before export, and so will be "
                "that of the next ones that fail. Next step: runrecord doctor",
                type(cause).__module__,
                type(cause).__qualname__,
                number,
                self.signal.name.lower(),
            )

    def _apply(self, body: bytes) -> bytes:
        redacted = self._redactor.redact(self.signal, body).body
        for processor in self._processors:
            redacted = processor(self.signal, redacted)
        return redacted

    def _one_by_one(self, body: bytes) -> bytes:
        whole = _request_type(self.signal).FromString(body)
        result = bytearray()
        for single in _singles(whole):
            # Concatenated protobuf messages merge: repeated fields of the parts are appended.
            try:
                result += self._apply(single.SerializeToString())
            except Exception as failure:  # noqa: BLE001
                self._set_aside(single)
                self.count_failures(1, failure)
                result += _marked(single).SerializeToString()
        return bytes(result)

    def _set_aside(self, single: ExportRequest) -> None:
        """Keep what failed, sealed, if the redactor has a place for it; if that fails, too, the content is lost."""
        quarantine: RedactionQuarantine | None = getattr(self._redactor, "quarantine", None)
        if quarantine is None:
            return
        try:
            quarantine.keep(self.signal, single.SerializeToString())
        except QuarantineError as failure:
            # No traceback: what a frame holds is content.
            _logger.error(  # noqa: TRY400
                "A record that could not be redacted could not be set aside either: %s", failure
            )


def _request_type(signal: Signal) -> type[ExportTraceServiceRequest | ExportLogsServiceRequest]:
    return ExportTraceServiceRequest if signal is Signal.TRACES else ExportLogsServiceRequest


def _marked(request: ExportRequest) -> ExportRequest:
    return mark_traces(request) if isinstance(request, ExportTraceServiceRequest) else mark_logs(request)


def _singles(request: ExportRequest) -> Iterator[ExportRequest]:
    """Split a request into requests of one record each, with its resource and scope."""
    if isinstance(request, ExportTraceServiceRequest):
        for resource_spans in request.resource_spans:
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    scope = ScopeSpans(
                        scope=scope_spans.scope, schema_url=scope_spans.schema_url, spans=[span]
                    )
                    yield ExportTraceServiceRequest(
                        resource_spans=[
                            ResourceSpans(
                                resource=resource_spans.resource,
                                schema_url=resource_spans.schema_url,
                                scope_spans=[scope],
                            )
                        ]
                    )
        return
    for resource_logs in request.resource_logs:
        for scope_logs in resource_logs.scope_logs:
            for record in scope_logs.log_records:
                logs = ScopeLogs(
                    scope=scope_logs.scope, schema_url=scope_logs.schema_url, log_records=[record]
                )
                yield ExportLogsServiceRequest(
                    resource_logs=[
                        ResourceLogs(
                            resource=resource_logs.resource,
                            schema_url=resource_logs.schema_url,
                            scope_logs=[logs],
                        )
                    ]
                )
