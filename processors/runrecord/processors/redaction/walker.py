# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Visit the text fields of a serialised export request that a scan has pointed at, and collect the edits."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import NamedTuple

from runrecord.processors.redaction import wire
from runrecord.processors.redaction.annotate import Findings, annotation
from runrecord.processors.redaction.context import NOWHERE, Context
from runrecord.processors.redaction.facts import read_facts
from runrecord.processors.redaction.kept import is_kept
from runrecord.processors.redaction.keys import KeyRule, joined
from runrecord.processors.redaction.leaf import ANY, DropAttribute, DropRecord, Leaves, Plan
from runrecord.processors.redaction.offload import Offloaded, reference
from runrecord.processors.redaction.schema import ANY_VALUE, Field, Kind, Message
from runrecord.processors.redaction.wire import Edit, WireError, WireField

_MAX_DEPTH = 100  # the limit of the protobuf parsers
_ID_SIZES = {Kind.TRACE_ID: 16, Kind.SPAN_ID: 8}
_KEY, _VALUE = 1, 2
_STRING = 1
_ANY_RULE: Mapping[int, list[int]] = {ANY: []}


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
        context: What is known about the request as a whole.

    Attributes:
        offloaded: The texts to which the redacted request refers; they must be stored before it goes on.
    """

    def __init__(
        self,
        plan: Plan,
        leaves: Leaves,
        body: bytes,
        hits: Sequence[Hit],
        mode: Mode,
        *,
        context: Context = NOWHERE,
    ) -> None:
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
        self._asks = plan.asks_for_facts
        self.offloaded: list[Offloaded] = []
        self._unplaced: list[Offloaded] = []  # those of them whose reference has no place yet
        leaves.context = context

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

    def _hits(self, start: int, end: int) -> Mapping[int, list[int]]:
        """The rules that the scan has pointed at here, each with the offsets of the ends of its hits."""
        if self._everything:
            return _ANY_RULE
        found: dict[int, list[int]] = {}
        for index in range(bisect_left(self._positions, start), len(self._positions)):
            position = self._positions[index]
            if position >= end:
                break
            found.setdefault(self._orders[index], []).append(position + 1 - start)
        return found

    def _message(self, start: int, end: int, message: Message, where: _Where | None, depth: int) -> None:
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
            elif known.kind is Kind.KEY_VALUE:
                self._attribute(field, where, depth)
            elif known.message.facts and self._asks:
                outer = self._leaves.context
                self._leaves.context = Context(
                    partial(read_facts, self._body, field.content, field.end, known.message.facts), outer
                )
                self._inner(field, known, where, depth)
                self._leaves.context = outer
            else:
                self._inner(field, known, where, depth)

    def _inner(self, field: WireField, known: Field, where: _Where | None, depth: int) -> None:
        """Visit a message inside a message."""
        assert known.message is not None
        if known.kind is Kind.RECORD:
            self._visit_record(field, known.message, depth)
            return
        if known.kind is Kind.ANY_VALUE and where is None:
            where = _Where(b"body", nested=True, force=False, droppable=False)
        mark = len(self._edits)
        self._message(field.content, field.end, known.message, where, depth + 1)
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
        for texts in (self.offloaded, self._unplaced):
            while texts and texts[-1].position >= field.start:
                texts.pop()
        self._edits.append(Edit(field.start, field.end, b""))

    def _visit_record(self, field: WireField, message: Message, depth: int) -> None:
        record = _Record(field.content, field.end, message.attributes, Findings())
        mark, unplaced = len(self._edits), len(self._unplaced)
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
        self._refer(record.end, record.attributes, unplaced)
        if self._mode is Mode.MASK:
            record.findings.failed = True
        if record.findings and self._plan.annotate:
            self._annotate(record, mark)
        self._relength(field, mark)

    def _annotate(self, record: _Record, mark: int) -> None:
        inside = sorted(self._edits[mark:])
        starts = [edit.start for edit in inside]

        def is_edited(start: int, end: int) -> bool:
            first = bisect_left(starts, start)
            while first < len(inside) and inside[first].end == start:
                first += 1  # what was put behind the attribute before
            return first < len(inside) and inside[first].end <= end

        added = annotation(
            self._body,
            (record.start, record.end),
            record.attributes,
            record.findings,
            rules=self._plan.rules_version,
            is_edited=is_edited,
        )
        removed = [edit for edit in added if edit.end > edit.start]
        if removed:  # what was edited inside an attribute that goes is no edit any more
            ends = [edit.end for edit in removed]

            def stays(edit: Edit) -> bool:
                gone = bisect_left(ends, edit.end)
                return (
                    gone == len(removed)
                    or edit.start < removed[gone].start
                    or edit.end == removed[gone].start
                )

            self._edits[mark:] = [edit for edit in self._edits[mark:] if stays(edit)]
        self._edits += added

    def _refer(self, position: int, number: int, mark: int) -> None:
        """Put references to what was offloaded since ``mark`` at the end of a list of attributes, or behind one."""
        for text in self._unplaced[mark:]:
            self._edits.append(Edit(position, position, reference(number, text)))
        del self._unplaced[mark:]

    def _text(self, field: WireField, where: _Where | None) -> None:
        hits = self._hits(field.content, field.end)
        force = where is not None and where.force
        if not (hits or force or field.end - field.content > self._limit):
            return
        text = self._body[field.content : field.end]
        if self._mode is Mode.MASK:
            kept = self._record is not None and where is not None and is_kept(where.path, text)
            replaced = text if kept else self._leaves.masked(text)
        else:
            keyed = where is not None and (force or self._plan.has_key_hit(hits))
            path = where.path if where is not None and keyed else None
            in_attribute = where is not None and where.droppable
            replaced = self._leaves.redact(
                text, hits, path, in_record=self._record is not None, in_attribute=in_attribute
            )
            replaced = self._fitted(replaced, field, where)
        if replaced != text:
            self._replace(field, replaced)

    def _fitted(self, text: bytes, field: WireField, where: _Where | None) -> bytes:
        in_attribute = where is not None and where.droppable
        kept, offload = self._leaves.fit(text, in_attribute=in_attribute, can_refer=where is not None)
        if offload:
            assert where is not None
            assert self._plan.store is not None
            name = self._leaves.name(where.path)
            self.offloaded.append(Offloaded.of(text, self._plan.store, name, field.content))
            self._unplaced.append(self.offloaded[-1])
        return kept

    def _opaque(self, field: WireField) -> None:
        """A field that the schema does not know: it may hold a message, so nothing may move in it."""
        hits = self._hits(field.content, field.end) if self._mode is Mode.HITS else _ANY_RULE
        text = self._body[field.content : field.end]
        replaced = b"*" * len(text) if self._mode is Mode.MASK else self._leaves.mask_in_place(text, hits)
        if replaced != text:
            self._edits.append(Edit(field.content, field.end, replaced))

    def _attribute(self, field: WireField, where: _Where | None, depth: int) -> None:
        mark, unplaced = len(self._edits), len(self._unplaced)
        outermost = where is None or not where.droppable
        try:
            stays = self._key_value(field, where, depth)
        except DropAttribute:
            if not outermost:
                raise
            stays = False
        if stays:
            self._relength(field, mark)
            if outermost:
                self._refer(field.end, field.number, unplaced)
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
            rule = (
                self._plan.keys.find(path, self._leaves.context, nested=where is not None)
                if looked_at
                else None
            )
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
        content = self._leaves.keyed_value(rule, text, raw)
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
