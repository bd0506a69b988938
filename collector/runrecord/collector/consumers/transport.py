# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""OTLP out: one request to one back end, and what its answer means."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal, Protocol, cast

import grpc
import grpc.aio
import httpx2
from google.protobuf.message import DecodeError

from runrecord.collector.bearer_tokens import BearerTokens
from runrecord.collector.config import OtlpGrpcExporter, OtlpHttpExporter
from runrecord.collector.receiver.compression import gzip, zstd
from runrecord.collector.receiver.grpc import STATUS_DETAILS
from runrecord.collector.receiver.requests import SERVICES
from runrecord.collector.receiver.rpc_messages import RetryInfo, Status
from runrecord.collector.tls import channel_credentials, client_context
from runrecord.processors.signal import Signal

# OTLP 1.11, "Failures", sorts answers into retryable and not. Those that are not are told apart here: some say that this gateway
# is configured wrongly, and the next request would meet the same; the others say that this one request is not acceptable.
_RETRYABLE_HTTP: Final = {408, 429, 502, 503, 504}
_CREDENTIALS_HTTP: Final = {401, 402, 403, 407, 511}
_ENDPOINT_HTTP: Final = {404, 405, 406, 410, 421, 426, 501, 505}
_RETRYABLE_GRPC: Final = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}
_CREDENTIALS_GRPC: Final = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
_ENDPOINT_GRPC: Final = {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.NOT_FOUND}
_TOO_LARGE_HTTP: Final = 413
_MAX_ANSWER: Final = 4 << 20  # OTLP 1.11: a client need not read more
_INLINE_BYTES: Final = 64 << 10
_COMPRESS: Final = {"gzip": gzip, "zstd": zstd}


@dataclass(frozen=True)
class Delivered:
    """The back end took it.

    Attributes:
        rejected: Records that it rejected one by one.
    """

    rejected: int = 0


@dataclass(frozen=True)
class TryAgain:
    """The back end could not take it now.

    Attributes:
        reason: In words, without content.
        after: Seconds it asked for, if it did.
    """

    reason: str
    after: float | None = None


@dataclass(frozen=True)
class Misconfigured:
    """The back end takes nothing from this gateway until a configuration is changed, here or there.

    Attributes:
        reason: In words, without content.
        key: The key of the exporter that is most likely wrong.
    """

    reason: str
    key: Literal["endpoint", "headers"]


@dataclass(frozen=True)
class Unacceptable:
    """The back end will never take this request; it may well take the next one.

    Attributes:
        reason: In words, without content.
        too_large: It may take it in smaller pieces.
    """

    reason: str
    too_large: bool = False


Outcome = Delivered | TryAgain | Misconfigured | Unacceptable


class Transport(Protocol):
    """Sends one request."""

    async def send(self, signal: Signal, body: bytes) -> Outcome:
        """Send a serialised request once."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class HttpTransport:
    """OTLP/HTTP, binary."""

    def __init__(self, config: OtlpHttpExporter, tokens: BearerTokens | None = None) -> None:
        """Open a client.

        Args:
            config: The exporter.
            tokens: The first of them is sent.

        Raises:
            StartError: Certificates can't be used.
        """
        self._tokens = tokens
        self._urls = {signal: signal_url(config.endpoint, signal) for signal in Signal}
        self._headers = {"content-type": "application/x-protobuf", "user-agent": "runrecord-gateway"}
        self._headers |= {name.lower(): value.get_secret_value() for name, value in config.headers.items()}
        self._compress = _COMPRESS.get(config.compression)
        if self._compress:
            self._headers["content-encoding"] = config.compression
        connections = config.sending_queue.num_consumers
        limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        verify = client_context(config.tls, "tls") if config.endpoint.startswith("https:") else True
        self._client = httpx2.AsyncClient(
            timeout=config.timeout, limits=limits, follow_redirects=False, verify=verify
        )

    async def send(self, signal: Signal, body: bytes) -> Outcome:
        """Send a serialised request once."""
        if self._compress:
            small = len(body) < _INLINE_BYTES
            body = self._compress(body) if small else await asyncio.to_thread(self._compress, body)
        headers = self._headers
        if self._tokens is not None:
            headers = {**headers, "authorization": self._tokens.header()}
        try:
            async with self._client.stream(
                "POST", self._urls[signal], content=body, headers=headers
            ) as answer:
                return http_outcome(signal, answer.status_code, answer.headers, await _content(answer))
        except httpx2.HTTPError as error:
            return TryAgain(f"{type(error).__name__} at {self._urls[signal]}")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


async def _content(answer: httpx2.Response) -> bytes:
    """Read the body of an answer as far as it matters; none if it can't be decoded, for the status is what counts."""
    content = b""
    try:
        async for part in answer.aiter_bytes():
            content += part
            if len(content) > _MAX_ANSWER:
                break
    except httpx2.DecodingError:
        return b""
    return content


