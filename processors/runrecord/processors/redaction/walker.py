# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Visit the text fields of a serialised export request that a scan has pointed at, and collect the edits."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from runrecord.processors.redaction import wire
from runrecord.processors.redaction.annotate import Findings, annotation, string_attribute
from runrecord.processors.redaction.keys import KeyRule, joined
from runrecord.processors.redaction.leaf import ANY, DropAttribute, DropRecord, Leaves, Plan, keyed_value
from runrecord.processors.redaction.schema import ANY_VALUE, Kind, Message
from runrecord.processors.redaction.wire import Edit, WireError, WireField
from runrecord.semconv.attributes import GEN_AI_TOOL_NAME

_MAX_DEPTH = 100  # the limit of the protobuf parsers
_ID_SIZES = {Kind.TRACE_ID: 16, Kind.SPAN_ID: 8}
_TOOL = GEN_AI_TOOL_NAME.encode()
_KEY, _VALUE = 1, 2
_STRING = 1


class Mode(Enum):
    """How much of a request is visited."""

    HITS = "hits"  # what the scan has pointed at
    STRUCTURE = "structure"  # that, and every field whose number is unknown
    EVERYTHING = "everything"  # every rule on every field: the slow path
    MASK = "mask"  # every field is replaced


class Hit(NamedTuple):
    """A place that the scan has pointed at: an offset inside the match, and the rule's place (or ``ANY``)."""

    position: int
    order: int


@dataclass
class _Record:
    """The span or log record around a field."""

    start: int
    end: int
    attributes: int
    findings: Findings


class _Where(NamedTuple):
    """The attribute around a field: its dotted path, and whether keys must be looked at below it."""

    path: bytes
    nested: bool
    force: bool
    droppable: bool = True  # false for the body of a log record, which is no attribute


