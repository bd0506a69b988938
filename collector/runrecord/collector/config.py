# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The configuration of the gateway: the collector's own shape, and nothing in it that would not be used."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from runrecord.collector.telemetry_config import Telemetry
from runrecord.collector.values import (
    Address,
    FilePath,
    HeaderName,
    HeaderValue,
    Number,
    Origin,
    Seconds,
    Url,
)
from runrecord.exporters.settings_model import Processors, Section, or_empty
from runrecord.exporters.settings_yaml import is_mapping
from runrecord.processors.redaction.policy import Whole
from runrecord.processors.signal import Signal
from runrecord.semconv.commitment import state_dir

MIB = 1 << 20


# -- receivers -------------------------------------------------------------------------------------------------


class GrpcServer(Section):
    """OTLP over gRPC."""

    endpoint: Address = "127.0.0.1:4317"
    max_recv_msg_size_mib: Whole = Field(default=64, ge=1, le=512)


class HttpServer(Section):
    """OTLP over HTTP, binary and JSON."""

    endpoint: Address = "127.0.0.1:4318"
    max_request_body_size: Whole = Field(default=64 * MIB, ge=1024, le=512 * MIB)


class Protocols(Section):
    """What is listened to; a protocol that is not named is off."""

    grpc: GrpcServer | None = None
    http: HttpServer | None = None

    _defaults = field_validator("grpc", "http", mode="before")(or_empty)

    @model_validator(mode="after")
    def _one_at_least(self) -> Protocols:
        if self.grpc is None and self.http is None:
            raise ValueError("name grpc, http, or both")
        return self


class OtlpReceiver(Section):
    """The OTLP receiver.

    Attributes:
        protocols: What it listens to.
        max_in_flight_mib: Bytes of requests that are being read or redacted; above it new ones are refused, retryable.
    """

    protocols: Protocols = Protocols(grpc=GrpcServer(), http=HttpServer())
    max_in_flight_mib: Whole = Field(default=256, ge=1)

    @model_validator(mode="after")
    def _one_request_fits(self) -> OtlpReceiver:
        grpc, http = self.protocols.grpc, self.protocols.http
        largest = max(
            grpc.max_recv_msg_size_mib * MIB if grpc else 0, http.max_request_body_size if http else 0
        )
        if 2 * largest > self.max_in_flight_mib * MIB:
            raise ValueError(
                f"max_in_flight_mib must hold the largest request twice: at least {-(-2 * largest // MIB)}"
            )
        return self


class Receivers(Section):
    """All receivers."""

    otlp: OtlpReceiver = OtlpReceiver()

    _defaults = field_validator("otlp", mode="before")(or_empty)


# -- exporters -------------------------------------------------------------------------------------------------


class Retry(Section):
    """How a forwarder repeats what the back end did not take.

    Attributes:
        initial_interval: Seconds before the first repetition; random between half of it and one and a half.
        multiplier: Growth from one to the next.
        max_interval: Longest interval.
        max_elapsed_time: Set a request aside after so many seconds in which the back end was away; 0 never does.
    """

    initial_interval: Seconds = Field(default=1.0, gt=0)
    multiplier: Number = Field(default=1.5, ge=1)
    max_interval: Seconds = Field(default=30.0, gt=0)
    max_elapsed_time: Seconds = Field(default=0.0, ge=0)


class _Forwarder(Section):
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict[str, SecretStr])
    compression: Literal["gzip", "none"] = "gzip"
    timeout: Seconds = Field(default=10.0, gt=0)
    retry_on_failure: Retry = Retry()
    concurrency: Whole = Field(default=8, ge=1, le=64)


class OtlpHttpExporter(_Forwarder):
    """Forwards over OTLP/HTTP, binary.

    Attributes:
        endpoint: Base URL; ``/v1/traces`` and so on is added unless it is there already.
    """

    kind: Literal["otlp_http"] = "otlp_http"
    endpoint: Url


class Tls(Section):
    """How a gRPC forwarder talks to its back end.

    Attributes:
        insecure: Without TLS.
        ca_file: PEM file of the authorities to trust, instead of the system's.
    """

    insecure: bool = False
    ca_file: FilePath | None = None


class OtlpGrpcExporter(_Forwarder):
    """Forwards over OTLP/gRPC.

    Attributes:
        endpoint: ``HOST:PORT``.
        tls: On by default, as in the collector.
    """

    kind: Literal["otlp_grpc"] = "otlp_grpc"
    endpoint: Address
    compression: Literal["gzip", "none"] = "none"
    tls: Tls = Tls()


