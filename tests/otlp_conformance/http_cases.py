# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The rules of OTLP/HTTP that hold in both encodings."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any

from tests.otlp_conformance.model import NotApplicable, case, check
from tests.otlp_conformance.payloads import (
    BAD,
    BY_BOTH,
    BY_ENCODING,
    BY_SIGNAL,
    RESPONSES,
    UNKNOWN_FIELD,
    add_span,
    empty,
    envelope,
    half_valid,
    message,
    valid,
)
from tests.otlp_conformance.wire import BAD_REQUEST, PATHS, TYPES, Answer, Target

_4_MIB = 4 << 20
GZIP = {"Content-Encoding": "gzip"}


def post(target: Target, signal: str, encoding: str, body: Any, **more: Any) -> Answer:
    return target.send(PATHS[signal], body, TYPES[encoding], **more)


def succeeds(answer: Answer) -> None:
    check(answer.status == 200, f"refused with {answer.status}")


def is_set(answer: Answer, signal: str) -> bool:
    """Say whether partial_success is in a response."""
    found = answer.message(RESPONSES[signal])
    if isinstance(found, dict):
        return "partialSuccess" in found and found["partialSuccess"] is not None
    return bool(found.HasField("partial_success"))


@case("http.full-success.status", "Full Success (HTTP)", "MUST", BY_BOTH)
def _status(target: Target, signal: str, encoding: str) -> None:
    """A request that is taken is answered with 200."""
    succeeds(post(target, signal, encoding, valid(signal, encoding)))


@case("http.full-success.content-type", "OTLP/HTTP Response", "MUST", BY_BOTH)
def _content_type(target: Target, signal: str, encoding: str) -> None:
    """The Content-Type of the answer is that of the request."""
    answer = post(target, signal, encoding, valid(signal, encoding))
    check(answer.content_type == TYPES[encoding], f"it is {answer.content_type or 'missing'}")


@case("http.full-success.message", "Full Success (HTTP)", "MUST", BY_BOTH)
def _message(target: Target, signal: str, encoding: str) -> None:
    """Success is an Export response whose partial_success is not set."""
    answer = post(target, signal, encoding, valid(signal, encoding))
    succeeds(answer)
    check(not is_set(answer, signal), "partial_success is set")


@case("http.compression.gzip", "Protocol Details", "MUST", BY_BOTH)
def _gzip(target: Target, signal: str, encoding: str) -> None:
    """A body compressed with gzip is taken."""
    succeeds(post(target, signal, encoding, gzip.compress(valid(signal, encoding)), headers=GZIP))


@case("http.empty-request", "Full Success (HTTP)", "SHOULD", BY_BOTH)
def _empty(target: Target, signal: str, encoding: str) -> None:
    """A request without telemetry succeeds."""
    succeeds(post(target, signal, encoding, empty(encoding)))


@case("http.empty-envelope", "Empty Telemetry Envelopes", "SHOULD", BY_BOTH)
def _envelope(target: Target, signal: str, encoding: str) -> None:
    """A request with a resource and without telemetry succeeds."""
    succeeds(post(target, signal, encoding, envelope(signal, encoding)))


@case("http.unknown-field", "Future Versions and Interoperability", "MUST", BY_SIGNAL)
def _unknown_field(target: Target, signal: str) -> None:
    """A field of protobuf that is not known does not keep a request from being taken."""
    succeeds(post(target, signal, "protobuf", valid(signal) + UNKNOWN_FIELD))


@case("http.bad-data.status", "Bad Data", "MUST", BY_BOTH)
def _bad_status(target: Target, signal: str, encoding: str) -> None:
    """What can't be decoded is refused with 400."""
    answer = post(target, signal, encoding, BAD[encoding])
    check(answer.status == 400, f"answered with {answer.status}")


@case("http.bad-data.body", "Failures (HTTP)", "MUST", BY_BOTH)
def _bad_body(target: Target, signal: str, encoding: str) -> None:
    """The body of the answer 400 is a google.rpc.Status."""
    post(target, signal, encoding, BAD[encoding]).status_message()


@case("http.bad-data.content-type", "OTLP/HTTP Response", "MUST", BY_BOTH)
def _bad_content_type(target: Target, signal: str, encoding: str) -> None:
    """The Content-Type of the answer 400 is that of the request."""
    answer = post(target, signal, encoding, BAD[encoding])
    check(answer.content_type == TYPES[encoding], f"it is {answer.content_type or 'missing'}")


@case("http.bad-data.message", "Failures (HTTP)", "SHOULD", BY_ENCODING)
def _bad_message(target: Target, encoding: str) -> None:
    """The Status of the answer 400 says what is wrong."""
    said, _ = post(target, "traces", encoding, BAD[encoding]).status_message()
    check(said, "its message is empty")


@case("http.bad-data.details", "Bad Data", "SHOULD", BY_ENCODING)
def _bad_details(target: Target, encoding: str) -> None:
    """The Status of the answer 400 has a BadRequest in its details."""
    _, details = post(target, "traces", encoding, BAD[encoding]).status_message()
    check(BAD_REQUEST in details, "it has none")


