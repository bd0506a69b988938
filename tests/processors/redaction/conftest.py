# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Requests of all signals with secrets planted anywhere, and the slow reference to compare on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from redaction_reference import IDS, REQUESTS, Reference

from runrecord.processors import Signal
from runrecord.processors.redaction import PACKS

# Raw text around secrets: field edges, JSON escapes, words that begin on an escape's letter, non-ASCII, digits.
_FILLER = ["", " ", "\n", "\t", "hello world ", "naïve ", "日本語", "😀", "1", "9.5", ".", "-", "n", "_", "\\", '"', ", ",
           "key: ", "x" * 120, "https://example.org/", "C:\\new\\", "%3D", "{}", "[1, 2]", "@", "=", "\x00", "b",
           "password: ", "secret='", "it's", 'api_key="', "token", "-----BEGIN "]  # fmt: skip
_EXAMPLES = [
    example
    for rules in PACKS.values()
    for rule in rules
    for example in (*rule.examples, *rule.counter_examples)
]
_KEYS = ["gen_ai.tool.name", "gen_ai.input.messages", "password", "user.password", "http.request.header.authorization",
         "a", "token", "ada@example.com", "session", "content"]  # fmt: skip


@st.composite
def texts(draw: Callable[..., Any]) -> str:
    """Text with planted examples, in up to two layers of JSON."""
    text = "".join(draw(st.lists(st.sampled_from(_FILLER) | st.sampled_from(_EXAMPLES), max_size=4)))
    for _ in range(draw(st.integers(0, 2))):
        key = draw(st.sampled_from(_KEYS))
        value: Any = draw(
            st.sampled_from([text, [text, 4111111111111111], {"n": 63.402203105447974, "t": text}, None])
        )
        text = json.dumps(
            {key: value, "text": text},
            ensure_ascii=draw(st.booleans()),
            indent=draw(st.sampled_from([None, 8])),
        )
    return text


def _any_value(draw: Callable[..., Any], value: AnyValue, depth: int) -> None:
    kind = draw(st.integers(0, 7 if depth < 3 else 4))
    if kind <= 2:
        value.string_value = draw(texts())
    elif kind == 3:
        value.bytes_value = draw(texts()).encode() + draw(st.binary(max_size=3))
    elif kind == 4:
        value.int_value = draw(st.integers(-(2**63), 2**63 - 1))
    elif kind == 5:
        value.array_value.SetInParent()
        for _ in range(draw(st.integers(0, 2))):
            _any_value(draw, value.array_value.values.add(), depth + 1)
    elif kind == 6:
        value.kvlist_value.SetInParent()
        _attributes(draw, value.kvlist_value.values, depth + 1)


def _attributes(draw: Callable[..., Any], attributes: Any, depth: int = 0) -> None:
    for _ in range(draw(st.integers(0, 2))):
        attribute = attributes.add(key=draw(st.sampled_from(_KEYS) | texts()))
        if draw(st.integers(0, 9)):
            _any_value(draw, attribute.value, depth)
            if not attribute.HasField("value"):
                attribute.value.SetInParent()


def _fill(draw: Callable[..., Any], message: Any, depth: int = 0) -> None:
    for field in message.DESCRIPTOR.fields:
        name = field.name
        if field.type == field.TYPE_MESSAGE and field.message_type.name == "KeyValue":
            _attributes(draw, getattr(message, name))
        elif field.type == field.TYPE_MESSAGE and field.message_type.name == "AnyValue":
            _any_value(draw, message.body, 0)
        elif field.type == field.TYPE_MESSAGE:
            if field.is_repeated:
                for _ in range(draw(st.integers(0 if depth else 1, 2 if depth < 3 else 1))):
                    _fill(draw, getattr(message, name).add(), depth + 1)
            elif draw(st.booleans()):
                getattr(message, name).SetInParent()
                _fill(draw, getattr(message, name), depth + 1)
        elif field.type == field.TYPE_STRING:
            if field.is_repeated:
                getattr(message, name).extend(draw(st.lists(texts(), max_size=2)))
            elif draw(st.integers(0, 3)) == 0:
                setattr(message, name, draw(texts()))
        elif name in IDS and draw(st.booleans()):
            setattr(message, name, draw(st.binary(min_size=8, max_size=8)))
        elif field.type in {field.TYPE_FIXED64, field.TYPE_UINT64} and field.is_repeated:
            getattr(message, name).extend(draw(st.lists(st.integers(0, 2**64 - 1), max_size=2)))


@st.composite
def requests(draw: Callable[..., Any], signal: Signal) -> bytes:
    """A request of a signal, with secrets planted anywhere that text can be."""
    request = REQUESTS[signal]()
    _fill(draw, request)
    return request.SerializeToString()


def span_request(*attributes: tuple[str, str], name: str = "chat") -> bytes:
    """A request with one span."""
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(name=name)
    for key, value in attributes:
        span.attributes.add(key=key).value.string_value = value
    return request.SerializeToString()


def parsed(signal: Signal, body: bytes) -> Any:
    """The parsed request."""
    request = REQUESTS[signal]()
    request.ParseFromString(body)
    return request


def span_of(body: bytes) -> Any:
    """The only span of a request."""
    return parsed(Signal.TRACES, body).resource_spans[0].scope_spans[0].spans[0]


@pytest.fixture(scope="session")
def otlp() -> SimpleNamespace:
    """Helpers: requests, parsing, the reference."""
    return SimpleNamespace(
        Reference=Reference, requests=requests, texts=texts, span_request=span_request, parsed=parsed, span_of=span_of,
        REQUESTS=REQUESTS, IDS=IDS,
    )  # fmt: skip
