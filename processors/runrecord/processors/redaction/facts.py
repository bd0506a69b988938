# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Read from a message's attributes what conditions can ask about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runrecord.processors.redaction.context import RECORD_FACTS, RESOURCE_FACTS, Fact
from runrecord.processors.redaction.wire import fields

_KEY, _VALUE = 1, 2
_STRING = 1


def read_facts(body: bytes, start: int, end: int, path: Sequence[int]) -> dict[Fact, bytes]:
    """Read the facts of a message.

    Args:
        body: The whole request, as it was sent.
        start: Offset of the message.
        end: Offset behind it.
        path: The field numbers that lead to its attributes: one, or two by way of a resource.
    """
    known = RECORD_FACTS if len(path) == 1 else RESOURCE_FACTS
    facts: dict[Fact, bytes] = {}
    for first, last in _attributes(body, start, end, path):
        key = b""
        values: list[tuple[int, int]] = []
        for part in fields(body, first, last):
            if part.number == _KEY:
                key = body[part.content : part.end]
            elif part.number == _VALUE:
                values.append((part.content, part.end))
        fact = known.get(key)
        if fact is not None:
            for value in values:
                for part in fields(body, *value):
                    if part.number == _STRING:
                        facts[fact] = body[part.content : part.end]
    return facts


def _attributes(body: bytes, start: int, end: int, path: Sequence[int]) -> Iterator[tuple[int, int]]:
    for field in fields(body, start, end):
        if field.number == path[0]:
            if len(path) > 1:
                yield from _attributes(body, field.content, field.end, path[1:])
            else:
                yield field.content, field.end