@case("http.bad-compression.status", "Bad Data", "MUST", BY_ENCODING)
def _bad_gzip(target: Target, encoding: str) -> None:
    """A body that is not what its Content-Encoding says is refused with 400."""
    answer = post(target, "traces", encoding, valid("traces", encoding), headers=GZIP)
    check(answer.status == 400, f"answered with {answer.status}")


@case("http.cut-compression.status", "Bad Data", "MUST", BY_ENCODING)
def _cut_gzip(target: Target, encoding: str) -> None:
    """A compressed body whose end is missing is refused with 400."""
    body = gzip.compress(valid("traces", encoding))[:-9]
    answer = post(target, "traces", encoding, body, headers=GZIP)
    check(answer.status == 400, f"answered with {answer.status}")


REFUSED: dict[str, dict[str, Any]] = {
    "get": {"method": "GET", "body": None},
    "put": {"method": "PUT"},
    "path": {"path": "/v1/nothing"},
    "content-type": {"content_type": "text/plain"},
    "no-content-type": {"content_type": ""},
    "content-encoding": {"headers": {"Content-Encoding": "none-such"}},
    "bad-compression": {"headers": GZIP},
}
BY_FAULT = [{"fault": fault} for fault in REFUSED]


def _refused(target: Target, fault: str) -> Answer:
    arguments: dict[str, Any] = {"path": PATHS["traces"], "body": valid("traces"), **REFUSED[fault]}
    return target.send(arguments.pop("path"), arguments.pop("body"), **arguments)


@case("http.refused.status", "Failures (HTTP)", "MUST", BY_FAULT)
def _refused_status(target: Target, fault: str) -> None:
    """What the protocol does not have is refused with 4xx."""
    answer = _refused(target, fault)
    check(400 <= answer.status < 500, f"answered with {answer.status}")


@case("http.refused.body", "Failures (HTTP)", "MUST", BY_FAULT)
def _refused_body(target: Target, fault: str) -> None:
    """The body of every answer 4xx is a google.rpc.Status."""
    _refused(target, fault).status_message()


@case("http.refused.not-retryable", "Retryable Response Codes", "MUST", BY_FAULT)
def _refused_for_good(target: Target, fault: str) -> None:
    """What will never be taken is not refused with a status that clients repeat."""
    answer = _refused(target, fault)
    check(answer.status not in {429, 502, 503, 504}, f"answered with {answer.status}")


@case("http.refused.allow", "All Other Responses", "MUST")
def _allow(target: Target) -> None:
    """The answer 405 names the methods that are allowed (RFC 9110, section 15.5.6)."""
    answer = _refused(target, "get")
    check(answer.status == 405, f"answered with {answer.status}")
    check("POST" in answer.headers.get("allow", ""), "there is no Allow header that has POST")


@case("http.partial-success.count", "Partial Success (HTTP)", "MUST", BY_ENCODING)
def _partial(target: Target, encoding: str) -> None:
    """Where a part is rejected the answer is 200, and partial_success counts what was rejected."""
    check(_partial_success(target, encoding)[0] == 1, "one of two spans is invalid")


@case("http.partial-success.message", "Partial Success (HTTP)", "SHOULD", BY_ENCODING)
def _partial_message(target: Target, encoding: str) -> None:
    """A partial success says why."""
    check(_partial_success(target, encoding)[1], "the message is empty")


def _partial_success(target: Target, encoding: str) -> tuple[int, str]:
    body, value = half_valid()
    answer = post(target, "traces", encoding, body if encoding == "protobuf" else json.dumps(value))
    check(answer.status in {200, 400}, f"answered with {answer.status}")
    found = answer.message(RESPONSES["traces"]) if answer.status == 200 else {}
    part = (found.get("partialSuccess") or {}) if isinstance(found, dict) else found.partial_success
    if isinstance(part, dict):
        count, why = int(part.get("rejectedSpans", 0)), str(part.get("errorMessage", ""))
    else:
        count, why = part.rejected_spans, part.error_message
    if not (count or why):
        raise NotApplicable("it takes or refuses a request as a whole")
    return count, why


