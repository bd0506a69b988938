# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The gateway's own logs and spans: to standard error, and through the OpenTelemetry SDK to a back end. Never content.

Nothing global is set, so that a gateway inside of another program leaves that program's telemetry alone.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import uuid
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from opentelemetry._logs import SeverityNumber
from opentelemetry.trace import NoOpTracer, Tracer

from runrecord.collector.errors import StartError
from runrecord.collector.telemetry_config import Telemetry

_SEVERITY: Final = (
    (logging.CRITICAL, SeverityNumber.FATAL, "FATAL"),
    (logging.ERROR, SeverityNumber.ERROR, "ERROR"),
    (logging.WARNING, SeverityNumber.WARN, "WARN"),
    (logging.INFO, SeverityNumber.INFO, "INFO"),
    (logging.NOTSET, SeverityNumber.DEBUG, "DEBUG"),
)
_OURS: Final = "runrecord"
_TRACER: Final = ContextVar[Tracer]("_TRACER", default=NoOpTracer())  # noqa: B039 - it has no state


@contextmanager
def own_signals(
    settings: Telemetry, *, level: str | None = None, process: str = "gateway"
) -> Generator[Tracer]:
    """Send this process's own logs and spans where the configuration says, until the block ends.

    Args:
        settings: The section ``service.telemetry``.
        level: Overrides ``logs.level``: what a command line said.
        process: What this process is, as ``runrecord.process`` in logs and spans: ``gateway``, ``receiver-1``, ...

    Yields:
        The tracer of the gateway's own spans; one that does nothing unless ``traces`` has a processor.

    Raises:
        StartError: An exporter is configured that is not installed.
    """
    attributes = _resource(settings, process)
    with ExitStack() as stack:
        logger = logging.getLogger(_OURS)
        handlers: list[logging.Handler] = [_to_stderr(settings, attributes)]
        tracer: Tracer = NoOpTracer()
        if settings.logs.processors or settings.traces.processors:
            sdk = _sdk()
            if settings.logs.processors:
                handlers.append(sdk.log_handler(settings.logs, attributes, stack))
            if settings.traces.processors:
                tracer = sdk.tracer(settings.traces, attributes, stack)
        before, propagates = logger.level, logger.propagate
        logger.setLevel((level or settings.logs.level).upper())
        logger.propagate = False  # otherwise whoever has configured the root logger shows each line twice
        stack.callback(setattr, logger, "propagate", propagates)
        stack.callback(logger.setLevel, before)
        for handler in handlers:
            logger.addHandler(handler)
            stack.callback(logger.removeHandler, handler)
        stack.callback(_TRACER.reset, _TRACER.set(tracer))
        yield tracer


@dataclass(frozen=True)
class Event:
    """What a log event says beside its body.

    Attributes:
        name: Its name (``event_name``).
        attributes: Its attributes.
    """

    name: str
    attributes: Mapping[str, str | int]


def tell(logger: logging.Logger, name: str, attributes: Mapping[str, str | int], *, body: str = "") -> None:
    """Log an event: it goes to the back end of the gateway's own logs, if there is one, and to nobody's standard error.

    Args:
        logger: Whose event it is.
        name: Its name.
        attributes: Its attributes; no content.
        body: Its body; the name unless you say otherwise.
    """
    logger.info("%s", body or name, extra={"event": Event(name, attributes)})


def event_of(record: logging.LogRecord) -> Event | None:
    """Return the event that a record of `logging` is, None if it is a line for people."""
    event = getattr(record, "event", None)
    return event if isinstance(event, Event) else None


def own_tracer() -> Tracer:
    """Return the tracer of the gateway's own spans, for code that runs inside of `own_signals`; elsewhere one that does nothing."""
    return _TRACER.get()


def _resource(settings: Telemetry, process: str) -> dict[str, str]:
    return {
        "service.name": "runrecord-gateway",
        "service.version": version("runrecord"),
        "service.instance.id": str(uuid.uuid4()),
        "process.pid": str(os.getpid()),
        "runrecord.process": process,
        **settings.resource,
    }


# -- standard error --------------------------------------------------------------------------------------------


class OtlpJsonFormatter(logging.Formatter):
    """One line per record: an OTLP/JSON logs request, as the collector's file exporter writes them."""

    def __init__(self, resource: Mapping[str, str]) -> None:
        """Remember who speaks.

        Args:
            resource: Attributes of the process.
        """
        super().__init__()
        self._resource = {"attributes": _attributes(resource)}

    def format(self, record: logging.LogRecord) -> str:
        """Write a record.

        Source: opentelemetry-proto 1.11, logs.proto; docs/specification.md, "JSON Protobuf Encoding".
        """
        number, text = severity(record.levelno)
        line = {
            "timeUnixNano": str(int(record.created * 1e9)),
            "severityNumber": number.value,
            "severityText": text,
            "body": {"stringValue": record.getMessage()},
        }
        scoped = [{"scope": {"name": record.name}, "logRecords": [line]}]
        return json.dumps({"resourceLogs": [{"resource": self._resource, "scopeLogs": scoped}]})


def _attributes(values: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]


def severity(level: int) -> tuple[SeverityNumber, str]:
    """Return OpenTelemetry's number and name for a level of `logging`."""
    return next((number, text) for least, number, text in _SEVERITY if level >= least)


def _to_stderr(settings: Telemetry, resource: Mapping[str, str]) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(lambda record: event_of(record) is None)
    if settings.logs.encoding == "json":
        handler.setFormatter(OtlpJsonFormatter(resource))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler


def _sdk() -> Any:
    try:
        from runrecord.collector import own_signals_sdk  # noqa: PLC0415 - needs what only some install
    except ModuleNotFoundError as error:
        raise StartError(
            f"service.telemetry names a processor, which needs {error.name}: it is not installed",
            next_step='pip install "runrecord[gateway,otlp]"',
        ) from error
    return own_signals_sdk
