# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""No field of any signal carries a secret through; the fields come from the protobuf descriptors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from runrecord.collector.receiver.otlp_json import json_to_protobuf
from runrecord.processors import Signal
from runrecord.processors.redaction import RedactionPolicy, Redactor
from runrecord.processors.redaction.schema import REQUESTS, Kind, Message
from runrecord.processors.redaction.wire import delimited

SECRET = "AKIA" + "QX7PLACEHOLDER77"
ENGINES = ("hyperscan", "re2", "stdlib")
Path = tuple[Any, ...]


def text_fields(descriptor: Any, path: Path = (), nesting: int = 0) -> Iterator[Path]:
    """The paths to all string and bytes fields; values of any type two deep."""
    for field in descriptor.fields:
        here = (*path, field)
        if field.type in {field.TYPE_STRING, field.TYPE_BYTES}:
            yield here
        elif field.type == field.TYPE_MESSAGE:
            recursive = descriptor.full_name == "opentelemetry.proto.common.v1.AnyValue"
            if not (recursive and nesting >= 2):
                yield from text_fields(field.message_type, here, nesting + recursive)


def messages(descriptor: Any, path: Path = (), nesting: int = 0) -> Iterator[Path]:
    """The paths to all messages below a request; values of any type two deep."""
    for field in descriptor.fields:
        if field.type == field.TYPE_MESSAGE:
            here = (*path, field)
            yield here
            recursive = descriptor.full_name == "opentelemetry.proto.common.v1.AnyValue"
            if not (recursive and nesting >= 2):
                yield from messages(field.message_type, here, nesting + recursive)


def plant(message: Any, path: Path, text: str) -> Any:
    """Set the field at a path, making the messages on the way."""
    for field in path[:-1]:
        child = getattr(message, field.name)
        message = child.add() if field.is_repeated else child
        message.SetInParent()
    last = path[-1]
    value: Any = text.encode() if last.type == last.TYPE_BYTES else text
    if last.is_repeated:
        getattr(message, last.name).append(value)
    else:
        setattr(message, last.name, value)


@pytest.mark.parametrize("signal", list(Signal))
@pytest.mark.parametrize("engine", ENGINES)
def test_no_field_carries_a_secret_through(otlp: SimpleNamespace, signal: Signal, engine: str) -> None:
    redactor = Redactor(RedactionPolicy(), engine=engine)
    # A glob without a literal makes every request take the slow path.
    slow = Redactor(RedactionPolicy.parse({"keys": [{"match": "*", "action": "keep"}]}), engine=engine)
    paths = list(text_fields(otlp.REQUESTS[signal].DESCRIPTOR))
    assert len(paths) > 20
    for path in paths:
        request = otlp.REQUESTS[signal]()
        plant(request, path, SECRET)
        redaction = redactor.redact(signal, request.SerializeToString())
        name = ".".join(field.name for field in path)
        assert SECRET.encode() not in redaction.body, name
        assert redaction.counts == {"aws-access-key": 1}, name
        assert slow.redact(signal, request.SerializeToString()).body == redaction.body, name


@pytest.mark.parametrize("signal", list(Signal))
def test_the_reference_reaches_every_field(otlp: SimpleNamespace, signal: Signal) -> None:
    reference, redactor = otlp.Reference(RedactionPolicy()), Redactor(RedactionPolicy())
    request = otlp.REQUESTS[signal]()
    paths = list(text_fields(request.DESCRIPTOR))
    for path in paths:
        if path[-1].containing_oneof is None or path[-1].name == "string_value":
            plant(request, path, f"{SECRET} and ada@example.org")
    body = request.SerializeToString()
    expected, counts = reference.redact(signal, body)
    redaction = redactor.redact(signal, body)
    assert SECRET.encode() not in expected.SerializeToString()
    assert otlp.parsed(signal, redaction.body) == expected
    assert redaction.counts == counts
    assert counts["aws-access-key"] > 20


@pytest.mark.parametrize("signal", list(Signal))
def test_no_field_of_json_carries_a_secret_through(otlp: SimpleNamespace, signal: Signal) -> None:
    redactor = Redactor(RedactionPolicy())
    for path in text_fields(otlp.REQUESTS[signal].DESCRIPTOR):
        if path[-1].type == path[-1].TYPE_BYTES and path[-1].name != "bytes_value":
            continue  # an id in hexadecimal, of which the receiver accepts its own size only
        request = otlp.REQUESTS[signal]()
        plant(request, path, SECRET)
        document = MessageToDict(request)
        for escape in (True, False):
            text = json.dumps(document)
            if escape:
                text = text.replace(SECRET, "".join(f"\\u{ord(char):04x}" for char in SECRET))
            body = json_to_protobuf(signal, text.encode())
            assert body == request.SerializeToString()
            redaction = redactor.redact(signal, body)
            assert SECRET.encode() not in redaction.body, path[-1].full_name
            assert redaction.counts == {"aws-access-key": 1}


def with_unknown(path: Path, content: bytes) -> bytes:
    """A request whose message at a path has only this content."""
    for field in reversed(path):
        content = delimited(field.number, content)
    return content


@pytest.mark.parametrize("signal", list(Signal))
@pytest.mark.parametrize("engine", ENGINES)
def test_a_text_field_of_a_later_release_carries_no_secret_through(
    otlp: SimpleNamespace, signal: Signal, engine: str
) -> None:
    """Every message may grow a field: what is in it is masked, and nothing else moves."""
    redactor = Redactor(RedactionPolicy(annotate=False), engine=engine)
    paths = list(messages(otlp.REQUESTS[signal].DESCRIPTOR))
    assert len(paths) > 15
    for path in paths:
        for number in (99, 2000, 150_000):
            body = with_unknown(path, delimited(number, delimited(1, b"new " + SECRET.encode())))
            redaction = redactor.redact(signal, body)
            assert redaction.body == body.replace(SECRET.encode(), b"*" * len(SECRET)), path[-1].full_name
            assert redaction.counts == {"aws-access-key": 1}


@pytest.mark.parametrize("signal", list(Signal))
def test_the_schema_tables_equal_the_descriptors(otlp: SimpleNamespace, signal: Signal) -> None:
    seen: set[str] = set()

    def compare(message: Message, descriptor: Any) -> None:
        if descriptor.full_name in seen:
            return
        seen.add(descriptor.full_name)
        assert descriptor.full_name.endswith(message.name)
        delimited = {
            field.number: field
            for field in descriptor.fields
            if field.type in {field.TYPE_STRING, field.TYPE_BYTES, field.TYPE_MESSAGE} or field.is_repeated
        }
        assert set(delimited) == set(message.fields), message.name
        for number, field in message.fields.items():
            theirs = delimited[number]
            if field.message is not None:
                compare(field.message, theirs.message_type)
            elif theirs.name in {"trace_id", "span_id", "parent_span_id"}:
                assert field.kind is (Kind.TRACE_ID if theirs.name == "trace_id" else Kind.SPAN_ID)
            elif theirs.type == theirs.TYPE_STRING:
                assert field.kind is Kind.TEXT
            elif theirs.type == theirs.TYPE_BYTES:
                assert field.kind is Kind.BYTES
            else:
                assert field.kind is Kind.NUMBERS

    compare(REQUESTS[signal], otlp.REQUESTS[signal].DESCRIPTOR)