@case("http.response.size", "OTLP/HTTP Response", "MUST")
def _response_size(target: Target) -> None:
    """An answer about many invalid spans is not larger than 4 MiB."""
    request = message("traces")
    for _ in range(min(20_000, target.limit // 128)):
        add_span(request, is_valid=False)
    answer = post(target, "traces", "protobuf", request.SerializeToString())
    check(len(answer.body) <= _4_MIB, "it is larger")


@case("http.response.identity", "OTLP/HTTP Response", "MUST")
def _not_compressed(target: Target) -> None:
    """An answer is not compressed for a client that does not say it can read that."""
    answer = post(target, "traces", "json", valid("traces", "json"), headers={"Accept-Encoding": "identity"})
    check(answer.headers.get("content-encoding", "identity") == "identity", "it is compressed")


@case("http.response.accept-gzip", "OTLP/HTTP Request", "MUST")
def _may_be_compressed(target: Target) -> None:
    """An answer can be read by a client that can read gzip."""
    answer = post(target, "traces", "json", valid("traces", "json"), headers={"Accept-Encoding": "gzip"})
    succeeds(answer)
    answer.message(RESPONSES["traces"])


@case("http.connection.kept", "OTLP/HTTP Connection", "SHOULD", BY_ENCODING)
def _kept(target: Target, encoding: str) -> None:
    """One connection takes request after request."""
    connection = target.connect()
    for _ in range(3):
        succeeds(post(target, "traces", encoding, valid("traces", encoding), connection=connection))
    connection.close()


@case("http.connection.after-error", "OTLP/HTTP Connection", "SHOULD", BY_ENCODING)
def _kept_after_error(target: Target, encoding: str) -> None:
    """A connection takes the next request after one that was refused."""
    connection = target.connect()
    post(target, "traces", encoding, BAD[encoding], connection=connection)
    succeeds(post(target, "traces", encoding, valid("traces", encoding), connection=connection))
    connection.close()


@case("http.connection.both-encodings", "OTLP/HTTP Connection", "SHOULD", BY_SIGNAL)
def _both(target: Target, signal: str) -> None:
    """Binary and JSON are taken on the same port, told apart by the Content-Type."""
    connection = target.connect()
    for encoding in ("protobuf", "json", "protobuf"):
        answer = post(target, signal, encoding, valid(signal, encoding), connection=connection)
        succeeds(answer)
        check(answer.content_type == TYPES[encoding], f"the answer is {answer.content_type}")
    connection.close()


@case("http.concurrent", "OTLP/HTTP Concurrent Requests", "SHOULD", BY_ENCODING)
def _concurrent(target: Target, encoding: str) -> None:
    """Sixteen connections at once are all answered."""
    with ThreadPoolExecutor(16) as pool:
        body = valid("traces", encoding)
        answers = list(pool.map(lambda _: post(target, "traces", encoding, body).status, range(32)))
    check(set(answers) == {200}, f"answered with {sorted(set(answers))}")


@case("http.chunked", "OTLP/HTTP Request", "MUST", BY_ENCODING)
def _chunked(target: Target, encoding: str) -> None:
    """A body of HTTP/1.1 without a Content-Length, in chunks, is taken."""
    chunks = iter([valid("traces", encoding)[:10], valid("traces", encoding)[10:]])
    succeeds(post(target, "traces", encoding, chunks, headers={"Transfer-Encoding": "chunked"}))


@case("http.media-type.parameter", "OTLP/HTTP Request", "SHOULD")
def _parameter(target: Target) -> None:
    """A Content-Type with a parameter is the same type (RFC 9110, section 8.3.1)."""
    answer = target.send(PATHS["traces"], valid("traces", "json"), "application/json; charset=utf-8")
    succeeds(answer)
    check(answer.content_type == TYPES["json"], f"the answer is {answer.content_type}")


@case("http.media-type.case", "OTLP/HTTP Request", "SHOULD")
def _case(target: Target) -> None:
    """A Content-Type in capitals is the same type (RFC 9110, section 8.3.1)."""
    succeeds(target.send(PATHS["traces"], valid("traces", "json"), "Application/JSON"))


@case("http.duplicate", "Duplicate Data", "SHOULD", BY_ENCODING)
def _duplicate(target: Target, encoding: str) -> None:
    """A request that a client sends again is taken again."""
    for _ in range(2):
        succeeds(post(target, "traces", encoding, valid("traces", encoding)))


@case("http.throttling.status", "OTLP/HTTP Throttling", "SHOULD", BY_BOTH)
def _throttled(target: Target, signal: str, encoding: str) -> None:
    """A receiver that can't take more answers with 429 or 503."""
    answer = post(target, signal, encoding, valid(signal, encoding), url=target.overloaded("http"))
    check(answer.status in {429, 503}, f"answered with {answer.status}")


@case("http.throttling.body", "Failures (HTTP)", "MUST", BY_ENCODING)
def _throttled_body(target: Target, encoding: str) -> None:
    """The body of the answer 429 or 503 is a google.rpc.Status in the encoding of the request."""
    answer = post(target, "traces", encoding, valid("traces", encoding), url=target.overloaded("http"))
    check(answer.status >= 400, "the request was accepted")
    check(answer.content_type == TYPES[encoding], f"the answer is {answer.content_type or 'without a type'}")
    answer.status_message()


@case("http.throttling.retry-after", "OTLP/HTTP Throttling", "MUST", BY_ENCODING)
def _retry_after(target: Target, encoding: str) -> None:
    """Retry-After, if there is one, is a number of seconds or a date."""
    answer = post(target, "traces", encoding, valid("traces", encoding), url=target.overloaded("http"))
    value = answer.headers.get("retry-after")
    if value is None:
        raise NotApplicable("there is none")
    if not value.isdecimal():
        try:
            parsedate_to_datetime(value)
        except ValueError:
            check(False, "it is neither")
