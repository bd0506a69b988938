# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The rules of OTLP/JSON, and the limit of a body."""

from __future__ import annotations

import gzip
import json
from typing import Any

from tests.otlp_conformance.http_cases import GZIP, post, succeeds
from tests.otlp_conformance.model import case, check
from tests.otlp_conformance.payloads import (
    BY_ENCODING,
    BY_SIGNAL,
    logs_json,
    metrics_json,
    of_size,
    span,
    traces_json,
)
from tests.otlp_conformance.wire import Answer, Target

SECTION = "JSON Protobuf Encoding"


def takes(target: Target, value: Any, signal: str = "traces") -> None:
    succeeds(post(target, signal, "json", value if isinstance(value, bytes) else json.dumps(value)))


def attribute(value: Any) -> dict[str, Any]:
    """Return a request with a span that has one attribute."""
    return traces_json(span(attributes=[{"key": "a", "value": value}]))


TAKEN: dict[str, tuple[str, Any]] = {
    "ids.lower": (
        "Ids in hex with small letters are taken.",
        traces_json(span(traceId="5b" * 16, spanId="ab" * 8)),
    ),
    "ids.upper": (
        "Ids in hex with capitals are taken.",
        traces_json(span(traceId="5B" * 16, spanId="AB" * 8)),
    ),
    "ids.parent": ("The id of a parent is hex.", traces_json(span(parentSpanId="00f067aa0ba902b7"))),
    "ids.link": (
        "The ids of a link are hex.",
        traces_json(span(links=[{"traceId": "5b" * 16, "spanId": "AB" * 8}])),
    ),
    "enum.integer": ("An enum is an integer.", traces_json(span(kind=3, status={"code": 2}))),
    "enum.unknown": ("An integer that the enum does not have is taken.", traces_json(span(kind=99))),
    "unknown.top": (
        "A field of the request with an unknown name is ignored.",
        {**traces_json(), "new": {"a": [1]}},
    ),
    "unknown.span": (
        "A field of a span with an unknown name is ignored.",
        traces_json(span(new=[{"a": None}])),
    ),
    "unknown.value": ("A type of value with an unknown name is ignored.", attribute({"newValue": {"a": 1}})),
    "unknown.original-name": (
        "The original name of a field, which is no key in JSON, is ignored like any other.",
        traces_json(span(trace_state=7, dropped_attributes_count="many")),
    ),
    "integer.text": ("A 64-bit integer may be text.", attribute({"intValue": "9007199254740993"})),
    "integer.number": ("A 64-bit integer may be a number.", attribute({"intValue": 42})),
    "integer.time-number": (
        "A time may be a number.",
        traces_json(span(startTimeUnixNano=1700000000000000000)),
    ),
    "integer.limits": ("The least 64-bit integer is taken.", attribute({"intValue": "-9223372036854775808"})),
    "double.number": ("A double is a number.", attribute({"doubleValue": 1.5e300})),
    "double.names": ("A double may be the text NaN.", attribute({"doubleValue": "NaN"})),
    "double.infinity": ("A double may be the text -Infinity.", attribute({"doubleValue": "-Infinity"})),
    "bytes.base64": ("Bytes are base64.", attribute({"bytesValue": "aGVsbG8="})),
    "bool": ("A truth value is taken.", attribute({"boolValue": True})),
    "null": ("null is the same as absent.", traces_json(span(traceState=None, attributes=None))),
    "array": ("An array of values is taken.", attribute({"arrayValue": {"values": [{"intValue": 1}, {}]}})),
    "map": (
        "A list of keys and values inside another is taken.",
        attribute({"kvlistValue": {"values": [{"key": "b", "value": {"kvlistValue": {"values": []}}}]}}),
    ),
    "unicode": ("Text beyond the basic plane is taken.", traces_json(span(name="\U0001f600 \u4e2d"))),
    "escapes": ("Text with escapes is taken.", json.dumps(traces_json(span(name="\U0001f600\n"))).encode()),
}


def _take(name: str, rule: str, value: Any) -> None:
    def run(target: Target) -> None:
        takes(target, value)

    run.__doc__ = rule
    case(f"http.json.{name}", SECTION, "MUST")(run)


for _name, (_rule, _value) in TAKEN.items():
    _take(_name, _rule, _value)


@case("http.json.every-kind", SECTION, "MUST", BY_SIGNAL)
def _kinds(target: Target, signal: str) -> None:
    """A request with every kind of record of its signal is taken."""
    event = {"timeUnixNano": "1", "name": "e", "attributes": []}
    whole = span(events=[event], traceState="a=b", flags=257, droppedLinksCount=1, status={"message": "m"})
    record = {"severityText": "INFO", "eventName": "e", "flags": 1, "traceId": "5b" * 16, "spanId": "ab" * 8}
    logs = logs_json()
    logs["resourceLogs"][0]["scopeLogs"][0]["logRecords"].append(record)
    takes(target, {"traces": traces_json(whole), "logs": logs, "metrics": metrics_json()}[signal], signal)


REFUSED: dict[str, Any] = {
    "not-json": b"not json",
    "array": b"[]",
    "wrong-type": traces_json(span(name={"a": 1})),
    "not-an-array": {"resourceSpans": {"a": 1}},
    "not-an-object": {"resourceSpans": [7]},
    "id-not-hex": traces_json(span(traceId="zz" * 16)),
    "integer-text": attribute({"intValue": "many"}),
    "integer-range": attribute({"intValue": "9223372036854775808"}),
    "not-utf-8": b'{"resourceSpans": [{"schemaUrl": "\xff\xfe"}]}',
}


@case("http.json.bad", "Bad Data", "MUST", [{"fault": fault} for fault in REFUSED])
def _bad(target: Target, fault: str) -> None:
    """JSON that is no request is refused with 400."""
    value = REFUSED[fault]
    answer = post(target, "traces", "json", value if isinstance(value, bytes) else json.dumps(value))
    check(answer.status == 400, f"answered with {answer.status}")


SIZES = [
    {"encoding": encoding, "form": form}
    for encoding in ("protobuf", "json")
    for form in ("plain", "chunked", "gzip")
]


def _of_size(target: Target, encoding: str, form: str, size: int) -> Answer:
    body = of_size(size, encoding)
    if form == "gzip":
        return post(target, "traces", encoding, gzip.compress(body, 1), headers=GZIP)
    if form == "chunked":
        parts = (body[start : start + 65536] for start in range(0, len(body), 65536))
        return post(target, "traces", encoding, parts, headers={"Transfer-Encoding": "chunked"})
    return post(target, "traces", encoding, body)


@case("http.size.below", "OTLP/HTTP Request", "SHOULD", SIZES)
def _below(target: Target, encoding: str, form: str) -> None:
    """A body just below the limit that is configured is taken."""
    succeeds(_of_size(target, encoding, form, target.limit - 1024))


@case("http.size.above", "OTLP/HTTP Request", "MUST", SIZES)
def _above(target: Target, encoding: str, form: str) -> None:
    """A body above the limit, also when it is so only after decompression, is refused with 413."""
    answer = _of_size(target, encoding, form, target.limit + 4096)
    check(answer.status == 413, f"answered with {answer.status}")


@case("http.size.body", "Failures (HTTP)", "MUST", BY_ENCODING)
def _too_large_body(target: Target, encoding: str) -> None:
    """The body of the answer 413 is a google.rpc.Status."""
    _of_size(target, encoding, "gzip", target.limit + 4096).status_message()
