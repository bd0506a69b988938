# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Configure the OpenTelemetry SDK as its own configurator does, with a safe exporter in front of each exporter.

Everything the standard ``OTEL_*`` variables do stays the same. Two things are added: exporters of spans and log records
are wrapped, and where ``OTEL_TRACES_EXPORTER`` or ``OTEL_LOGS_EXPORTER`` is not set and an OTLP exporter is installed, it is
used, as opentelemetry-distro does. (Log records, because the decision events are log records. The handler that turns the
app's own logging into log records is not switched on by this.) Metrics are configured as ever and are not redacted.
Where ``RUNRECORD_SPOOL`` names a directory, spans and log records are made durable there before they are sent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from os import environ
from typing import Any, Final, cast

from opentelemetry.sdk._configuration import _OTelSDKConfigurator  # pyright: ignore[reportPrivateUsage] - see below
from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from runrecord.exporters.providers import State, guard_global
from runrecord.exporters.safe import SafeLogExporter, SafeSpanExporter
from runrecord.exporters.settings import Protection, load_protection
from runrecord.exporters.spool import RUNRECORD_SPOOL, load_spool
from runrecord.exporters.spooled import AtOnceProcessor, spool_before

_logger = logging.getLogger(__name__)

_BY_PROTOCOL: Final = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}


class SDKConfigurator(_OTelSDKConfigurator):
    """The SDK's own. Distros are meant to subclass it, private name or not, and never to use it itself (its docstring)."""


def configure_sdk(**arguments: Any) -> None:
    """Configure the global providers from the environment.

    Args:
        **arguments: As for the SDK's own configurator.

    Raises:
        SettingsError: ``RUNRECORD_CONFIG`` names a file that can't be used.
        ProcessorError: The policy can't be compiled.
        IntakeError: The directory that ``RUNRECORD_SPOOL`` names can't be used.
    """
    configurator = cast("Any", SDKConfigurator)()
    protection = load_protection()
    if environ.get("OTEL_CONFIG_FILE"):
        configurator.configure(**arguments)
        _guard_providers()
        if environ.get(RUNRECORD_SPOOL):
            _logger.warning(
                "OTEL_CONFIG_FILE: what its exporters send does not go through the spool that %s names",
                RUNRECORD_SPOOL,
            )
        return
    exporter_arguments: Mapping[Any, Mapping[str, Any]] = arguments.get("exporter_args_map") or {}
    for signal in ("traces", "logs"):
        key = f"{signal.removesuffix('s')}_exporter_names"
        arguments[key] = arguments.get(key) or default_exporters(signal)
    arguments["export_span_processor"] = _span_processor(
        arguments.get("export_span_processor") or BatchSpanProcessor, protection, exporter_arguments
    )
    arguments["export_log_record_processor"] = _log_record_processor(
        arguments.get("export_log_record_processor") or BatchLogRecordProcessor,
        protection,
        exporter_arguments,
    )
    configurator.configure(**arguments)


def default_exporters(signal: str) -> list[str]:
    """Return the exporters to use where the environment names none: OTLP, if it is installed.

    Args:
        signal: `traces` or `logs`.

    Returns:
        Names of entry points: none where the variable is set (also to an empty string, as the SDK reads it).
    """
    if f"OTEL_{signal.upper()}_EXPORTER" in environ:
        return []
    installed = {entry_point.name for entry_point in entry_points(group=f"opentelemetry_{signal}_exporter")}
    protocol = (
        environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL")
        or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or ""
    ).strip()
    if protocol and protocol not in _BY_PROTOCOL:
        _logger.warning("OTLP protocol %r is not supported; no %s exporter by default", protocol, signal)
        return []
    wanted = [_BY_PROTOCOL[protocol]] if protocol else list(_BY_PROTOCOL.values())
    return [name for name in wanted if name in installed][:1]


def _span_processor(
    factory: Callable[..., SpanProcessor], protection: Protection, arguments: Mapping[Any, Mapping[str, Any]]
) -> Callable[..., SpanProcessor]:
    def make(span_exporter: Any, *args: Any, **kwargs: Any) -> SpanProcessor:
        safe = SafeSpanExporter.around(
            span_exporter,
            protection.redactor,
            protection.processors,
            arguments=arguments.get(type(span_exporter)),
        )
        spool_before(safe, load_spool())
        return factory(safe, *args, **kwargs)

    return make


def _log_record_processor(
    factory: Callable[..., LogRecordProcessor],
    protection: Protection,
    arguments: Mapping[Any, Mapping[str, Any]],
) -> Callable[..., LogRecordProcessor]:
    def make(exporter: Any, *args: Any, **kwargs: Any) -> LogRecordProcessor:
        safe = SafeLogExporter.around(
            exporter, protection.redactor, protection.processors, arguments=arguments.get(type(exporter))
        )
        spooled = spool_before(safe, load_spool())
        later = factory(safe, *args, **kwargs)
        return AtOnceProcessor(safe, later) if spooled else later

    return make


def _guard_providers() -> None:
    """Redact behind declarative configuration, which takes no processors from outside."""
    for site in guard_global():
        if site.state is State.UNKNOWN:
            _logger.warning(
                "OTEL_CONFIG_FILE: %s (%s) may export what was not redacted; its exporter can't be found. "
                "Next step: runrecord doctor",
                site.processor,
                site.signal,
            )
