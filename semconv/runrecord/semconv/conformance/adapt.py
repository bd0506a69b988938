# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Make plain records of what others hold: objects of the OpenTelemetry SDK, and messages of OTLP in protobuf.

By the names of their fields, so that neither the SDK nor protobuf is imported here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from runrecord.semconv.conformance.records import (
    NOWHERE,
    LogRecord,
    MetricRecord,
    Place,
    Record,
    SpanRecord,
)

__all__ = ["records_of"]

_KINDS: Final = ("", "internal", "server", "client", "producer", "consumer")
_STATUSES: Final = ("unset", "ok", "error")


def records_of(thing: Any, place: Place = NOWHERE) -> Iterator[Record]:
    """Go through the records in ``thing``.

    Args:
        thing: a ``ReadableSpan``, a log record or ``MetricsData`` of the SDK; a span, a log record, a metric, or anything
            that holds them down from an export request, in protobuf; a record of ours; or an iterable of any of these.
        place: where it was read from.

    Raises:
        TypeError: it is nothing of the kind.
    """
    if isinstance(thing, (SpanRecord, LogRecord, MetricRecord)):
        yield thing
        return
    for field, reader in _READERS:
        if hasattr(thing, field):
            yield from reader(thing, place)
            return
    kind: str = type(thing).__name__
    if isinstance(thing, (str, bytes, Mapping)) or not isinstance(thing, Iterable):
        raise TypeError(
            f"{kind} is no span, log record or metric; "
            "pass those of the OpenTelemetry SDK, or OTLP messages of protobuf"
        )
    for item in thing:  # pyright: ignore[reportUnknownVariableType]
        yield from records_of(item, place)


# OTLP in protobuf


def _containers(outer: str, inner: str, items: str) -> Callable[[Any, Place], Iterator[Record]]:
    """Make a reader of a message that holds ``outer``, each with ``inner``, each with ``items``."""
    one: Callable[[Any, str | None, Place], Record] = _ONE[items]

    def read(message: Any, place: Place) -> Iterator[Record]:
        outers: Any = getattr(message, outer) if outer else (message,)
        for resource in outers:
            inners: Any = getattr(resource, inner) if inner else (resource,)
            for scope in inners:
                schema_url = getattr(scope, "schema_url", "") or getattr(resource, "schema_url", "")
                for item in getattr(scope, items):
                    yield one(item, schema_url, place)

    return read