def signal_url(endpoint: str, signal: Signal) -> str:
    """Add the path of a signal to a base URL, or replace one that is there already."""
    for service in SERVICES.values():
        endpoint = endpoint.removesuffix(service.path)
    return endpoint + SERVICES[signal].path


def http_outcome(signal: Signal, status: int, headers: Mapping[str, str], content: bytes) -> Outcome:
    """Say what an HTTP answer means.

    Args:
        signal: What was sent.
        status: HTTP status.
        headers: Of the answer.
        content: Body of the answer.
    """
    if 200 <= status < 300:  # noqa: PLR2004
        return Delivered(_rejected(signal, content))
    reason = f"HTTP {status}"
    if status in _RETRYABLE_HTTP:
        return TryAgain(reason, retry_after(headers.get("retry-after")))
    if status in _CREDENTIALS_HTTP:
        return Misconfigured(reason, "headers")
    if status in _ENDPOINT_HTTP or status < 400:  # noqa: PLR2004 - a redirect is not followed: it may lead anywhere
        return Misconfigured(reason, "endpoint")
    return Unacceptable(reason, too_large=status == _TOO_LARGE_HTTP)


def retry_after(value: str | None) -> float | None:
    """Read Retry-After: seconds or a date (RFC 9110, section 10.2.3); None if there is none to read."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _rejected(signal: Signal, content: bytes) -> int:
    """Read how many records were rejected; an answer that can't be read means none were."""
    answer: Any = SERVICES[signal].response()
    try:
        answer.ParseFromString(content)
    except DecodeError:
        return 0
    return max(0, int(getattr(answer.partial_success, SERVICES[signal].rejected)))


class GrpcTransport:
    """OTLP/gRPC over raw bytes."""

    def __init__(self, config: OtlpGrpcExporter, tokens: BearerTokens | None = None) -> None:
        """Open a channel.

        Args:
            config: The exporter.
            tokens: The first of them is sent.

        Raises:
            StartError: Certificates can't be used.
        """
        self._tokens = tokens
        options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", _MAX_ANSWER),
            ("grpc.initial_reconnect_backoff_ms", 500),
            ("grpc.max_reconnect_backoff_ms", 10_000),
            ("grpc.primary_user_agent", "runrecord-gateway"),
            ("grpc.enable_retries", 0),
        ]
        compression = (
            grpc.Compression.Gzip if config.compression == "gzip" else grpc.Compression.NoCompression
        )
        if config.tls.insecure:
            channel: Any = grpc.aio.insecure_channel(
                config.endpoint, options=options, compression=compression
            )
        else:
            credentials = channel_credentials(config.tls, "tls")
            channel = grpc.aio.secure_channel(
                config.endpoint, credentials, options=options, compression=compression
            )
        self._channel = channel
        self._metadata = tuple(
            (name.lower(), value.get_secret_value()) for name, value in config.headers.items()
        )
        self._timeout = config.timeout
        self._endpoint = config.endpoint
        self._calls: dict[Signal, Any] = {
            s: channel.unary_unary(SERVICES[s].method, None, None) for s in Signal
        }

    async def send(self, signal: Signal, body: bytes) -> Outcome:
        """Send a serialised request once."""
        metadata = self._metadata
        if self._tokens is not None:
            metadata = (*metadata, ("authorization", self._tokens.header()))
        try:
            answer: bytes = await self._calls[signal](body, timeout=self._timeout, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            # iter: the keys() of its own that the class has make older releases of grpcio no mapping
            trailers = dict(iter(cast("Iterable[tuple[str, Any]]", error.trailing_metadata() or ())))
            return grpc_outcome(error.code(), trailers, self._endpoint)
        return Delivered(_rejected(signal, answer))

    async def close(self) -> None:
        """Close the connections."""
        await self._channel.close()


def grpc_outcome(code: grpc.StatusCode, trailers: Mapping[str, Any], endpoint: str) -> Outcome:
    """Say what a gRPC error means.

    Args:
        code: The status.
        trailers: Trailing metadata; may carry a RetryInfo.
        endpoint: For the message.
    """
    reason = code.name
    after = _retry_info(trailers.get(STATUS_DETAILS, b""))
    if code in _RETRYABLE_GRPC or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and after is not None):
        return TryAgain(f"{reason} from {endpoint}", after)
    if code in _CREDENTIALS_GRPC:
        return Misconfigured(reason, "headers")
    if code in _ENDPOINT_GRPC:
        return Misconfigured(reason, "endpoint")
    # What grpc's own limit of a message says; a quota that is used up says it too, but should say when to come again.
    return Unacceptable(reason, too_large=code is grpc.StatusCode.RESOURCE_EXHAUSTED)


def _retry_info(details: bytes) -> float | None:
    status = Status()
    try:
        status.ParseFromString(details)
        for detail in status.details:
            info = RetryInfo()
            if detail.Unpack(info):
                return float(info.retry_delay.ToNanoseconds()) / 1e9
    except (DecodeError, TypeError):
        pass
    return None
