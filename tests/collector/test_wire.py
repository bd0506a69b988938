# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Bodies and answers on the wire: bounded decompression, and what the answers of back ends mean."""

from __future__ import annotations

import contextlib
import gzip as stdlib_gzip
import zlib
from email.utils import formatdate
from time import time

import grpc
import pytest
import zstandard
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from runrecord.collector.consumers.transport import (
    Delivered,
    Misconfigured,
    TryAgain,
    Unacceptable,
    grpc_outcome,
    http_outcome,
    retry_after,
    signal_url,
)
from runrecord.collector.receiver.compression import BadCompressionError, TooLargeError, decompress, gzip
from runrecord.processors.signal import Signal


def zstd_stream(body):
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return compressor.compress(body) + compressor.flush()


COMPRESSORS = [
    ("gzip", stdlib_gzip.compress),
    ("gzip", gzip),
    ("deflate", zlib.compress),
    ("zstd", zstandard.compress),
    ("zstd", zstd_stream),
]


@given(st.sampled_from(COMPRESSORS), st.binary(max_size=2000), st.integers(0, 2000))
def test_decompression_gives_the_body_or_says_that_it_is_too_large(compressor, body, limit):
    encoding, compress = compressor
    if len(body) <= limit:
        assert decompress(encoding, compress(body), limit) == body
    else:
        with pytest.raises(TooLargeError):
            decompress(encoding, compress(body), limit)


@given(st.sampled_from(COMPRESSORS), st.binary(min_size=1, max_size=300), st.data())
def test_a_body_that_was_cut_is_never_taken_for_whole(compressor, body, data):
    encoding, compress = compressor
    whole = compress(body)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(BadCompressionError):
        decompress(encoding, whole[:cut], 10_000)


@given(st.sampled_from(["gzip", "zstd", "deflate"]), st.binary(max_size=300))
def test_any_bytes_are_decompressed_or_refused(encoding, data):
    with contextlib.suppress(BadCompressionError, TooLargeError):
        assert len(decompress(encoding, data, 1000)) <= 1000


def test_a_zstd_window_that_wants_gigabytes_is_refused():
    parameters = zstandard.ZstdCompressionParameters(window_log=27, compression_level=1)
    body = zstandard.ZstdCompressor(
        compression_params=parameters,
    ).compressobj()
    with pytest.raises(BadCompressionError):
        decompress("zstd", body.compress(b"x" * 1000) + body.flush(), 10_000)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Delivered), (202, Delivered), (429, TryAgain), (502, TryAgain), (503, TryAgain), (504, TryAgain),
        (408, TryAgain), (301, Misconfigured), (307, Misconfigured), (401, Misconfigured), (403, Misconfigured),
        (404, Misconfigured), (405, Misconfigured), (407, Misconfigured), (501, Misconfigured),
        (400, Unacceptable), (413, Unacceptable), (415, Unacceptable), (422, Unacceptable), (500, Unacceptable),
    ],
)  # fmt: skip
def test_an_http_status_is_about_now_about_us_or_about_this_request(status, expected):
    assert isinstance(http_outcome(Signal.TRACES, status, {}, b""), expected)


def test_a_partial_success_counts_what_was_rejected():
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 3
    assert http_outcome(Signal.TRACES, 200, {}, answer.SerializeToString()) == Delivered(3)
    assert http_outcome(Signal.TRACES, 200, {}, b"\xff{}") == Delivered(0)
    answer.partial_success.rejected_spans = -3
    assert http_outcome(Signal.TRACES, 200, {}, answer.SerializeToString()) == Delivered(0)


def test_retry_after_is_seconds_or_a_date():
    assert retry_after("7") == 7.0
    assert 50 < retry_after(formatdate(time() + 60, usegmt=True)) <= 61
    assert retry_after(formatdate(time() - 60, usegmt=True)) == 0.0
    assert [retry_after(text) for text in (None, "", "soon", "-1")] == [None] * 4
    assert http_outcome(Signal.LOGS, 503, {"retry-after": "7"}, b"") == TryAgain("HTTP 503", 7.0)


def trailers(seconds):
    status = Status(code=8)
    status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=seconds)))
    return {"grpc-status-details-bin": status.SerializeToString()}


def test_a_grpc_code_is_about_now_about_us_or_about_this_request():
    codes = grpc.StatusCode
    retryable = {
        codes.CANCELLED,
        codes.DEADLINE_EXCEEDED,
        codes.ABORTED,
        codes.OUT_OF_RANGE,
        codes.UNAVAILABLE,
        codes.DATA_LOSS,
    }
    ours = {codes.UNAUTHENTICATED, codes.PERMISSION_DENIED, codes.UNIMPLEMENTED, codes.NOT_FOUND}
    for code in set(codes) - {codes.OK}:
        expected = TryAgain if code in retryable else Misconfigured if code in ours else Unacceptable
        assert isinstance(grpc_outcome(code, {}, "x:1"), expected)
    assert grpc_outcome(codes.RESOURCE_EXHAUSTED, trailers(9), "x:1") == TryAgain(
        "RESOURCE_EXHAUSTED from x:1", 9.0
    )
    assert grpc_outcome(codes.UNAVAILABLE, {"grpc-status-details-bin": b"\xff"}, "x:1") == TryAgain(
        "UNAVAILABLE from x:1"
    )


@pytest.mark.parametrize("endpoint", ["http://x:4318", "http://x:4318/v1/traces", "http://x:4318/v1/logs"])
def test_a_url_may_be_a_base_or_one_of_the_signals(endpoint):
    assert signal_url(endpoint, Signal.TRACES) == "http://x:4318/v1/traces"
    assert signal_url("https://x/base", Signal.METRICS) == "https://x/base/v1/metrics"
