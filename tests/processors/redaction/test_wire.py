# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The wire format: what is malformed is refused, what is unknown is masked in place."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runrecord.processors import RedactionError, Signal
from runrecord.processors.redaction import Redaction, RedactionPolicy, Redactor
from runrecord.processors.redaction.wire import WireError, delimited, fields, varint

KEY = b"AKIA" + b"QX7PLACEHOLDER77"
ENGINES = ("hyperscan", "re2", "stdlib")


def in_span(content: bytes) -> bytes:
    """A request whose only span has this content."""
    return delimited(1, delimited(2, delimited(2, content)))


NAME = delimited(5, b"name " + KEY)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (in_span(NAME + b"\x30\x01")[:-1], "longer than the message around it"),
        (in_span(NAME + b"\x4a"), "a length is missing"),
        (in_span(NAME + b"\x4a\xff"), "unfinished varint"),
        (in_span(NAME + b"\x4b" + b"\x4c"), "wire type 3"),
        (in_span(NAME + b"\x02\x00"), "field number 0"),
        (in_span(b"\xaa\x00" + varint(len(KEY)) + KEY), "overlong tag"),
        (in_span(NAME + b"\x39\x00"), "longer than the message around it"),
        (in_span(NAME + b"\x30" + b"\xff" * 10), "unfinished varint"),
    ],
)
def test_malformed_requests_are_refused(body: bytes, message: str) -> None:
    with pytest.raises(RedactionError, match=message) as raised:
        Redactor(RedactionPolicy()).redact(Signal.TRACES, body)
    assert raised.value.malformed
    assert KEY.decode() not in str(raised.value)


def test_malformed_requests_cannot_be_masked_either() -> None:
    redactor = Redactor(RedactionPolicy(on_error="mask_all"))
    with pytest.raises(RedactionError, match="malformed"):
        redactor.redact(Signal.TRACES, in_span(NAME + b"\x30\x01")[:-1])


def test_values_nested_beyond_the_parsers_limit_are_refused() -> None:
    value = delimited(1, KEY)
    for _ in range(101):
        value = delimited(5, delimited(1, value))
    with pytest.raises(RedactionError, match="nested deeper than 100"):
        Redactor(RedactionPolicy()).redact(
            Signal.TRACES, in_span(delimited(9, delimited(1, b"k") + delimited(2, value)))
        )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "content",
    [
        delimited(99, b"x " + KEY),  # a field of a later release
        delimited(1, KEY),  # a trace id that is none
        delimited(9, delimited(1, b"k") + delimited(7, KEY)),  # in a KeyValue
        delimited(9, delimited(1, b"k") + delimited(2, delimited(33, KEY))),  # in an AnyValue
        delimited(6, KEY),  # a number, sent as bytes
    ],
)
def test_a_field_of_unknown_number_is_masked_in_place(content: bytes, engine: str) -> None:
    body = in_span(delimited(5, b"chat") + content)
    redaction = Redactor(RedactionPolicy(annotate=False), engine=engine).redact(Signal.TRACES, body)
    assert redaction.body == body.replace(KEY, b"*" * len(KEY))
    assert redaction.counts == {"aws-access-key": 1}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_field_of_unknown_number_is_looked_at_when_the_strict_seeds_are_in_use(engine: str) -> None:
    card = b"4111111111111111"
    digits = delimited(5, b"1" * 100_000)
    body = in_span(digits + delimited(99, card) + delimited(6, delimited(77, b"9" + card)))
    redaction = Redactor(RedactionPolicy(annotate=False), engine=engine).redact(Signal.TRACES, body)
    assert card not in redaction.body.replace(b"9" + card, b"")
    assert redaction.counts == {"card": 1}


@pytest.mark.parametrize("engine", ENGINES)
def test_fields_that_come_twice_are_both_redacted(engine: str) -> None:
    attribute = delimited(1, b"a " + KEY) + delimited(1, b"k")
    attribute += delimited(2, delimited(1, KEY) + delimited(1, b"v")) + delimited(2, delimited(1, KEY))
    redaction = Redactor(RedactionPolicy(), engine=engine).redact(
        Signal.TRACES, in_span(delimited(9, attribute))
    )
    assert KEY not in redaction.body
    assert redaction.counts == {"aws-access-key": 3}


def test_a_value_before_its_key_and_an_overlong_length_are_seen() -> None:
    policy = RedactionPolicy.parse({"keys": [{"match": "secret.name", "action": "token"}]})
    attribute = delimited(2, delimited(1, b"hidden value")) + b"\x0a\x8b\x00" + b"secret.name"
    redaction = Redactor(policy).redact(Signal.TRACES, in_span(delimited(9, attribute)))
    assert b"hidden" not in redaction.body


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_are_redacted_or_refused(body: bytes) -> None:
    redactor = _redactor()
    for signal in Signal:
        try:
            redaction = redactor.redact(signal, body + KEY)
        except RedactionError:
            continue
        assert KEY not in redaction.body or not _is_readable(redaction.body)


def _is_readable(body: bytes) -> bool:
    try:
        return bool(list(fields(body, 0, len(body))))
    except WireError:
        return False


_REDACTORS: list[Redactor] = []


def _redactor() -> Redactor:
    if not _REDACTORS:
        _REDACTORS.append(Redactor(RedactionPolicy()))
    return _REDACTORS[0]


@given(st.integers(0, 2**35 - 1))
def test_varints_are_what_a_parser_reads(value: int) -> None:
    content = b"\x08" + varint(value) + delimited(2, b"x")
    (field,) = fields(content, 0, len(content))
    assert content[field.content : field.end] == b"x"


@pytest.mark.parametrize("engine", ENGINES)
def test_many_threads_share_a_redactor(otlp: SimpleNamespace, engine: str) -> None:
    redactor = Redactor(RedactionPolicy(), engine=engine)
    bodies = [
        otlp.span_request(*[("k", f"user{i}@example.com " + "text " * i)] * (i % 7 + 1)) for i in range(40)
    ]
    expected = [redactor.redact(Signal.TRACES, body) for body in bodies]
    wrong: list[int] = []
    barrier = threading.Barrier(16)

    def run() -> None:
        barrier.wait()
        for _ in range(5):
            results: list[Redaction] = [redactor.redact(Signal.TRACES, body) for body in bodies]
            wrong.extend(i for i, result in enumerate(results) if result != expected[i])

    threads = [threading.Thread(target=run) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
