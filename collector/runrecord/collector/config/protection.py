# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Whether ports that others can reach are protected, and whether extensions that are named are there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from runrecord.collector.config.extensions import Auth, BearerTokenAuth
from runrecord.collector.config.gateway import GatewayConfig
from runrecord.collector.config.receivers import GrpcServer, HttpServer
from runrecord.collector.config.tls import ClientTls, ServerTls
from runrecord.collector.errors import StartError
from runrecord.collector.tls import ServerCertificates, client_context
from runrecord.collector.values import is_loopback, parse_address
from runrecord.exporters.settings_problems import nearest


class Fault(NamedTuple):
    """What is wrong.

    Attributes:
        message: In words.
        path: The key.
        near: The nearest valid name; may be empty.
    """

    message: str
    path: tuple[str | int, ...]
    near: str = ""


def protection_faults(config: GatewayConfig) -> Iterator[Fault]:
    """Find what would leave a port open, or name what is not there.

    Args:
        config: A configuration whose sections are valid.
    """
    for index, name in enumerate(config.service.extensions):
        if name not in config.extensions:
            near = nearest(name, tuple(config.extensions))
            yield Fault(f"there is no {name!r} under extensions", ("service", "extensions", index), near)
    for name in config.extensions:
        if name not in config.service.extensions:
            yield Fault("is not in use: name it in service.extensions, or remove it", ("extensions", name))
    protocols = config.receivers.otlp.protocols
    for name, server in (("grpc", protocols.grpc), ("http", protocols.http)):
        if server is not None:
            yield from _of_port(config, ("receivers", "otlp", "protocols", name), server)
    for name, exporter in config.forwarders.items():
        yield from _of_auth(config, ("exporters", name), exporter.auth)
        if exporter.auth is not None and any(each.lower() == "authorization" for each in exporter.headers):
            yield Fault("authorization is what auth sends: remove one", ("exporters", name, "headers"))


def _of_auth(config: GatewayConfig, here: tuple[str, ...], auth: Auth | None) -> Iterator[Fault]:
    if auth is None:
        return
    wanted = auth.authenticator
    known = [name for name, each in config.extensions.items() if isinstance(each, BearerTokenAuth)]
    if wanted not in known:
        message = f"there is no {wanted!r} under extensions that has tokens; bearertokenauth does"
        yield Fault(message, (*here, "auth", "authenticator"), nearest(wanted, known))


def _of_port(
    config: GatewayConfig, here: tuple[str, ...], server: GrpcServer | HttpServer
) -> Iterator[Fault]:
    yield from _of_auth(config, here, server.auth)
    if not (server.insecure or server.is_protected or is_loopback(parse_address(server.endpoint).host)):
        yield Fault(
            "others can reach this address: configure tls, and auth or tls.client_ca_file; "
            "or say insecure: true if something else protects it",
            (*here, "endpoint"),
        )


def file_faults(config: GatewayConfig) -> Iterator[Fault]:
    """Find certificates that can't be used, as the gateway would when it starts.

    Args:
        config: A configuration whose sections are valid.
    """
    protocols = config.receivers.otlp.protocols
    for name, server in (("grpc", protocols.grpc), ("http", protocols.http)):
        if server is not None and server.tls is not None:
            yield from _of_files(server.tls, ("receivers", "otlp", "protocols", name, "tls"))
    for name, exporter in config.forwarders.items():
        if exporter.tls != ClientTls():
            yield from _of_files(exporter.tls, ("exporters", name, "tls"))


def _of_files(tls: ServerTls | ClientTls, here: tuple[str, ...]) -> Iterator[Fault]:
    try:
        if isinstance(tls, ServerTls):
            ServerCertificates(tls, "")
        else:
            client_context(tls, "")
    except StartError as error:
        key, _, why = str(error).removeprefix(".").partition(" ")
        yield (
            Fault(why, (*here, key))
            if key in type(tls).model_fields
            else Fault(str(error).removeprefix(": "), here)
        )
