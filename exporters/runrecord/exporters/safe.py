# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Redaction inside the app: an exporter in front of any exporter.

```python
provider.add_span_processor(BatchSpanProcessor(SafeSpanExporter(ConsoleSpanExporter())))
```

A span is frozen when it ends, so the work is done on what would be sent: spans are encoded as OTLP, the bytes are
redacted, and the inner exporter gets the spans themselves when nothing was found, else copies made from the redacted
bytes. The standard OTLP exporters get the redacted bytes themselves, see `runrecord.exporters.payload`; for OTLP over
HTTP that needs a session which only its constructor takes, so let `SafeSpanExporter.otlp_http()` construct it.
"""

from __future__ import annotations

import inspect
import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from typing_extensions import Self

from runrecord.exporters.encode import (
    Encoded,
    add_link_trace_state,
    encode_log_records,
    encode_traces,
    log_records_are_all_there,
    spans_are_all_there,
)
from runrecord.exporters.payload import Exporter, Payload, adopt_grpc, adopt_http, sending
from runrecord.exporters.pipeline import Pipeline, Processor, Redacts
from runrecord.exporters.rebuild import log_records_of, spans_of
from runrecord.processors import Signal

_logger = logging.getLogger(__name__)

Item = TypeVar("Item", ReadableSpan, ReadableLogRecord)
Result = TypeVar("Result", SpanExportResult, LogRecordExportResult)
Request = TypeVar("Request", ExportTraceServiceRequest, ExportLogsServiceRequest)


class SafeExporter(Generic[Item, Request, Result]):
    """What `SafeSpanExporter` and `SafeLogExporter` have in common.

    Attributes:
        inner: The exporter that sends.
        pipeline: What runs before; `pipeline.failures` counts records that lost their content.
        sends_bytes: Whether the inner exporter is given redacted bytes rather than rebuilt objects.
    """

    _signal: Signal
    _success: Result
    _failure: Result

    def __init__(
        self,
        exporter: Exporter,
        redactor: Redacts | None = None,
        processors: Sequence[Processor] | None = None,
    ) -> None:
        """Stand in front of ``exporter``.

        Args:
            exporter: Any exporter of this signal.
            redactor: What redacts; by default made from the policy that ``RUNRECORD_CONFIG`` names, or from the default
                policy (packs `secrets` and `pii`).
            processors: What runs on the redacted request; by default the OpenInference attributes that tracing UIs need.

        Raises:
            SettingsError: ``RUNRECORD_CONFIG`` names a file that can't be used.
            RedactionError: The policy can't be compiled.
        """
        if redactor is None or processors is None:
            from runrecord.exporters.settings import load_protection  # noqa: PLC0415 - only where it is needed

            protection = load_protection()
            redactor = protection.redactor if redactor is None else redactor
            processors = protection.processors if processors is None else processors
        self.inner = exporter
        self.pipeline = Pipeline(self._signal, redactor, processors)
        self.sends_bytes = adopt_grpc(exporter)
        self._complained: set[str] = set()

    @classmethod
    def around(
        cls,
        exporter: Exporter,
        redactor: Redacts | None = None,
        processors: Sequence[Processor] | None = None,
        *,
        arguments: Mapping[str, Any] | None = None,
    ) -> Self:
        """Stand in front of an exporter that was just made, the cheapest way there is.

        Args:
            exporter: The exporter. An OTLP/HTTP one is replaced by a twin that sends the redacted bytes.
            redactor: As for the constructor.
            processors: As for the constructor.
            arguments: The keyword arguments that ``exporter`` was made with, for the twin.
        """
        twin = adopt_http(exporter, arguments or {})
        safe = cls(twin or exporter, redactor, processors)
        safe.sends_bytes = safe.sends_bytes or twin is not None
        return safe

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Shut the inner exporter down.

        Args:
            timeout_millis: How long it may take; passed on when the inner exporter takes it.
        """
        shutdown = cast("Callable[..., None]", self.inner.shutdown)
        if _takes_timeout(shutdown):
            shutdown(timeout_millis=timeout_millis)
        else:
            shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the inner exporter; nothing is buffered here.

        Args:
            timeout_millis: How long it may take.

        Returns:
            What the inner exporter says; True when it has nothing to flush.
        """
        flush = getattr(self.inner, "force_flush", None)
        return bool(flush(timeout_millis)) if callable(flush) else True

    def _guarded_export(self, batch: Sequence[Item]) -> Result:
        """Export ``batch``; never raise into the processor that called."""
        try:
            return self._export(batch)
        except Exception as error:  # noqa: BLE001 - telemetry never breaks the app
            self._complain(
                f"{type(error).__module__}.{type(error).__qualname__}",
                "Exporting through %s failed with %s.%s; %d record(s) were not sent",
                type(self.inner).__qualname__,
                type(error).__module__,
                type(error).__qualname__,
                len(batch),
            )
            return self._failure

    def _export(self, batch: Sequence[Item]) -> Result:
        encoded = self._encode(batch)
        if encoded.errors:
            self.pipeline.count_failures(len(encoded.errors), encoded.errors[0])
        if not self.sends_bytes:
            self._complete(encoded.request, batch)
        body = encoded.request.SerializeToString()
        processed = self.pipeline.process(body)
        if not processed:
            return self._success  # the policy dropped every record
        if self.sends_bytes:
            payload = Payload(
                len(batch),
                processed,
                encoded.request if processed is body else None,
                type(encoded.request).FromString,
            )
            with sending(payload):
                result: Result = self.inner.export(payload)
            if payload.taken or result is not self._success:
                return result
            self._complain(
                "payload",
                "%s no longer takes encoded requests; exporting rebuilt copies instead, which costs more",
                type(self.inner).__qualname__,
            )
            self.sends_bytes = False
        if processed is body and not encoded.errors and self._all_there(encoded.request, batch):
            return cast("Result", self.inner.export(batch))
        rebuilt = self._rebuild(processed, batch)
        return cast("Result", self.inner.export(rebuilt)) if rebuilt else self._success

    def _complain(self, about: str, message: str, *arguments: object) -> None:
        if about not in self._complained:
            self._complained.add(about)
            _logger.warning(message, *arguments)

    @abstractmethod
    def _encode(self, batch: Sequence[Item]) -> Encoded[Request]: ...

    def _complete(self, request: Request, batch: Sequence[Item]) -> None:
        """Add to ``request`` what the encoder leaves out and an inner exporter could read."""

    @abstractmethod
    def _all_there(self, request: Request, batch: Sequence[Item]) -> bool: ...

    @abstractmethod
    def _rebuild(self, body: bytes, batch: Sequence[Item]) -> list[Item]: ...


class SafeSpanExporter(SafeExporter[ReadableSpan, ExportTraceServiceRequest, SpanExportResult], SpanExporter):
    """Redacts spans in front of any span exporter; see the module."""

    _signal = Signal.TRACES
    _success = SpanExportResult.SUCCESS
    _failure = SpanExportResult.FAILURE

    @classmethod
    def otlp_http(
        cls,
        *,
        redactor: Redacts | None = None,
        processors: Sequence[Processor] | None = None,
        **arguments: Any,
    ) -> Self:
        """Make an OTLP/HTTP span exporter that is redacted on the wire.

        Args:
            redactor: As for the constructor.
            processors: As for the constructor.
            **arguments: As for `opentelemetry.exporter.otlp.proto.http.trace_exporter.OTLPSpanExporter`.
        """
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - optional

        return cls.around(OTLPSpanExporter(**arguments), redactor, processors, arguments=arguments)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Redact and export a batch.

        Args:
            spans: Ended spans; never modified.

        Returns:
            What the inner exporter says; SUCCESS when the policy dropped everything.
        """
        return self._guarded_export(spans)

    def _encode(self, batch: Sequence[ReadableSpan]) -> Encoded[ExportTraceServiceRequest]:
        return encode_traces(batch)

    def _complete(self, request: ExportTraceServiceRequest, batch: Sequence[ReadableSpan]) -> None:
        add_link_trace_state(request, batch)

    def _all_there(self, request: ExportTraceServiceRequest, batch: Sequence[ReadableSpan]) -> bool:
        return spans_are_all_there(request, batch)

    def _rebuild(self, body: bytes, batch: Sequence[ReadableSpan]) -> list[ReadableSpan]:
        return spans_of(body, batch)


