# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Which URLs are questions to OPA: those below the data path of a configured address."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from runrecord.instrumentation._safety import note_once

URLS_VARIABLE: Final = "RUNRECORD_OPA_URLS"
_DATA: Final = "/v1/data/"
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Address:
    """Where an OPA server is: its origin, and the path that its API is below."""

    scheme: str
    host: str
    port: int
    path: str


@dataclass(frozen=True)
class Target:
    """What a URL asks for.

    Attributes:
        path: The parts of the path of the document, such as ``("refunds", "allow")``.
        input: The text of the parameter of that name.
    """

    path: tuple[str, ...]
    input: str | None


def configured() -> tuple[Address, ...]:
    """Read the addresses from ``RUNRECORD_OPA_URLS``, separated by commas; one that is no HTTP URL is logged and left out."""
    found: list[Address] = []
    for number, text in enumerate(os.environ.get(URLS_VARIABLE, "").split(","), 1):
        address = _address(text.strip())
        if address is not None:
            found.append(address)
        elif text.strip():
            note_once(
                f"{URLS_VARIABLE} {number}",
                "runrecord: entry %d of %s is not a URL such as http://localhost:8181; it is left out",
                number,
                URLS_VARIABLE,
            )
    return tuple(found)


def _address(url: str) -> Address | None:
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    if not parts.hostname:
        return None
    return Address(parts.scheme, parts.hostname, port, parts.path.rstrip("/"))


def target(url: str, addresses: Iterable[Address]) -> Target | None:
    """Return what ``url`` asks an OPA server for; None if it is something else, or at none of ``addresses``."""
    here = _address(url)
    if here is None:
        return None
    for known in addresses:
        base = known.path + _DATA
        if (known.scheme, known.host, known.port) == (
            here.scheme,
            here.host,
            here.port,
        ) and here.path.startswith(base):
            path = tuple(unquote(part) for part in here.path.removeprefix(base).split("/") if part)
            given = parse_qs(urlsplit(url).query).get("input")
            return Target(path, given[0] if given else None) if path else None
    return None
