# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""To whom the call that is being made goes, as the client span of its instrumentation says."""

from collections.abc import Mapping
from typing import Final, cast

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, get_current_span

from runrecord.instrumentation.propagation.hosts import HostList, Peer, peer_of, peer_of_url

_SENDING: Final = (SpanKind.CLIENT, SpanKind.PRODUCER)
_URLS: Final = ("url.full", "http.url")
_NAMES: Final = (("server.address", "server.port"), ("net.peer.name", "net.peer.port"))


def reaches_allowed(context: Context, hosts: HostList) -> bool:
    """Say whether what is sent from ``context`` goes to an allowed host, and surely nowhere else.

    The current span must be a client's or producer's that is recorded, since nothing is known of any other; everything
    it says of its peer must be allowed.
    """
    if not hosts:
        return False
    peers = peers_of(get_current_span(context))
    return bool(peers) and all(hosts.allows(peer) for peer in peers)


def peers_of(span: Span) -> list[Peer | None]:
    """Return everything a span says of its peer; None stands for what it says and nobody can read.

    ``network.peer.address`` is left out: it is what the name was resolved to, or a proxy. The OpenTelemetry API can't
    read attributes, so this looks at the SDK's.
    """
    if not span.is_recording() or getattr(span, "kind", None) not in _SENDING:
        return []
    known = cast("Mapping[str, object]", getattr(span, "attributes", None) or {})
    found: list[Peer | None] = [peer_of_url(str(known[name])) for name in _URLS if name in known]
    for name, port_name in _NAMES:
        if name in known:
            port = known.get(port_name)
            peer = peer_of(str(known[name]), port if isinstance(port, int) else None)
            found.append(peer)
    return _with_ports(found)


def _with_ports(found: list[Peer | None]) -> list[Peer | None]:
    """Give a name without a port the port of a URL with the same host."""
    ports = {peer.host: peer.port for peer in found if peer is not None and peer.port is not None}
    return [
        Peer(peer.host, ports.get(peer.host)) if peer is not None and peer.port is None else peer
        for peer in found
    ]
