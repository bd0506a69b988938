# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The section ``service.telemetry``: what the gateway tells about itself, and where. The collector's own shape."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator

from runrecord.collector.values import Address, HeaderName, HeaderValue, Number, Url
from runrecord.exporters.settings_model import Section, or_empty

Share = Annotated[Number, Field(ge=0, le=1)]
"""A part of a whole, from 0 to 1."""


class OtlpOut(Section):
    """A back end for the gateway's own signals.

    Attributes:
        protocol: How to talk to it.
        endpoint: Its base URL; with HTTP, ``/v1/logs`` and so on is added unless it is there already.
        headers: For example a token.
    """

    protocol: Literal["http/protobuf", "grpc"] = "http/protobuf"
    endpoint: Url
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict[str, SecretStr])


class SignalExporter(Section):
    """What a processor hands its batches to."""

    otlp: OtlpOut


class Batch(Section):
    """Sends in batches, in the background; what does not fit into its queue is lost."""

    exporter: SignalExporter


class SignalProcessor(Section):
    """One entry of ``processors``."""

    batch: Batch


class LogsTelemetry(Section):
    """Logs, to standard error always and to back ends as well; they never hold content.

    Attributes:
        level: The least that is logged.
        encoding: ``console`` for people; ``json`` for machines: each line an OTLP/JSON request with one log record.
        processors: Further places, through the OpenTelemetry SDK.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    encoding: Literal["console", "json"] = "console"
    processors: tuple[SignalProcessor, ...] = ()


class TraceIdRatio(Section):
    """A share of all traces."""

    ratio: Share


class RootSampler(Section):
    """What decides about a trace that nobody decided about yet."""

    trace_id_ratio_based: TraceIdRatio


class ParentBased(Section):
    """Follows the caller, where there is one."""

    root: RootSampler


class Sampler(Section):
    """Which of the gateway's own traces are kept."""

    parent_based: ParentBased


class TracesTelemetry(Section):
    """Spans of the gateway's own work, one per request and one per delivery; none without a processor.

    Attributes:
        processors: Where they go.
        sampler: Which are kept; all by default.
    """

    processors: tuple[SignalProcessor, ...] = ()
    sampler: Sampler | None = None

    @property
    def ratio(self) -> float:
        """The share of traces that are kept."""
        return 1.0 if self.sampler is None else self.sampler.parent_based.root.trace_id_ratio_based.ratio


class MetricsServer(Section):
    """Prometheus metrics under /metrics."""

    address: Address = "127.0.0.1:8888"


class HealthServer(Section):
    """Health as JSON."""

    endpoint: Address = "127.0.0.1:13133"


class Telemetry(Section):
    """What the gateway tells about itself; null turns a server off.

    Attributes:
        resource: Attributes of its own signals, beside ``service.name`` and ``service.version``.
    """

    metrics: MetricsServer | None = MetricsServer()
    health: HealthServer | None = HealthServer()
    logs: LogsTelemetry = LogsTelemetry()
    traces: TracesTelemetry = TracesTelemetry()
    resource: dict[str, str] = Field(default_factory=dict)

    _defaults = field_validator("logs", "traces", mode="before")(or_empty)
