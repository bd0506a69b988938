# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The texts of an export request, with what people call the place of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from runrecord.cli.redacting.sources import Piece
from runrecord.processors.redaction.context import NOWHERE, RECORD_FACTS, RESOURCE_FACTS, Context, Fact

_RECORDS: Final = {"Span": "span", "LogRecord": "log record", "Metric": "metric"}
_IDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})
_KEY_LIMIT: Final = 200


@dataclass(frozen=True)
class Text:
    """One text.

    Attributes:
        place: Where it is: ``traces.jsonl:3, span chat, gen_ai.input.messages``.
        text: The text in UTF-8, or the bytes of an attribute of bytes.
        key: The key of the attribute around it, or the dotted path to it; None if there is none.
        nested: Whether the key is a path into a nested map.
        context: The facts about the place that conditions ask for.
        line: The line of the file at which it begins, where it is the file's own text; otherwise 0.
    """

    place: str
    text: bytes
    key: str | None
    nested: bool
    context: Context
    line: int = 0

    def position(self, offset: int) -> str:
        """The place of a byte: line and column of the file, or the offset in the text."""
        if not self.line:
            return f"{self.place}, byte {offset}"
        before = self.text[:offset]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        line = self.line + before.count(b"\n")
        return f"{self.place}:{line}:{column}"


def texts(piece: Piece) -> Iterator[Text]:
    """Every text of a piece in the order of the fields."""
    if piece.plain:
        request: Any = piece.request
        line = piece.line
        for record in request.resource_logs[0].scope_logs[0].log_records:
            text = record.body.bytes_value or record.body.string_value.encode()
            yield Text(piece.name, text, "body", nested=True, context=NOWHERE, line=line)
            line += text.count(b"\n")
        return
    place = f"{piece.name}:{piece.line}" if piece.line else f"{piece.name}@{max(piece.offset, 0)}"
    yield from _message(piece.request, Text(place, b"", None, nested=False, context=NOWHERE))


def _message(message: Any, around: Text) -> Iterator[Text]:
    around = _entered(message, around)
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.type == field.TYPE_MESSAGE:
            inner = around
            if field.message_type.name == "AnyValue" and around.key is None:
                inner = replace(around, key="body", nested=True)
            if field.is_repeated:
                for item in value:
                    yield from (_keyed if item.DESCRIPTOR.name == "KeyValue" else _message)(item, inner)
            elif message.HasField(field.name):
                yield from _message(value, inner)
        elif field.type in {field.TYPE_STRING, field.TYPE_BYTES} and field.name not in _IDS:
            place = around.place if around.key is not None else f"{around.place}, {field.name}"
            for item in value if field.is_repeated else [value]:
                text = item if isinstance(item, bytes) else item.encode()
                if text:
                    yield replace(around, place=place, text=text)


def _entered(message: Any, around: Text) -> Text:
    """What is known about the texts in a message."""
    name = message.DESCRIPTOR.name
    if name in {"ResourceSpans", "ResourceLogs", "ResourceMetrics"}:
        return replace(around, context=_context(message.resource.attributes, RESOURCE_FACTS, around.context))
    if name not in _RECORDS:
        return around
    place = f"{around.place}, {_RECORDS[name]} {getattr(message, 'name', '')}".rstrip()
    if name == "Metric":
        return replace(around, place=place)
    return replace(around, place=place, context=_context(message.attributes, RECORD_FACTS, around.context))


def _keyed(attribute: Any, around: Text) -> Iterator[Text]:
    key = attribute.key if around.key is None else f"{around.key}.{attribute.key}"
    yield replace(around, place=f"{around.place}, an attribute's key", key=None, text=attribute.key.encode())
    nested = around.key is not None
    place = around.place if nested else f"{around.place}, {key[:_KEY_LIMIT]}"
    if attribute.HasField("value"):
        yield from _message(attribute.value, replace(around, place=place, key=key, nested=nested))


def _context(attributes: Any, facts: Mapping[bytes, Fact], outer: Context) -> Context:
    found: dict[Fact, bytes] = {
        facts[attribute.key.encode()]: attribute.value.string_value.encode()
        for attribute in attributes
        if attribute.key.encode() in facts and attribute.value.HasField("string_value")
    }
    return Context(lambda: found, outer)
