# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Clients that speak the wire and hide nothing of it: HTTP/1.1 over a socket, and gRPC with raw bytes."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import Compression, RpcError, StatusCode, insecure_channel

from tests.otlp_conformance.model import Failed, NotApplicable, check, fail
from tests.otlp_conformance.payloads import METHODS, RESPONSES

TIMEOUT = 60.0
TYPES = {"protobuf": "application/x-protobuf", "json": "application/json"}
PATHS = {signal: f"/v1/{signal}" for signal in METHODS}
NON_RETRYABLE = {
    StatusCode.UNKNOWN,
    StatusCode.INVALID_ARGUMENT,
    StatusCode.NOT_FOUND,
    StatusCode.ALREADY_EXISTS,
    StatusCode.PERMISSION_DENIED,
    StatusCode.UNAUTHENTICATED,
    StatusCode.FAILED_PRECONDITION,
    StatusCode.UNIMPLEMENTED,
    StatusCode.INTERNAL,
}
RETRYABLE = {
    StatusCode.CANCELLED,
    StatusCode.DEADLINE_EXCEEDED,
    StatusCode.ABORTED,
    StatusCode.OUT_OF_RANGE,
    StatusCode.UNAVAILABLE,
    StatusCode.DATA_LOSS,
}


@dataclass
class Answer:
    """An HTTP response.

    Attributes:
        status: The status code.
        headers: By name in lower case.
        body: Decompressed if it says that it is compressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """Without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def message(self, kind: Any) -> Any:
        """Parse the body as a message of protobuf, in the encoding that it says to have."""
        found = kind()
        if self.content_type == TYPES["json"]:
            try:
                value = json.loads(self.body)
            except ValueError:
                fail("the body is not valid JSON")
            check(isinstance(value, dict), "the body is not a JSON object")
            return value
        check(self.content_type == TYPES["protobuf"], f"the Content-Type is {self.content_type or 'missing'}")
        try:
            found.ParseFromString(self.body)
        except DecodeError:
            fail(f"the body is not a {kind.DESCRIPTOR.name} in protobuf")
        return found

    def status_message(self) -> tuple[str, list[str]]:
        """Parse the body as google.rpc.Status, and return its message and the types of its details."""
        check(self.body, f"the answer {self.status} has no body")
        found = self.message(Status)
        if isinstance(found, dict):
            known = {"code", "message", "details"}
            check(set(found) <= known, f"the answer {self.status} is no google.rpc.Status in JSON")
            message, details = found.get("message", ""), found.get("details", [])
            return str(message), [str(each.get("@type", "")).rpartition("/")[2] for each in details]
        check(
            not found.DESCRIPTOR.fields or found.ByteSize() == len(self.body), "the body has unknown fields"
        )
        return found.message, [each.TypeName() for each in found.details]


@dataclass
class Target:
    """A receiver.

    Attributes:
        http: Base URL of OTLP over HTTP; empty if that is not to be tested.
        grpc: HOST:PORT of OTLP over gRPC; the same.
        limit: Most bytes of a request that it takes.
        overloaded_http: Base URL of the same receiver in a state in which it takes nothing now; may be empty.
        overloaded_grpc: The same for gRPC.
        headers: Sent with every request, for example a token.
    """

    http: str = ""
    grpc: str = ""
    limit: int = 64 << 20
    overloaded_http: str = ""
    overloaded_grpc: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def connect(self, url: str = "") -> HTTPConnection:
        """Open a connection."""
        parts = urlsplit(url or self.http)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        return kind(parts.hostname or "", parts.port, timeout=TIMEOUT)

    def send(
        self,
        path: str,
        body: Any,
        content_type: str = TYPES["protobuf"],
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        connection: HTTPConnection | None = None,
        url: str = "",
    ) -> Answer:
        """Send a request and read its answer, on a connection of its own unless one is given."""
        own = connection or self.connect(url)
        sent = {**self.headers, **({"Content-Type": content_type} if content_type else {}), **(headers or {})}
        try:
            with contextlib.suppress(
                BrokenPipeError, ConnectionResetError
            ):  # answered before the end of the body
                own.request(method, path, body, sent, encode_chunked="Transfer-Encoding" in sent)
            response = own.getresponse()
            content = response.read()
        except HTTPException as error:
            raise EOFError from error
        finally:
            if connection is None:
                own.close()
        found = {name.lower(): value for name, value in response.getheaders()}
        if found.get("content-encoding") == "gzip":
            content = gzip.decompress(content)
        return Answer(response.status, found, content)

    def export(
        self,
        signal: str,
        body: bytes,
        compression: Compression = Compression.NoCompression,
        address: str = "",
    ) -> Any:
        """Call Export and return the response message."""
        with self.channel(address) as channel:
            return self.call(channel, signal, body, compression)

    def channel(self, address: str = "") -> Any:
        """Open a channel that sends and takes messages of any size."""
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", 64 << 20)]
        return insecure_channel(address or self.grpc, options=options)

    def call(
        self,
        channel: Any,
        signal: str,
        body: bytes,
        compression: Compression = Compression.NoCompression,
    ) -> Any:
        """Call Export on a channel."""
        export = channel.unary_unary(METHODS[signal])
        metadata = [(name.lower(), value) for name, value in self.headers.items()]
        answer = export(
            body, timeout=TIMEOUT, compression=compression, metadata=metadata, wait_for_ready=True
        )
        found = RESPONSES[signal]()
        try:
            found.ParseFromString(answer)
        except DecodeError:
            fail(f"the answer is not a {found.DESCRIPTOR.name}")
        return found

    def refused(
        self,
        signal: str,
        body: bytes,
        compression: Compression = Compression.NoCompression,
        address: str = "",
    ) -> RpcError:
        """Call Export, and return the error that it must end with."""
        try:
            self.export(signal, body, compression, address)
        except RpcError as error:
            return error
        raise Failed("the request was accepted")

    def accepted(self, signal: str, body: bytes, compression: Compression = Compression.NoCompression) -> Any:
        """Call Export, and return the response that it must end with."""
        try:
            return self.export(signal, body, compression)
        except RpcError as error:
            fail(f"refused with {error.code().name}")

    def overloaded(self, transport: str) -> str:
        """Return the address of the receiver that takes nothing now."""
        address = self.overloaded_grpc if transport == "grpc" else self.overloaded_http
        if not address:
            raise NotApplicable("no overloaded receiver was given")
        return address


def details(error: Any) -> list[str]:
    """Return the types of the details of a gRPC error."""
    raw = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    return [each.TypeName() for each in Status.FromString(raw).details]


RETRY_INFO = RetryInfo.DESCRIPTOR.full_name
BAD_REQUEST = BadRequest.DESCRIPTOR.full_name