class SafeLogExporter(
    SafeExporter[ReadableLogRecord, ExportLogsServiceRequest, LogRecordExportResult], LogRecordExporter
):
    """Redacts log records in front of any log record exporter; see the module."""

    _signal = Signal.LOGS
    _success = LogRecordExportResult.SUCCESS
    _failure = LogRecordExportResult.FAILURE

    @classmethod
    def otlp_http(
        cls,
        *,
        redactor: Redacts | None = None,
        processors: Sequence[Processor] | None = None,
        **arguments: Any,
    ) -> Self:
        """Make an OTLP/HTTP log record exporter that is redacted on the wire.

        Args:
            redactor: As for the constructor.
            processors: As for the constructor.
            **arguments: As for `opentelemetry.exporter.otlp.proto.http._log_exporter.OTLPLogExporter`.
        """
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter  # noqa: PLC0415 - optional

        return cls.around(OTLPLogExporter(**arguments), redactor, processors, arguments=arguments)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Redact and export a batch.

        Args:
            batch: Log records; never modified.

        Returns:
            What the inner exporter says; SUCCESS when the policy dropped everything.
        """
        return self._guarded_export(batch)

    def _encode(self, batch: Sequence[ReadableLogRecord]) -> Encoded[ExportLogsServiceRequest]:
        return encode_log_records(batch)

    def _all_there(self, request: ExportLogsServiceRequest, batch: Sequence[ReadableLogRecord]) -> bool:
        return log_records_are_all_there(request, batch)

    def _rebuild(self, body: bytes, batch: Sequence[ReadableLogRecord]) -> list[ReadableLogRecord]:
        del batch
        return log_records_of(body)


def _takes_timeout(function: Callable[..., Any]) -> bool:
    try:
        return "timeout_millis" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
