# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The rules of OTLP/gRPC."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc

from tests.otlp_conformance.model import NotApplicable, case, check
from tests.otlp_conformance.payloads import (
    BAD,
    BY_SIGNAL,
    REJECTED,
    UNKNOWN_FIELD,
    add_span,
    empty,
    envelope,
    half_valid,
    message,
    of_size,
    valid,
)
from tests.otlp_conformance.wire import NON_RETRYABLE, RETRY_INFO, RETRYABLE, Target, details

GZIP = grpc.Compression.Gzip
_4_MIB = 4 << 20


@case("grpc.compression.none", "Protocol Details", "MUST", BY_SIGNAL)
def _none(target: Target, signal: str) -> None:
    """A request without compression is taken."""
    target.accepted(signal, valid(signal))


@case("grpc.compression.gzip", "Protocol Details", "MUST", BY_SIGNAL)
def _gzip(target: Target, signal: str) -> None:
    """A request compressed with gzip is taken."""
    target.accepted(signal, valid(signal), GZIP)


@case("grpc.full-success", "Full Success", "MUST", BY_SIGNAL)
def _full_success(target: Target, signal: str) -> None:
    """Success is an Export response whose partial_success is not set."""
    answer = target.accepted(signal, valid(signal))
    check(not answer.HasField("partial_success"), "partial_success is set")


@case("grpc.empty-request", "Full Success", "SHOULD", BY_SIGNAL)
def _empty(target: Target, signal: str) -> None:
    """A request without telemetry succeeds."""
    target.accepted(signal, empty())


@case("grpc.empty-envelope", "Empty Telemetry Envelopes", "SHOULD", BY_SIGNAL)
def _envelope(target: Target, signal: str) -> None:
    """A request with a resource and without telemetry succeeds."""
    target.accepted(signal, envelope(signal))


@case("grpc.unknown-field", "Future Versions and Interoperability", "MUST", BY_SIGNAL)
def _unknown_field(target: Target, signal: str) -> None:
    """A field that is not known does not keep a request from being taken."""
    target.accepted(signal, valid(signal) + UNKNOWN_FIELD)


@case("grpc.bad-data.code", "Failures", "MUST", BY_SIGNAL)
def _bad(target: Target, signal: str) -> None:
    """What can't be decoded is refused with a code that is not retryable."""
    error = target.refused(signal, BAD["protobuf"])
    check(error.code() in NON_RETRYABLE, f"refused with {error.code().name}")


@case("grpc.bad-data.invalid-argument", "Failures", "SHOULD", BY_SIGNAL)
def _invalid_argument(target: Target, signal: str) -> None:
    """What can't be decoded is refused with INVALID_ARGUMENT."""
    error = target.refused(signal, BAD["protobuf"])
    check(error.code() is grpc.StatusCode.INVALID_ARGUMENT, f"refused with {error.code().name}")


@case("grpc.bad-data.not-retryable", "Failures", "MUST", BY_SIGNAL)
def _bad_without_retry(target: Target, signal: str) -> None:
    """What can't be decoded is not refused with an invitation to send it again."""
    error = target.refused(signal, BAD["protobuf"])
    check(RETRY_INFO not in details(error), "the status has a RetryInfo")


@case("grpc.bad-data.connection", "OTLP/gRPC Request", "MUST")
def _bad_then_good(target: Target) -> None:
    """After a request that can't be decoded the channel takes the next one."""
    with target.channel() as channel:
        try:
            target.call(channel, "traces", BAD["protobuf"])
        except grpc.RpcError:
            target.call(channel, "traces", valid("traces"))
        else:
            check(False, "the request was accepted")


SIZES = [{"compression": "none"}, {"compression": "gzip"}]


def _compression(name: str) -> grpc.Compression:
    return GZIP if name == "gzip" else grpc.Compression.NoCompression


