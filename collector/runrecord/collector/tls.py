# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Certificates of servers and clients: read, checked, and replaced for new connections while the old ones go on."""

from __future__ import annotations

import contextlib
import logging
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

from runrecord.collector.config.tls import ClientTls, ServerTls
from runrecord.collector.errors import StartError

_log = logging.getLogger(__name__)
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True)
class _Loaded:
    """Files that fit together.

    Attributes:
        context: For servers of asyncio.
        pem: Key, certificates, and authorities of clients, as gRPC wants them.
    """

    context: ssl.SSLContext
    pem: tuple[bytes, bytes, bytes | None]


class ServerCertificates:
    """The certificates of one port.

    A handshake takes what was loaded last; what can't be loaded leaves the last in use, and says so in the log. So a renewed
    certificate, and a changed set of client authorities, is in force for the next connection, and no connection is cut.

    Attributes:
        context: Give it to a server of asyncio.
    """

    def __init__(self, config: ServerTls, key: str, *, protocols: tuple[str, ...] = ("http/1.1",)) -> None:
        """Load the files.

        Args:
            config: Where they are.
            key: Where that is configured, for messages.
            protocols: What is offered by ALPN (RFC 7301) to a server of asyncio.

        Raises:
            StartError: They can't be read or do not fit together.
        """
        self._config, self._key, self._protocols = config, key, protocols
        self._lock = threading.Lock()
        self._loaded = self._load()
        self._next = self._due()
        self.context = self._load().context  # its own: the callback below replaces it by the current one
        self.context.sni_callback = self._on_handshake

    def _due(self) -> float | None:
        interval = self._config.reload_interval
        return None if interval is None else time.monotonic() + interval

    def _load(self) -> _Loaded:
        config = self._config
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[config.min_version]
        context.set_alpn_protocols(self._protocols)
        # A resumed session would skip the check of the client's certificate against authorities that were replaced.
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.num_tickets = 0
        _load_pair(context, config.cert_file, config.key_file, self._key)
        authorities = None
        if config.client_ca_file is not None:
            authorities = _read(config.client_ca_file, f"{self._key}.client_ca_file")
            _trust(context, authorities, f"{self._key}.client_ca_file")
            context.verify_mode = ssl.CERT_REQUIRED
        key = _read(config.key_file, f"{self._key}.key_file")
        return _Loaded(context, (key, _read(config.cert_file, f"{self._key}.cert_file"), authorities))

    def reload(self) -> bool:
        """Read the files again.

        Returns:
            False if they can't be used; the ones before stay in use.
        """
        with self._lock:
            self._next = self._due()
            try:
                loaded = self._load()
            except StartError as error:
                _log.error("certificates are not replaced: %s. %s", error, error.next_step)
                return False
            if loaded.pem != self._loaded.pem:
                self._loaded = loaded
                _log.info("%s: certificates are replaced", self._key)
            return True

    def _current(self) -> _Loaded:
        if self._next is not None and time.monotonic() >= self._next:
            self.reload()
        return self._loaded

    def _on_handshake(self, connection: Any, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current().context

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Return credentials for a server of gRPC; it asks for the current certificates at every handshake."""
        given = self._current()

        def renewed() -> Any:
            nonlocal given
            if (current := self._current()) is given:
                return None
            given = current
            return _grpc_configuration(current)

        library: Any = grpc
        credentials: grpc.ServerCredentials = library.dynamic_ssl_server_credentials(
            _grpc_configuration(given),
            renewed,
            require_client_authentication=self._config.client_ca_file is not None,
        )
        return credentials


def _grpc_configuration(loaded: _Loaded) -> Any:
    key, chain, authorities = loaded.pem
    library: Any = grpc
    return library.ssl_server_certificate_configuration([(key, chain)], root_certificates=authorities)


def files_seen(config: ClientTls) -> tuple[tuple[int, int, int], ...]:
    """Return what tells the files of an exporter from those that were there before.

    Args:
        config: The section.
    """
    found: list[tuple[int, int, int]] = []
    for path in (config.ca_file, config.cert_file, config.key_file):
        with contextlib.suppress(OSError):
            if path is not None:
                status = path.stat()
                found.append((status.st_ino, status.st_mtime_ns, status.st_size))
    return tuple(found)


def client_context(config: ClientTls, key: str) -> ssl.SSLContext:
    """Make the context of an HTTPS client.

    Args:
        config: The section.
        key: Where it is, for messages.

    Raises:
        StartError: A file can't be used.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.ca_file is not None:
        pem = _read(config.ca_file, f"{key}.ca_file")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        _trust(context, pem, f"{key}.ca_file")
    if config.cert_file is not None and config.key_file is not None:
        _load_pair(context, config.cert_file, config.key_file, key)
    return context


def channel_credentials(config: ClientTls, key: str) -> grpc.ChannelCredentials:
    """Make the credentials of a gRPC client.

    Args:
        config: The section.
        key: Where it is, for messages.

    Raises:
        StartError: A file can't be used.
    """
    client_context(
        config, key
    )  # says what is wrong with the files; gRPC would say it at the first connection
    roots = _read(config.ca_file, f"{key}.ca_file") if config.ca_file else None
    private = _read(config.key_file, f"{key}.key_file") if config.key_file else None
    chain = _read(config.cert_file, f"{key}.cert_file") if config.cert_file else None
    return grpc.ssl_channel_credentials(roots, private, chain)


def _read(path: Path, key: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StartError(
            f"{key} can't be read ({error.strerror})", next_step="name a PEM file that this user can read"
        ) from error


def _load_pair(context: ssl.SSLContext, certificate: Path, private_key: Path, key: str) -> None:
    _read(certificate, f"{key}.cert_file")
    _read(private_key, f"{key}.key_file")
    try:
        context.load_cert_chain(
            certificate, private_key, password=lambda: ""
        )  # an encrypted key must not ask a terminal
    except (ssl.SSLError, OSError, ValueError) as error:
        raise StartError(
            f"{key}: cert_file and key_file do not fit together",
            next_step="both must be PEM: the certificate, then those between it and the authority; and its key, not encrypted",
        ) from error


def _trust(context: ssl.SSLContext, pem: bytes, key: str) -> None:
    try:
        context.load_verify_locations(cadata=pem.decode("ascii", "replace"))
    except (ssl.SSLError, ValueError) as error:
        raise StartError(
            f"{key} holds no certificate of an authority",
            next_step="name a PEM file with one or more of them",
        ) from error
