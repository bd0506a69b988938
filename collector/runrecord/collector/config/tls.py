# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`tls:` of a receiver and of an exporter, in the collector's names."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from runrecord.collector.values import FilePath, Seconds
from runrecord.exporters.settings_model import Section


def _version(value: object) -> object:
    return str(value) if isinstance(value, float) else value  # 1.2 without quotes is a number


TlsVersion = Annotated[Literal["1.2", "1.3"], BeforeValidator(_version)]


class ServerTls(Section):
    """TLS of a port that is listened to.

    Attributes:
        cert_file: PEM file of the certificate, with those between it and the authority.
        key_file: PEM file of its private key, not encrypted.
        client_ca_file: PEM file of the authorities of client certificates; a client must then have one (mTLS).
        min_version: The oldest version of TLS that is taken.
        reload_interval: Seconds after which a new connection reads the files again; without it only SIGHUP does.
    """

    cert_file: FilePath
    key_file: FilePath
    client_ca_file: FilePath | None = None
    min_version: TlsVersion = "1.2"
    reload_interval: Seconds | None = Field(default=None, gt=0)


class ClientTls(Section):
    """TLS towards a back end.

    Attributes:
        insecure: Without TLS; for gRPC only, over HTTP the URL says it.
        ca_file: PEM file of the authorities to trust, instead of the system's.
        cert_file: PEM file of a client certificate (mTLS), with those between it and the authority.
        key_file: PEM file of its private key, not encrypted.
    """

    insecure: bool = False
    ca_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: FilePath | None = None

    @model_validator(mode="after")
    def _pair(self) -> ClientTls:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        if self.insecure and (self.ca_file or self.cert_file):
            raise ValueError("insecure is without TLS: remove it, or the files")
        return self