@case("grpc.size.below", "OTLP/gRPC Request", "SHOULD", SIZES)
def _below(target: Target, compression: str) -> None:
    """A request just below the limit that is configured is taken."""
    target.accepted("traces", of_size(target.limit - 1024), _compression(compression))


@case("grpc.size.above", "OTLP/gRPC Request", "MUST", SIZES)
def _above(target: Target, compression: str) -> None:
    """A request above the limit, also when it is so only after decompression, is refused with RESOURCE_EXHAUSTED."""
    error = target.refused("traces", of_size(target.limit + 4096), _compression(compression))
    check(error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, f"refused with {error.code().name}")


@case("grpc.size.not-retryable", "OTLP/gRPC Request", "MUST", SIZES)
def _above_without_retry(target: Target, compression: str) -> None:
    """A request above the limit is not refused with an invitation to send it again."""
    error = target.refused("traces", of_size(target.limit + 4096), _compression(compression))
    check(RETRY_INFO not in details(error), "the status has a RetryInfo")


@case("grpc.concurrent.calls", "OTLP/gRPC Concurrent Requests", "SHOULD", BY_SIGNAL)
def _concurrent(target: Target, signal: str) -> None:
    """Thirty-two calls at once on a channel all succeed."""
    with target.channel() as channel, ThreadPoolExecutor(32) as pool:
        calls = [pool.submit(target.call, channel, signal, valid(signal)) for _ in range(32)]
        failed = [call.exception() for call in calls if call.exception()]
    check(not failed, f"{len(failed)} of 32 calls failed")


@case("grpc.duplicate", "Duplicate Data", "SHOULD", BY_SIGNAL)
def _duplicate(target: Target, signal: str) -> None:
    """A request that a client sends again is taken again."""
    target.accepted(signal, valid(signal))
    target.accepted(signal, valid(signal))


@case("grpc.partial-success.count", "Partial Success", "MUST")
def _partial(target: Target) -> None:
    """Where a part is rejected the call succeeds, and partial_success counts what was rejected."""
    answer = target.accepted("traces", half_valid()[0])
    if not answer.partial_success.ByteSize():
        raise NotApplicable("it takes spans without a trace id")
    check(getattr(answer.partial_success, REJECTED["traces"]) == 1, "one of two spans is invalid")


@case("grpc.partial-success.message", "Partial Success", "SHOULD")
def _partial_message(target: Target) -> None:
    """A partial success says why."""
    answer = target.accepted("traces", half_valid()[0])
    if not answer.partial_success.ByteSize():
        raise NotApplicable("it takes spans without a trace id")
    check(answer.partial_success.error_message, "error_message is empty")


@case("grpc.response.size", "OTLP/gRPC Response", "MUST")
def _response_size(target: Target) -> None:
    """An answer about many invalid spans is not larger than 4 MiB."""
    request = message("traces")
    for _ in range(min(20_000, target.limit // 128)):
        add_span(request, is_valid=False)
    answer = target.accepted("traces", request.SerializeToString())
    check(answer.ByteSize() <= _4_MIB, "it is larger")


@case("grpc.throttling.code", "OTLP/gRPC Throttling", "SHOULD", BY_SIGNAL)
def _throttled(target: Target, signal: str) -> None:
    """A receiver that can't take more refuses with UNAVAILABLE."""
    error = target.refused(signal, valid(signal), address=target.overloaded("grpc"))
    check(error.code() is grpc.StatusCode.UNAVAILABLE, f"refused with {error.code().name}")


@case("grpc.throttling.retryable", "Failures", "SHOULD", BY_SIGNAL)
def _retryable(target: Target, signal: str) -> None:
    """A receiver that can't take more refuses with a code that clients repeat."""
    error = target.refused(signal, valid(signal), address=target.overloaded("grpc"))
    is_retryable = error.code() in RETRYABLE or RETRY_INFO in details(error)
    check(is_retryable, f"refused with {error.code().name}")
