# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""How a refusal looks: `google.rpc.Status`, an HTTP status and a gRPC code, from one table.

Source: OTLP 1.11, "Failures" of OTLP/gRPC and OTLP/HTTP. 429, 502, 503 and 504 are retryable over HTTP; UNAVAILABLE is over
gRPC; RESOURCE_EXHAUSTED only with a RetryInfo, so a request that is too large carries none.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from runrecord.collector.receiver.rpc_messages import BadRequest, RetryInfo, Status

MAX_DEPTH: Final = 100
"""Messages in one another: the limit of protobuf's own parsers, which everyone downstream has."""


class Code(IntEnum):
    """The codes of google.rpc that the receiver uses."""

    INVALID_ARGUMENT = 3
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


_HTTP = {
    Code.INVALID_ARGUMENT: 400,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 413,
    Code.UNIMPLEMENTED: 404,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}


class Refusal(Exception):  # noqa: N818 - an answer to a client, not an error of ours
    """A request that is not accepted.

    Attributes:
        code: The code of google.rpc.
        message: What the client is told; never content of the request.
        retry_after: Seconds after which the client should try again; None if it should not.
        http_status: The HTTP status.
        headers: Further HTTP headers, for example Allow.
        field: Where in the request the fault is, if that is known.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        retry_after: float | None = None,
        http_status: int | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        field: str = "",
    ) -> None:
        """See the class."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.http_status = http_status or _HTTP[code]
        self.headers = headers
        self.field = field

    def status(self) -> Status:
        """Return it as `google.rpc.Status`, with a RetryInfo if it is retryable, and a BadRequest if the data is bad."""
        status = Status(code=self.code, message=self.message)
        if self.retry_after is not None:
            status.details.add().Pack(RetryInfo(retry_delay=_duration(self.retry_after)))
        if self.code is Code.INVALID_ARGUMENT:
            bad = BadRequest()
            bad.field_violations.add(field=self.field, description=self.message)
            status.details.add().Pack(bad)
        return status

    def status_json(self) -> dict[str, Any]:
        """Return the same in the JSON mapping of protobuf."""
        found: dict[str, Any] = {"code": int(self.code), "message": self.message}
        if self.retry_after is not None:
            delay = {
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": f"{self.retry_after:g}s",
            }
            found["details"] = [delay]
        if self.code is Code.INVALID_ARGUMENT:
            violation = {"field": self.field, "description": self.message}
            bad = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}
            found["details"] = [bad]
        return found

    @property
    def retry_after_header(self) -> str | None:
        """The value of Retry-After: whole seconds, at least one."""
        return None if self.retry_after is None else str(max(1, math.ceil(self.retry_after)))


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(int(seconds * 1e9))
    return duration


def unavailable(message: str, retry_after: float = 1.0) -> Refusal:
    """The receiver can't take it now; the client should send it again."""
    return Refusal(Code.UNAVAILABLE, message, retry_after=retry_after)


def too_large(limit: int) -> Refusal:
    """The request is over the limit, and will be next time too."""
    return Refusal(Code.RESOURCE_EXHAUSTED, f"the request is larger than {limit} bytes after decompression")


def too_deep() -> Refusal:
    """No parser of protobuf would read it."""
    return Refusal(Code.INVALID_ARGUMENT, f"the request is nested too deeply (limit {MAX_DEPTH})")