def default_ledger() -> Path:
    """Where the ledger is if nobody says so: ``RUNRECORD_LEDGER``, or ``ledger`` in the working directory."""
    return Path(os.environ.get("RUNRECORD_LEDGER") or "ledger")


class LedgerExporter(Section):
    """Seals the governed records.

    Attributes:
        directory: The ledger.
        origin: Its name in checkpoints; only used when the ledger is new.
    """

    kind: Literal["ledger"] = "ledger"
    directory: FilePath = Field(default_factory=default_ledger)
    origin: Origin | None = None


Exporter = Annotated[OtlpHttpExporter | OtlpGrpcExporter | LedgerExporter, Field(discriminator="kind")]


# -- service ---------------------------------------------------------------------------------------------------


class Pipeline(Section):
    """The way of one signal. Redaction comes first, always; a policy without packs and keys is how to say "none"."""

    receivers: tuple[str, ...] = Field(default=("otlp",), min_length=1)
    processors: tuple[str, ...] = ("redaction",)
    exporters: tuple[str, ...] = Field(min_length=1)


class Intake(Section):
    """Limits of the intake log.

    Attributes:
        max_size_mib: Above it new requests are refused, retryable. The quarantine of each exporter may grow to it too.
        max_age: Refuse as well while a consumer is so many seconds behind; none by default.
    """

    max_size_mib: Whole = Field(default=4096, ge=1)
    max_age: Seconds | None = None


def default_state_dir() -> Path:
    """Where the intake log is if nobody says so."""
    return state_dir() / "gateway"


def _default_pipelines() -> dict[Signal, Pipeline]:
    return {signal: Pipeline(exporters=("ledger",)) for signal in (Signal.TRACES, Signal.LOGS)}


class Service(Section):
    """Which parts are used, and how.

    Attributes:
        state_dir: The intake log is under it.
        intake: Its limits.
        pipelines: For each signal the parts it goes through; a signal without one is refused.
        telemetry: What the gateway tells about itself.
        drain_timeout: Seconds that consumers have to catch up when the gateway is told to stop.
    """

    state_dir: FilePath = Field(default_factory=default_state_dir)
    intake: Intake = Intake()
    pipelines: dict[Signal, Pipeline] = Field(default_factory=_default_pipelines, min_length=1)
    telemetry: Telemetry = Telemetry()
    drain_timeout: Seconds = Field(default=10.0, ge=0)

    _defaults = field_validator("intake", "telemetry", mode="before")(or_empty)


def _processors() -> Processors:
    return Processors()


def _service() -> Service:
    return Service()


def _default_exporters() -> dict[str, Exporter]:
    return {"ledger": LedgerExporter()}


class GatewayConfig(Section):
    """The whole file."""

    receivers: Receivers = Receivers()
    processors: Processors = Field(default_factory=_processors)
    exporters: dict[str, Exporter] = Field(default_factory=_default_exporters)
    service: Service = Field(default_factory=_service)

    _defaults = field_validator("receivers", "processors", "service", mode="before")(or_empty)

    @field_validator("exporters", mode="before")
    @classmethod
    def _kind_from_name(cls, value: Any) -> Any:
        """``otlp_http/main`` is an exporter of kind otlp_http with the name main."""
        if not is_mapping(value):
            return value
        found: dict[Any, Any] = {}
        for name, section in value.items():
            found[name] = section
            if section is None or is_mapping(section):
                found[name] = {**(section or {}), "kind": str(name).partition("/")[0]}
        return found

    def pipelines_of(self, exporter: str) -> dict[Signal, Pipeline]:
        """Return the pipelines that end in an exporter."""
        return {s: p for s, p in self.service.pipelines.items() if exporter in p.exporters}

    @property
    def ledgers(self) -> dict[str, LedgerExporter]:
        """The ledgers that are used by a pipeline."""
        return {
            name: exporter
            for name, exporter in self.exporters.items()
            if isinstance(exporter, LedgerExporter) and self.pipelines_of(name)
        }

    @property
    def forwarders(self) -> dict[str, OtlpHttpExporter | OtlpGrpcExporter]:
        """The OTLP exporters that are used by a pipeline."""
        return {
            name: exporter
            for name, exporter in self.exporters.items()
            if not isinstance(exporter, LedgerExporter) and self.pipelines_of(name)
        }
