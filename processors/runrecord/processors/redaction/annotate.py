# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Say on a record what was redacted in it: ``runrecord.redaction.*``, merged with what an earlier pass has said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from runrecord.processors.redaction.wire import Edit, delimited, fields, varint
from runrecord.semconv.attributes import (
    REDACTION_COUNT,
    REDACTION_FAILED,
    REDACTION_KINDS,
    REDACTION_RULES,
)

_KEY, _VALUE = 1, 2
_STRING, _BOOL, _INT, _ARRAY = 1, 2, 3, 5
_ELEMENT = 1
_OURS = {
    name.encode(): name for name in (REDACTION_COUNT, REDACTION_FAILED, REDACTION_KINDS, REDACTION_RULES)
}
_OUR_PREFIX = b"runrecord.redaction."


@dataclass
class Findings:
    """What was done in one record."""

    count: int = 0
    kinds: set[str] = field(default_factory=set[str])
    failed: bool = False

    def __bool__(self) -> bool:
        """Whether there is anything to say."""
        return bool(self.count or self.kinds or self.failed)


def annotation(
    body: bytes,
    span: tuple[int, int],
    number: int,
    findings: Findings,
    *,
    rules: str,
    is_edited: Callable[[int, int], bool],
) -> list[Edit]:
    """The edits that put the findings on a record.

    Args:
        body: The whole request.
        span: Offsets of the record's content.
        number: Field number of the record's attributes.
        findings: What was done now.
        rules: The version of the set of rules.
        is_edited: Whether something was redacted between two offsets; such an attribute is not one that we wrote.

    Returns:
        Edits inside the record; none if the record says the same already.
    """
    edits: list[Edit] = []
    count = 0
    kinds: set[str] = set()
    said_before = body.find(_OUR_PREFIX, *span) >= 0
    for attribute in fields(body, *span) if said_before else ():
        if attribute.number != number:
            continue
        name, value = _attribute(body, attribute.content, attribute.end)
        if name not in _OURS:
            continue
        edits.append(Edit(attribute.start, attribute.end, b""))
        if is_edited(attribute.start, attribute.end):
            continue
        if _OURS[name] == REDACTION_COUNT:
            count += _integer(body, value)
        elif _OURS[name] == REDACTION_KINDS:
            kinds |= _strings(body, value)
        elif _OURS[name] == REDACTION_FAILED:
            findings.failed = True
    if not findings.count and not findings.failed and findings.kinds <= kinds:
        return []
    kinds |= findings.kinds
    elements = b"".join(delimited(_ELEMENT, delimited(_STRING, kind.encode())) for kind in sorted(kinds))
    content = _key_value(number, REDACTION_RULES, delimited(_STRING, rules.encode()))
    content += _key_value(number, REDACTION_COUNT, varint(_INT << 3) + varint(count + findings.count))
    content += _key_value(number, REDACTION_KINDS, delimited(_ARRAY, elements))
    if findings.failed:
        content += _key_value(number, REDACTION_FAILED, varint(_BOOL << 3) + b"\x01")
    edits.append(Edit(span[1], span[1], content))
    return edits


def _key_value(number: int, key: str, value: bytes) -> bytes:
    return delimited(number, delimited(_KEY, key.encode()) + delimited(_VALUE, value))


def _attribute(body: bytes, start: int, end: int) -> tuple[bytes, tuple[int, int]]:
    name = b""
    value = (end, end)
    for part in fields(body, start, end):
        if part.number == _KEY:
            name = body[part.content : part.end]
        elif part.number == _VALUE:
            value = (part.content, part.end)
    return name, value


def _integer(body: bytes, span: tuple[int, int]) -> int:
    """The int value of an AnyValue that this module wrote; 0 for any other."""
    position, end = span
    if end - position < 2 or body[position] != _INT << 3:  # noqa: PLR2004
        return 0
    value = 0
    for index, byte in enumerate(body[position + 1 : end]):
        value |= (byte & 0x7F) << 7 * index
    return value if value < 1 << 62 else 0


def _strings(body: bytes, span: tuple[int, int]) -> set[str]:
    return {
        body[text.content : text.end].decode("utf-8", "replace")
        for array in fields(body, *span)
        if array.number == _ARRAY
        for element in fields(body, array.content, array.end)
        for text in fields(body, element.content, element.end)
        if text.number == _STRING
    }
