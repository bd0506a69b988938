# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What stands between the SDK and the spool: exporters that store, and a processor that stores announcements at once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult, SimpleLogRecordProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from runrecord.exporters.payload import Payload
from runrecord.exporters.safe import SafeLogExporter, SafeSpanExporter
from runrecord.exporters.spool import RUNRECORD_SPOOL, Spool
from runrecord.processors import Signal
from runrecord.semconv.signals import EVENT_RUN_OPENED, EVENT_TOOL_INTENT

_logger = logging.getLogger(__name__)
ANNOUNCEMENTS: Final = frozenset({EVENT_RUN_OPENED, EVENT_TOOL_INTENT})
"""What has to be durable before what it announces happens."""
_SECONDS: Final = 5.0
"""How long the end of a process waits for what can still be sent."""


class SpoolSpanExporter(SpanExporter):
    """Stores the redacted requests that a `SafeSpanExporter` hands over."""

    def __init__(self, spool: Spool) -> None:
        """Store in ``spool``."""
        self._spool = spool

    def export(self, spans: Sequence[Any]) -> SpanExportResult:
        """Return when the request is durable on this machine."""
        stored = isinstance(spans, Payload) and self._spool.store(
            Signal.TRACES, spans.take_body(), len(spans)
        )
        return SpanExportResult.SUCCESS if stored else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Stop using the spool."""
        self._spool.release(_SECONDS)


class SpoolLogExporter(LogRecordExporter):
    """Stores the redacted requests that a `SafeLogExporter` hands over."""

    def __init__(self, spool: Spool) -> None:
        """Store in ``spool``."""
        self._spool = spool

    def export(self, batch: Sequence[Any]) -> LogRecordExportResult:
        """Return when the request is durable on this machine."""
        stored = isinstance(batch, Payload) and self._spool.store(Signal.LOGS, batch.take_body(), len(batch))
        return LogRecordExportResult.SUCCESS if stored else LogRecordExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 10_000) -> bool:
        """Do nothing: what was exported is durable."""
        del timeout_millis
        return True

    def shutdown(self) -> None:
        """Stop using the spool."""
        self._spool.release(_SECONDS)


class AtOnceProcessor(LogRecordProcessor):
    """Exports announcements when they are emitted, and leaves all other log records to another processor."""

    def __init__(self, exporter: LogRecordExporter, later: LogRecordProcessor) -> None:
        """Stand in front of ``later``, which exports to ``exporter``, too."""
        self._at_once = SimpleLogRecordProcessor(exporter)
        self._later = later
        self._log_record_processors = (
            self._at_once,
            later,
        )  # for `runrecord doctor`, which looks for exporters

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Export an announcement now."""
        announces = log_record.log_record.event_name in ANNOUNCEMENTS
        (self._at_once if announces else self._later).on_emit(log_record)

    def shutdown(self) -> None:
        """Shut the processor behind down, and the exporter with it."""
        self._later.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the processor behind."""
        return self._later.force_flush(timeout_millis)


def spool_before(safe: SafeSpanExporter | SafeLogExporter, spool: Spool | None) -> bool:
    """Have a safe exporter store in the spool, and the spool send through what it sent through; return whether it does."""
    if spool is None:
        return False
    if not safe.sends_bytes:
        _logger.warning(
            "%s is not an OTLP exporter: what it exports does not go through the spool that %s names",
            type(safe.inner).__qualname__,
            RUNRECORD_SPOOL,
        )
        return False
    is_spans = isinstance(safe, SafeSpanExporter)
    spool.attach(Signal.TRACES if is_spans else Signal.LOGS, safe.inner)
    safe.inner = SpoolSpanExporter(spool) if is_spans else SpoolLogExporter(spool)
    return True
