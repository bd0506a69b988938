# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where text sits in the OTLP messages: field numbers of opentelemetry-proto 1.x.

A test compares these tables with the protobuf descriptors, so a field that a new release adds is noticed. A
length-delimited field that is not here is treated as opaque: what is found in it is masked in place.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, Optional

from runrecord.processors.signal import Signal


class Kind(Enum):
    """What a length-delimited field holds."""

    TEXT = "text"
    MESSAGE = "message"
    RECORD = "record"  # a span or a log record: what is annotated, and what `drop_span` removes
    KEY_VALUE = "key_value"
    ANY_VALUE = "any_value"
    BYTES = "bytes"  # a bytes value: any text, no UTF-8 needed
    TRACE_ID = "trace_id"
    SPAN_ID = "span_id"
    NUMBERS = "numbers"  # packed numbers


class Field(NamedTuple):
    """One field: what it holds, and the message in it if it holds one."""

    kind: Kind
    message: Optional[Message] = None  # noqa: UP045  evaluated at run time on Python 3.10


class Message(NamedTuple):
    """One message type.

    Attributes:
        name: Its name in opentelemetry-proto, without the package.
        fields: Its length-delimited fields by number.
        facts: The path of field numbers to the attributes that say what the message is about, if it has such.
    """

    name: str
    fields: dict[int, Field]
    facts: tuple[int, ...] = ()

    @property
    def attributes(self) -> int:
        """The field number of a record's attributes."""
        return self.facts[-1]


_TEXT = Field(Kind.TEXT)
_TRACE_ID = Field(Kind.TRACE_ID)
_SPAN_ID = Field(Kind.SPAN_ID)
_NUMBERS = Field(Kind.NUMBERS)

KEY_VALUE = Message("KeyValue", {})
ANY_VALUE = Message("AnyValue", {})
ARRAY_VALUE = Message("ArrayValue", {})
KEY_VALUE_LIST = Message("KeyValueList", {})
_ATTRIBUTE = Field(Kind.KEY_VALUE, KEY_VALUE)
_VALUE = Field(Kind.ANY_VALUE, ANY_VALUE)
KEY_VALUE.fields.update({1: _TEXT, 2: _VALUE})
ANY_VALUE.fields.update(
    {
        1: _TEXT,
        5: Field(Kind.MESSAGE, ARRAY_VALUE),
        6: Field(Kind.MESSAGE, KEY_VALUE_LIST),
        7: Field(Kind.BYTES),
    }
)
ARRAY_VALUE.fields.update({1: _VALUE})
KEY_VALUE_LIST.fields.update({1: _ATTRIBUTE})


def _message(name: str, fields: dict[int, Field], facts: tuple[int, ...] = ()) -> Field:
    return Field(Kind.MESSAGE, Message(name, fields, facts))


_ENTITY = _message("EntityRef", {1: _TEXT, 2: _TEXT, 3: _TEXT, 4: _TEXT})
_RESOURCE = _message("Resource", {1: _ATTRIBUTE, 3: _ENTITY})
_SCOPE = _message("InstrumentationScope", {1: _TEXT, 2: _TEXT, 3: _ATTRIBUTE})


def _request(noun: str, plural: str, inner: Field) -> Message:
    scoped = _message(f"Scope{plural}", {1: _SCOPE, 2: inner, 3: _TEXT})
    whole = _message(f"Resource{plural}", {1: _RESOURCE, 2: scoped, 3: _TEXT}, facts=(1, 1))
    return Message(f"Export{noun}ServiceRequest", {1: whole})


_EVENT = _message("Span.Event", {2: _TEXT, 3: _ATTRIBUTE})
_LINK = _message("Span.Link", {1: _TRACE_ID, 2: _SPAN_ID, 3: _TEXT, 4: _ATTRIBUTE})
_STATUS = _message("Status", {2: _TEXT})
SPAN = Message(
    "Span",
    {
        1: _TRACE_ID,
        2: _SPAN_ID,
        3: _TEXT,
        4: _SPAN_ID,
        5: _TEXT,
        9: _ATTRIBUTE,
        11: _EVENT,
        13: _LINK,
        15: _STATUS,
    },
    facts=(9,),
)
LOG_RECORD = Message(
    "LogRecord", {3: _TEXT, 5: _VALUE, 6: _ATTRIBUTE, 9: _TRACE_ID, 10: _SPAN_ID, 12: _TEXT}, facts=(6,)
)
_EXEMPLAR = _message("Exemplar", {4: _SPAN_ID, 5: _TRACE_ID, 7: _ATTRIBUTE})
_NUMBER_POINT = _message("NumberDataPoint", {5: _EXEMPLAR, 7: _ATTRIBUTE}, facts=(7,))
_HISTOGRAM_POINT = _message(
    "HistogramDataPoint", {6: _NUMBERS, 7: _NUMBERS, 8: _EXEMPLAR, 9: _ATTRIBUTE}, facts=(9,)
)
_BUCKETS = _message("ExponentialHistogramDataPoint.Buckets", {2: _NUMBERS})
_EXPONENTIAL_POINT = _message(
    "ExponentialHistogramDataPoint", {1: _ATTRIBUTE, 8: _BUCKETS, 9: _BUCKETS, 11: _EXEMPLAR}, facts=(1,)
)
_SUMMARY_POINT = _message(
    "SummaryDataPoint", {6: _message("SummaryDataPoint.ValueAtQuantile", {}), 7: _ATTRIBUTE}, facts=(7,)
)
_METRIC = _message(
    "Metric",
    {
        1: _TEXT,
        2: _TEXT,
        3: _TEXT,
        5: _message("Gauge", {1: _NUMBER_POINT}),
        7: _message("Sum", {1: _NUMBER_POINT}),
        9: _message("Histogram", {1: _HISTOGRAM_POINT}),
        10: _message("ExponentialHistogram", {1: _EXPONENTIAL_POINT}),
        11: _message("Summary", {1: _SUMMARY_POINT}),
        12: _ATTRIBUTE,
    },
)

REQUESTS: dict[Signal, Message] = {
    Signal.TRACES: _request("Trace", "Spans", Field(Kind.RECORD, SPAN)),
    Signal.LOGS: _request("Logs", "Logs", Field(Kind.RECORD, LOG_RECORD)),
    Signal.METRICS: _request("Metrics", "Metrics", _METRIC),
}


def text_tags() -> bytes:
    """The tag bytes that can stand before a text field."""
    tags: set[int] = set()
    seen: set[int] = set()
    todo = list(REQUESTS.values())
    while todo:
        message = todo.pop()
        if id(message) in seen:
            continue
        seen.add(id(message))
        for number, field in message.fields.items():
            if field.kind in {Kind.TEXT, Kind.BYTES}:
                tags.add(number << 3 | 2)
            if field.message is not None:
                todo.append(field.message)
    return bytes(sorted(tags))
