# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`receivers:` of the configuration: where the gateway listens, and how much it takes at once."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from runrecord.collector.config.extensions import Auth
from runrecord.collector.config.tls import ServerTls
from runrecord.collector.values import Address
from runrecord.exporters.settings_model import Section, or_empty
from runrecord.processors.redaction.policy import Whole

MIB = 1 << 20


class _Server(Section):
    """What both transports have.

    Attributes:
        tls: Certificates; plain text without.
        auth: Who may send; anybody without.
        insecure: Listen beyond this machine without TLS, or without knowing who sends.
    """

    tls: ServerTls | None = None
    auth: Auth | None = None
    insecure: bool = False

    @property
    def is_protected(self) -> bool:
        """Whether others can neither read what is sent nor send it."""
        return self.tls is not None and (self.auth is not None or self.tls.client_ca_file is not None)


class GrpcServer(_Server):
    """OTLP over gRPC."""

    endpoint: Address = "127.0.0.1:4317"
    max_recv_msg_size_mib: Whole = Field(default=64, ge=1, le=512)

    @field_validator("tls")
    @classmethod
    def _version_can_be_set(cls, tls: ServerTls | None) -> ServerTls | None:
        if tls is not None and tls.min_version != "1.2":
            raise ValueError(
                "the library of gRPC takes TLS 1.2 and newer, and can't be told otherwise: leave min_version out"
            )
        return tls


class HttpServer(_Server):
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
