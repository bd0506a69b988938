# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Which hosts are allow-listed: patterns, host names, addresses, and everything that tries to look like one.

Whatever can't be read in exactly one way matches nothing: only what is surely the named host is sent anything.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_AUTHORITY: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f-\xa0\\%]")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_MAX_PORT: Final = 65_535
_MAX_NAME: Final = 253


@dataclass(frozen=True)
class Peer:
    """To whom something is sent.

    Attributes:
        host: A name in lower case and ASCII, without the final dot, or an address.
        port: None where it is not known.
    """

    host: str | Address
    port: int | None = None


@dataclass(frozen=True)
class _Pattern:
    host: str | Network
    subdomains: bool
    port: int | None

    def matches(self, peer: Peer) -> bool:
        if self.port is not None and self.port != peer.port:
            return False
        if isinstance(peer.host, str):
            if not isinstance(self.host, str):
                return False
            return peer.host.endswith(f".{self.host}") if self.subdomains else peer.host == self.host
        return not isinstance(self.host, str) and peer.host in self.host


class HostList:
    """An allow-list.

    A pattern is a host name (``billing.internal``), all hosts below one (``*.internal.example``, at any depth, not
    ``internal.example`` itself), an address (``10.1.2.3``, ``[::1]``) or a network (``10.0.0.0/8``); a port may follow (``billing.internal:8443``).
    There is no pattern for every host. A network matches addresses only: no name is resolved.

    Attributes:
        patterns: Those that are in force, as they were written.
        problems: Those that are not, each with the reason.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self._patterns: list[_Pattern] = []
        accepted: list[str] = []
        problems: list[str] = []
        for text in (item.strip() for item in patterns):
            if not text:
                continue
            try:
                self._patterns.append(_parse(text))
                accepted.append(text)
            except ValueError as error:
                problems.append(f"{text!r} {error}")
        self.patterns: tuple[str, ...] = tuple(accepted)
        self.problems: tuple[str, ...] = tuple(problems)

    @classmethod
    def of(cls, text: str) -> "HostList":
        """Return the list that a comma-separated text names."""
        return cls(text.split(","))

    def __bool__(self) -> bool:
        """Whether any host is allowed."""
        return bool(self._patterns)

    def allows(self, peer: Peer | None) -> bool:
        """Say whether a peer is on the list; an unknown one is not."""
        return peer is not None and any(pattern.matches(peer) for pattern in self._patterns)


def peer_of(host: str, port: int | None = None) -> Peer | None:
    """Return the peer that a host name or an address is, or None if it is not clearly one."""
    known = _host(host)
    return None if known is None else Peer(known, port)


def peer_of_url(url: str) -> Peer | None:
    """Return the peer that a URL leads to; None for one that two parsers could read in two ways."""
    found = _AUTHORITY.match(url)
    if found is None or _UNSAFE.search(found[1].rpartition("@")[2]) or "\\" in found[1]:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return peer_of(parts.hostname or "", port or _DEFAULT_PORTS.get(parts.scheme))


def peer_of_text(text: str) -> Peer | None:
    """Return the peer that a URL, ``host``, ``host:port`` or ``[v6]:port`` names."""
    if "://" in text:
        return peer_of_url(text)
    try:
        host, port = _split_port(text)
    except ValueError:
        return None
    return peer_of(host, port)


def _split_port(text: str) -> tuple[str, int | None]:
    """Split a port off.

    Raises:
        ValueError: What follows the colon is no port.
    """
    bracketed = re.fullmatch(r"(\[[^\[\]]*\])(?::(.*))?", text)
    if bracketed is not None:
        host, port = bracketed[1], bracketed[2]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, None
    if port is None:
        return host, None
    if not (port.isascii() and port.isdigit()) or not 0 < int(port) <= _MAX_PORT:
        raise ValueError("has a port that is none")
    return host, int(port)


def _parse(text: str) -> _Pattern:
    """Read a pattern.

    Raises:
        ValueError: What is wrong with it, to be read after the pattern.
    """
    if "://" in text or "@" in text:
        raise ValueError("is a URL; write the host only")
    network, slash, length = text.partition("/")
    if slash:
        try:
            return _Pattern(ip_network(f"{network.strip('[]')}/{length}"), False, None)
        except ValueError:
            raise ValueError(
                "is no network; write it as 10.0.0.0/8, with no bit set behind the prefix"
            ) from None
    host, port = _split_port(text)
    below = host.startswith("*.")
    name = _host(host[2:] if below else host)
    if name is None or (below and not isinstance(name, str)):
        raise ValueError("is no host name, *.name, address or network; there is no pattern for every host")
    return _Pattern(name if isinstance(name, str) else ip_network(name), below, port)


def _host(text: str) -> str | Address | None:
    """Return the one form of a host, or None for what is none, or may be another one to another reader."""
    bracketed = text.startswith("[") and text.endswith("]")
    try:
        address = IPv6Address(text[1:-1]) if bracketed else ip_address(text)
    except ValueError:
        pass
    else:
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return mapped or address
    labels = [_label(part) for part in text.removesuffix(".").split(".")]
    # A name whose last label is a number is an address to some resolvers (127.1, 0x7f.1): WHATWG URL, section 3.5.
    if not all(labels) or re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1] or ""):
        return None
    name = ".".join(str(label) for label in labels)
    return name if len(name) <= _MAX_NAME else None


def _label(text: str) -> str | None:
    """Return a label in lower-case ASCII; None if IDNA 2003 and 2008 could disagree on what it is."""
    if not text.isascii():
        lower = text.lower()
        stable = unicodedata.normalize("NFKC", lower.casefold()) == lower
        if not stable or not all(c == "-" or unicodedata.category(c)[0] in "LMN" for c in lower):
            return None
        text = "xn--" + lower.encode("punycode").decode("ascii")
    lower = text.lower()
    return lower if _LABEL.fullmatch(lower) else None
