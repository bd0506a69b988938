# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What protects the ports of the receiver: the certificates and the tokens of a configuration, loaded and reloaded together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runrecord.collector.bearer_tokens import BearerTokens
from runrecord.collector.errors import StartError
from runrecord.collector.receiver.auth import Authenticator
from runrecord.collector.tls import ServerCertificates

if TYPE_CHECKING:
    from runrecord.collector.config import GatewayConfig


@dataclass(frozen=True)
class PortProtection:
    """Of one port.

    Attributes:
        certificates: None for plain text.
        authenticator: None if anybody may send.
    """

    certificates: ServerCertificates | None = None
    authenticator: Authenticator | None = None


class Protection:
    """Of both ports.

    Attributes:
        grpc: Of OTLP over gRPC.
        http: Of OTLP over HTTP.
    """

    def __init__(self, config: GatewayConfig) -> None:
        """Load the files.

        Raises:
            StartError: One of them can't be used.
        """
        self._tokens = {name: BearerTokens(each, name) for name, each in config.authenticators.items()}
        self.grpc = self._port(config, "grpc")
        self.http = self._port(config, "http")

    def _port(self, config: GatewayConfig, name: str) -> PortProtection:
        protocols = config.receivers.otlp.protocols
        server = protocols.grpc if name == "grpc" else protocols.http
        if server is None:
            return PortProtection()
        key = f"receivers.otlp.protocols.{name}.tls"
        certificates = None if server.tls is None else ServerCertificates(server.tls, key)
        tokens = self._tokens[server.auth.authenticator] if server.auth else None
        return PortProtection(certificates, Authenticator(tokens) if tokens else None)

    def reload_with(self, config: GatewayConfig) -> None:
        """Read every file again, and use the tokens of another configuration.

        Args:
            config: It has the same authenticators at the same ports.

        Raises:
            StartError: A file can't be used; everything stays as it was, but certificates that could be read may be new.
        """
        fresh = {name: BearerTokens(config.authenticators[name], name) for name in self._tokens}
        certificates = [part for part in (self.grpc.certificates, self.http.certificates) if part is not None]
        done = [part.reload() for part in certificates]
        if not all(done):
            raise StartError("a certificate can't be used, the log says why; the one before stays in use")
        for name, tokens in self._tokens.items():
            tokens.become(fresh[name])

    def reload(self) -> bool:
        """Read every file again; connections go on, and new ones meet what was read.

        Returns:
            False if one can't be used; what it held before stays in use, and the log says why.
        """
        parts = (self.grpc.certificates, self.http.certificates, *self._tokens.values())
        done = [part.reload() for part in parts if part is not None]
        return all(done)
