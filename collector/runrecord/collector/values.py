# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The values a configuration is made of: addresses, URLs and durations."""

from __future__ import annotations

import re
from typing import Annotated, Any, NamedTuple, TypeGuard
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MAX_PORT = 65535


class HostPort(NamedTuple):
    """Where a server listens.

    Attributes:
        host: A name or an address, without brackets.
        port: 0 lets the system choose.
    """

    host: str
    port: int

    def __str__(self) -> str:
        """Write it the way it is configured."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> HostPort:
    """Read ``HOST:PORT``.

    Args:
        text: For example ``127.0.0.1:4317`` or ``[::1]:4317``.

    Returns:
        Host and port.

    Raises:
        ValueError: It is not of that form.
    """
    host, colon, port = text.rpartition(":")
    if (
        not colon
        or not host
        or not port.isdecimal()
        or int(port) > _MAX_PORT
        or (":" in host and host[0] != "[")
    ):
        raise ValueError("must be HOST:PORT, for example 127.0.0.1:4317")
    return HostPort(host.strip("[]"), int(port))


def _address(text: str) -> str:
    parse_address(text)
    return text


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be a URL that begins with http:// or https://")
    if parts.username or parts.password:
        raise ValueError("must not hold a password; put it into headers, as ${env:NAME}")
    return text.rstrip("/")


def parse_duration(value: object) -> object:
    """Read ``300ms``, ``5s``, ``1m30s``, ``12h`` or ``7d``, or a number of seconds.

    Args:
        value: From the file.

    Returns:
        Seconds, or the value itself if it is no text.

    Raises:
        ValueError: The text is no duration.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if not text or _DURATION.sub("", text):
        raise ValueError("must be a duration, for example 300ms, 5s, 1m30s or 7d")
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))


def is_mapping(value: Any) -> TypeGuard[dict[Any, Any]]:
    """Say whether a value of unknown origin is a mapping."""
    return isinstance(value, dict)


def is_sequence(value: Any) -> TypeGuard[list[Any]]:
    """Say whether a value of unknown origin is a list."""
    return isinstance(value, list)


Address = Annotated[str, AfterValidator(_address)]
"""``HOST:PORT``."""
Url = Annotated[str, AfterValidator(_url)]
"""An HTTP or HTTPS URL without a slash at its end."""
Seconds = Annotated[float, BeforeValidator(parse_duration)]
"""A duration, in seconds."""