class Walk:
    """One pass over one request.

    Args:
        plan: What to do with what is found.
        leaves: The rules, over one field.
        body: The serialised request.
        hits: Where the scan found something, sorted.
        mode: How much to visit.
    """

    def __init__(self, plan: Plan, leaves: Leaves, body: bytes, hits: Sequence[Hit], mode: Mode) -> None:
        self._plan = plan
        self._leaves = leaves
        self._body = body
        self._positions = [hit.position for hit in hits]
        self._orders = [hit.order for hit in hits]
        self._mode = mode
        self._everything = mode in {Mode.EVERYTHING, Mode.MASK}
        self._limit = plan.attribute_bytes if plan.attribute_bytes is not None else len(body) + 1
        self._edits: list[Edit] = []
        self._record: _Record | None = None
        self.counts: Counter[str] = leaves.counts

    def run(self, message: Message) -> bytes:
        """Redact the request.

        Returns:
            The same bytes object if there was nothing to edit.

        Raises:
            WireError: The request is malformed.
            RedactionError: The confirm budget of the request is spent.
        """
        self._message(0, len(self._body), message, None, 0)
        return wire.splice(self._body, self._edits) if self._edits else self._body

    def _wanted(self, start: int, end: int) -> bool:
        if self._everything or end - start > self._limit:
            return True
        index = bisect_left(self._positions, start)
        return index < len(self._positions) and self._positions[index] < end

    def _hits(self, start: int, end: int) -> set[int]:
        if self._everything:
            return {ANY}
        low = bisect_left(self._positions, start)
        return set(self._orders[low : bisect_left(self._positions, end, low)])

    def _message(  # noqa: C901  one branch for each kind of field
        self, start: int, end: int, message: Message, where: _Where | None, depth: int
    ) -> None:
        if depth > _MAX_DEPTH:
            raise WireError(f"messages nested deeper than {_MAX_DEPTH} at byte {start}")
        force = where is not None and where.force
        structure = self._mode is Mode.STRUCTURE
        for field in wire.fields(self._body, start, end):
            known = message.fields.get(field.number)
            if not (force or structure or self._wanted(field.content, field.end)):
                continue
            if known is None:
                self._opaque(field)
            elif known.kind is Kind.TEXT or known.kind is Kind.BYTES:
                self._text(field, where)
            elif known.message is None:
                if known.kind is not Kind.NUMBERS and field.end - field.content > _ID_SIZES[known.kind]:
                    self._opaque(field)
            elif known.kind is Kind.RECORD:
                self._visit_record(field, known.message, depth)
            elif known.kind is Kind.KEY_VALUE:
                self._attribute(field, where, depth)
            else:
                inner = where
                if known.kind is Kind.ANY_VALUE and where is None:
                    inner = _Where(b"body", nested=True, force=False, droppable=False)
                mark = len(self._edits)
                self._message(field.content, field.end, known.message, inner, depth + 1)
                self._relength(field, mark)

    def _relength(self, field: WireField, mark: int) -> None:
        """Write the length of a field anew if the edits since ``mark`` have changed it."""
        grown = wire.delta(self._edits, mark)
        if grown:
            length = wire.varint(field.end - field.content + grown)
            self._edits.append(Edit(field.length_start, field.content, length))

    def _replace(self, field: WireField, content: bytes) -> None:
        self._edits.append(Edit(field.length_start, field.end, wire.varint(len(content)) + content))

    def _remove(self, field: WireField, mark: int) -> None:
        del self._edits[mark:]
        self._edits.append(Edit(field.start, field.end, b""))

    def _visit_record(self, field: WireField, message: Message, depth: int) -> None:
        record = _Record(field.content, field.end, message.attributes, Findings())
        mark = len(self._edits)
        self._record = record
        self._leaves.findings = record.findings
        try:
            self._message(field.content, field.end, message, None, depth + 1)
        except DropRecord:
            self._remove(field, mark)
            return
        finally:
            self._record = None
            self._leaves.findings = Findings()
        if self._mode is Mode.MASK:
            record.findings.failed = True
        if record.findings and self._plan.annotate:
            self._annotate(record, mark)
        self._relength(field, mark)

    def _annotate(self, record: _Record, mark: int) -> None:
        inside = self._edits[mark:]
        added = annotation(
            self._body,
            (record.start, record.end),
            record.attributes,
            record.findings,
            rules=self._plan.rules_version,
            is_edited=lambda start, end: any(start <= edit.start and edit.end <= end for edit in inside),
        )
        removed = [edit for edit in added if edit.end > edit.start]
        if removed:  # what was edited inside an attribute that goes is no edit any more
            self._edits[mark:] = [
                edit
                for edit in inside
                if not any(gone.start <= edit.start and edit.end <= gone.end for gone in removed)
            ]
        self._edits += added

    def _text(self, field: WireField, where: _Where | None) -> None:
        hits = self._hits(field.content, field.end)
        force = where is not None and where.force
        if not (hits or force or field.end - field.content > self._limit):
            return
        text = self._body[field.content : field.end]
        if self._mode is Mode.MASK:
            replaced = self._leaves.masked(text)
        else:
            keyed = where is not None and (force or self._plan.has_key_hit(hits))
            path = where.path if where is not None and keyed else None
            replaced = self._leaves.redact(text, hits, path, self._tool, in_record=self._record is not None,
                                           in_attribute=where is not None and where.droppable)  # fmt: skip
        if replaced != text:
            self._replace(field, replaced)

    def _opaque(self, field: WireField) -> None:
        """A field that the schema does not know: it may hold a message, so nothing may move in it."""
        hits = self._hits(field.content, field.end) if self._mode is Mode.HITS else {ANY}
        text = self._body[field.content : field.end]
        replaced = b"*" * len(text) if self._mode is Mode.MASK else self._leaves.mask_in_place(text, hits)
        if replaced != text:
            self._edits.append(Edit(field.content, field.end, replaced))

    def _tool(self) -> bytes | None:
        record = self._record
        if record is None:
            return None
        return string_attribute(self._body, record.start, record.end, record.attributes, _TOOL)

    def _attribute(self, field: WireField, where: _Where | None, depth: int) -> None:
        mark = len(self._edits)
        try:
            stays = self._key_value(field, where, depth)
        except DropAttribute:
            if where is not None and where.droppable:
                raise  # the outermost attribute goes
            stays = False
        if stays:
            self._relength(field, mark)
        else:
            self._remove(field, mark)

    def _key_value(  # noqa: C901  every action by key
        self, field: WireField, where: _Where | None, depth: int
    ) -> bool:
        """Visit a KeyValue; says whether it stays."""
        keys: list[WireField] = []
        values: list[WireField] = []
        for part in wire.fields(self._body, field.content, field.end):
            if part.number in {_KEY, _VALUE}:
                (keys if part.number == _KEY else values).append(part)
            elif self._mode is Mode.STRUCTURE or self._wanted(part.content, part.end):
                self._opaque(part)
        for part in keys:
            self._key(part)
        key = self._body[keys[-1].content : keys[-1].end] if keys else b""
        path = key if where is None else joined(where.path, key)
        force = where is not None and where.force
        if self._plan.keys and self._mode is not Mode.MASK:
            looked_at = force or any(
                self._plan.has_key_hit(self._hits(part.content, part.end)) for part in keys
            )
            rule = self._plan.keys.find(path, self._tool, nested=where is not None) if looked_at else None
            if rule is not None and rule.action != "keep" and values:
                if rule.action == "tag":
                    self._leaves.note_key(rule, edits=0)
                elif rule.action in {"drop", "drop_span"}:
                    self._leaves.note_key(rule)
                    if rule.action == "drop_span" and self._record is not None:
                        raise DropRecord
                    return False
                elif self._replaced_by_key(rule, values):
                    return True
            force = force or (looked_at and self._plan.keys.inside_json)
        inner = _Where(path, nested=True, force=force)
        for part in values:
            if force or self._mode is Mode.STRUCTURE or self._wanted(part.content, part.end):
                mark = len(self._edits)
                self._message(part.content, part.end, ANY_VALUE, inner, depth + 1)
                self._relength(part, mark)
        return True

    def _replaced_by_key(self, rule: KeyRule, values: list[WireField]) -> bool:
        """Replace a value by the rule for its key; says whether there was something to replace."""
        last = values[-1]
        raw = self._body[last.content : last.end]
        text: bytes | None = None
        for part in wire.fields(self._body, last.content, last.end):
            text = self._body[part.content : part.end] if part.number == _STRING else None
        content = keyed_value(self._plan.replacer, rule, text, raw)
        if content is None:
            if len(values) == 1 and raw == wire.delimited(_STRING, text or b""):
                return False
            content = text or b""
        self._leaves.note_key(rule)
        self._replace(last, wire.delimited(_STRING, content))
        for part in values[:-1]:
            self._edits.append(Edit(part.start, part.end, b""))
        return True

    def _key(self, part: WireField) -> None:
        if self._mode is Mode.MASK:
            text = self._body[part.content : part.end]
            replaced = self._leaves.masked_key(text)
            if replaced != text:
                self._replace(part, replaced)
        else:
            self._text(part, None)

    def _by_key(self, rule: KeyRule, field: WireField, values: list[WireField]) -> bool:
        """Apply a key rule; says whether the value is settled."""
        if not values:
            return False
        if rule.action == "tag":
            self._leaves.note_key(rule, edits=0)
            return False
        if rule.action == "drop_span" and self._record is not None:
            self._leaves.note_key(rule)
            raise DropRecord
        if rule.action in {"drop", "drop_span"}:
            self._leaves.note_key(rule)
            self._edits.append(Edit(field.start, field.end, b""))
            return True
        text: bytes | None = None
        last = values[-1]
        for part in wire.fields(self._body, last.content, last.end):
            text = self._body[part.content : part.end] if part.number == 1 else None
        raw = self._body[last.content : last.end]
        content = keyed_value(self._plan.replacer, rule, text, raw)
        if content is None and len(values) == 1:
            return True
        self._leaves.note_key(rule)
        self._replace(last, wire.delimited(1, content if content is not None else text or b""))
        for part in values[:-1]:
            self._edits.append(Edit(part.start, part.end, b""))
        return True
