# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The values a configuration is made of: addresses, URLs, durations, paths and headers."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_core import PydanticKnownError

from runrecord.ledger.note import is_valid_name

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MAX_PORT = 65535
_NO_URL = "must be a URL that begins with http:// or https://, for example http://localhost:4318"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")


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


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach a host by this name; a name other than localhost may be anything."""
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _address(text: str) -> str:
    parse_address(text)
    return text


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port  # a port that is none raises
    except ValueError:
        raise ValueError(_NO_URL) from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError(_NO_URL)
    if parts.username or parts.password:
        raise ValueError("must not hold a password; put it into headers, as ${env:NAME}")
    if parts.query or parts.fragment:
        raise ValueError("must end with a path; put a token into headers, as ${env:NAME}")
    return text.rstrip("/")


def parse_duration(value: object) -> float:
    """Read ``300ms``, ``5s``, ``1m30s``, ``12h`` or ``7d``, or a number of seconds.

    Args:
        value: From the file.

    Returns:
        Seconds.

    Raises:
        ValueError: It is no duration.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    text = value.strip() if isinstance(value, str) else ""
    if not text or _DURATION.sub("", text):
        raise ValueError("must be a duration, for example 300ms, 5s, 1m30s or 7d")
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))


def _number(value: object) -> object:
    if isinstance(value, bool):  # pydantic would take true for 1
        raise PydanticKnownError("float_type")
    return value


def _path(value: object) -> object:
    if value == "":
        raise ValueError("must not be empty")
    return value


def _origin(name: str) -> str:
    if not is_valid_name(name):
        raise ValueError("must be a name without white space and plus signs, for example example.com/agents")
    return name


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("is not a valid name of a header")
    return name


def _header_value(value: SecretStr) -> SecretStr:
    if not _HEADER_VALUE.fullmatch(value.get_secret_value()):
        raise ValueError("must be one line of printable ASCII; is there a line break at its end?")
    return value


FilePath = Annotated[Path, BeforeValidator(_path)]
"""The name of a file or a directory."""
HeaderName = Annotated[str, AfterValidator(_header_name)]
"""The name of a header (RFC 9110, section 5.1)."""
HeaderValue = Annotated[SecretStr, AfterValidator(_header_value)]
"""What a header says; hidden in every repr and dump."""
Number = Annotated[float, BeforeValidator(_number)]
"""A number, and not ``true``."""
Origin = Annotated[str, AfterValidator(_origin)]
"""The name of a ledger in its checkpoints."""
Address = Annotated[str, AfterValidator(_address)]
"""``HOST:PORT``."""
Url = Annotated[str, AfterValidator(_url)]
"""An HTTP or HTTPS URL without a slash at its end."""
Seconds = Annotated[float, BeforeValidator(parse_duration)]
"""A duration, in seconds."""