def _wire_span(span: Any, schema_url: str | None, place: Place) -> SpanRecord:
    attributes, repeated = _wire_values(span.attributes)
    status = span.status
    kind, code = int(span.kind), int(status.code)
    return SpanRecord(
        span.name,
        _KINDS[kind] if 0 <= kind < len(_KINDS) else "",
        attributes,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _STATUSES[code] if 0 <= code < len(_STATUSES) else "unset",
        bool(status.message),
        [(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        [(event.name, [pair.key for pair in event.attributes]) for event in span.events],
        schema_url,
        repeated,
        place,
    )


def _wire_log(log: Any, schema_url: str | None, place: Place) -> LogRecord:
    attributes, repeated = _wire_values(log.attributes)
    return LogRecord(
        log.event_name,
        attributes,
        log.trace_id.hex(),
        log.span_id.hex(),
        log.body.WhichOneof("value") is not None,
        schema_url,
        repeated,
        place,
    )


def _wire_values(pairs: Any) -> tuple[dict[str, Any], list[tuple[str, bool]]]:
    values: dict[str, Any] = {}
    for pair in pairs:
        value = pair.value
        kind = value.WhichOneof("value")
        values[pair.key] = value.string_value if kind == "string_value" else _wire_value(value, kind)
    if len(values) == len(pairs):
        return values, []
    first: dict[str, Any] = {}
    repeated: dict[str, bool] = {}
    for pair in pairs:
        value = _wire_value(pair.value, pair.value.WhichOneof("value"))
        if pair.key in first:
            repeated[pair.key] = repeated.get(pair.key, False) or value != first[pair.key]
        first.setdefault(pair.key, value)
    return values, list(repeated.items())


def _wire_value(value: Any, kind: str | None) -> Any:
    if kind is None:
        return None
    if kind == "array_value":
        return [_wire_value(item, item.WhichOneof("value")) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {
            item.key: _wire_value(item.value, item.value.WhichOneof("value"))
            for item in value.kvlist_value.values
        }
    return getattr(value, kind, None)


# The SDK


def _sdk_span(span: Any, place: Place) -> Iterator[SpanRecord]:
    context, status, scope = span.context, span.status, span.instrumentation_scope
    yield SpanRecord(
        span.name,
        span.kind.name.lower(),
        dict(span.attributes or {}),
        f"{context.trace_id:032x}" if context else "",
        f"{context.span_id:016x}" if context else "",
        span.start_time or 0,
        span.end_time or 0,
        status.status_code.name.lower(),
        bool(status.description),
        [(f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}") for link in span.links],
        [(event.name, list(event.attributes or ())) for event in span.events],
        (scope.schema_url or "") if scope else None,
        (),
        place,
    )


def _sdk_log(item: Any, place: Place) -> Iterator[LogRecord]:
    log, scope = item.log_record, getattr(item, "instrumentation_scope", None)
    yield LogRecord(
        log.event_name or "",
        dict(log.attributes or {}),
        f"{log.trace_id:032x}" if log.trace_id else "",
        f"{log.span_id:016x}" if log.span_id else "",
        log.body is not None,
        (scope.schema_url or "") if scope else None,
        (),
        place,
    )


def _metric(metric: Any, _schema_url: str | None, place: Place) -> MetricRecord:
    if hasattr(metric, "WhichOneof"):
        form = metric.WhichOneof("data")
        data = getattr(metric, form) if form else None
        points = [_wire_values(point.attributes)[0] for point in data.data_points] if data else []
    else:
        data = metric.data
        form = {"Sum": "sum", "Gauge": "gauge"}.get(type(data).__name__, "histogram")
        points = [dict(point.attributes or {}) for point in data.data_points]
    instrument = {"histogram": "histogram", "exponential_histogram": "histogram", "gauge": "gauge"}.get(
        form or "", ""
    )
    if form == "sum" and data is not None:
        instrument = "counter" if data.is_monotonic else "updowncounter"
    return MetricRecord(metric.name, metric.unit or "", instrument, points, place)


def _single(make: Callable[[Any, str | None, Place], Record]) -> Callable[[Any, Place], Iterator[Record]]:
    def read(thing: Any, place: Place) -> Iterator[Record]:
        yield make(thing, None, place)

    return read


_ONE: Final[Mapping[str, Callable[[Any, str | None, Place], Record]]] = {
    "spans": _wire_span,
    "log_records": _wire_log,
    "metrics": _metric,
}
# In this order: a field is looked for only where none before it was found.
_READERS: Final[tuple[tuple[str, Callable[[Any, Place], Iterator[Record]]], ...]] = (
    ("resource_spans", _containers("resource_spans", "scope_spans", "spans")),
    ("resource_logs", _containers("resource_logs", "scope_logs", "log_records")),
    ("resource_metrics", _containers("resource_metrics", "scope_metrics", "metrics")),
    ("scope_spans", _containers("", "scope_spans", "spans")),
    ("scope_logs", _containers("", "scope_logs", "log_records")),
    ("scope_metrics", _containers("", "scope_metrics", "metrics")),
    ("start_time_unix_nano", _single(_wire_span)),
    ("time_unix_nano", _single(_wire_log)),
    ("log_record", _sdk_log),
    ("instrumentation_scope", _sdk_span),
    ("unit", _single(_metric)),
    ("spans", _containers("", "", "spans")),
    ("log_records", _containers("", "", "log_records")),
    ("metrics", _containers("", "", "metrics")),
)
