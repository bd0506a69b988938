# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Time stamps of an outside authority (RFC 3161): that a checkpoint was there at a time, by another clock than ours.

The extra ``tsa`` brings what makes and checks them.
"""

from __future__ import annotations

import http.client
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from runrecord.ledger.errors import LedgerError, SignatureError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.x509 import Certificate

_LIMIT: Final = 1 << 20
_TYPE: Final = "application/timestamp-reply"


@dataclass(frozen=True)
class Stamped:
    """What an authority says.

    Attributes:
        time: When it saw the message.
        authority: The subject of its certificate (RFC 4514), or empty if the token does not name it.
    """

    time: datetime
    authority: str


def request_timestamp(url: str, message: bytes, *, timeout: float = 15.0) -> bytes:
    """Have an authority stamp a message; it sees the SHA-256 digest only.

    Args:
        url: Of the authority.
        message: What is stamped.
        timeout: Seconds to wait.

    Returns:
        The reply, DER; it holds the authority's certificate.

    Raises:
        LedgerError: The authority can't be reached, or does not stamp.
    """
    client = _client()
    if urlsplit(url).scheme not in {"http", "https"}:
        raise LedgerError(
            "the URL of the time stamping authority is not of HTTP", "write http://... or https://..."
        )
    request = (
        client.TimestampRequestBuilder().data(message).hash_algorithm(client.HashAlgorithm.SHA256).build()
    )
    posted = urllib.request.Request(  # noqa: S310 - the scheme is checked
        url, data=request.as_bytes(), headers={"Content-Type": "application/timestamp-query"}
    )
    try:
        with urllib.request.urlopen(posted, timeout=timeout) as response:  # noqa: S310
            kind, reply = response.headers.get_content_type(), response.read(_LIMIT + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        raise LedgerError(
            f"the time stamping authority can't be reached: {reason}", "check its URL, or go without"
        ) from error
    if kind != _TYPE or len(reply) > _LIMIT:
        raise LedgerError("what answered is no time stamping authority", "check its URL")
    parsed = _parse(client, reply)
    if parsed.status != client.PKIStatus.GRANTED or parsed.tst_info.nonce != request.nonce:
        raise LedgerError("the authority did not stamp what was asked for", "try again, or ask another one")
    return bytes(reply)


def verify_timestamp(reply: bytes, message: bytes, roots: Iterable[Certificate]) -> Stamped:
    """Check that an authority under a pinned root stamped a message.

    Args:
        reply: What `request_timestamp` returned.
        message: What was stamped.
        roots: The authorities of certificates that are trusted for this.

    Raises:
        SignatureError: It was not.
        LedgerError: It can't be checked here.
    """
    client = _client()
    parsed = _parse(client, reply)
    builder = client.VerifierBuilder()
    for root in roots:
        builder = builder.add_root_certificate(root)
    try:
        builder.build().verify_message(parsed, message)
        info = parsed.tst_info
        return Stamped(info.gen_time, _name(info.name))
    except (client.VerificationError, ValueError) as error:
        raise SignatureError(
            f"the time stamp is not one of a trusted authority over this: {error}"
        ) from error


def stamped_at(reply: bytes) -> str:
    """Say who claims to have stamped when, **without** checking it; empty if that can't be read."""
    try:
        info = _parse(_client(), reply).tst_info
        return f"{info.gen_time:%Y-%m-%d %H:%M:%S UTC}, says {_name(info.name) or 'an authority'}"
    except (LedgerError, AttributeError, ValueError):
        return ""


def load_roots(pem: bytes) -> list[Certificate]:
    """Read the certificates of a PEM file.

    Raises:
        LedgerError: It holds none.
    """
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415 - slow, and rarely needed

    try:
        return load_pem_x509_certificates(pem)
    except ValueError as error:
        raise LedgerError(
            "the file holds no certificates", "name a PEM file of the authority's root"
        ) from error


def _parse(client: Any, reply: bytes) -> Any:
    try:
        return client.decode_timestamp_response(reply)
    except ValueError as error:
        raise SignatureError("the time stamp is not of RFC 3161") from error


def _name(name: Any) -> str:
    try:
        return "" if name is None else str(name.value.rfc4514_string())
    except (AttributeError, ValueError):
        return ""


def _client() -> Any:
    try:
        import rfc3161_client  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise LedgerError(
            "time stamps need rfc3161-client, which is not installed", 'pip install "runrecord[tsa]"'
        ) from error
    return rfc3161_client
