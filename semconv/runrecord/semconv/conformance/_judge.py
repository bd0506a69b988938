# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Judge one record by the table of its signal. Nothing here knows of any other record."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Final

from runrecord.semconv import attributes as a
from runrecord.semconv.conformance._conflicts import conflicts, status_problems
from runrecord.semconv.conformance._tables import ANYWHERE, CONTENT, Table, Tables, ValueCheck
from runrecord.semconv.conformance._upstream import REPLACED
from runrecord.semconv.conformance._values import has_type, plain, type_name
from runrecord.semconv.conformance.findings import Problem, printable
from runrecord.semconv.conformance.records import LogRecord, SpanRecord, Values
from runrecord.semconv.conformance.rules import Severity

__all__ = ["Judge"]

_GEN_AI: Final = "gen_ai."
_TOOL: Final = "gen_ai.tool."
_ZERO: Final = frozenset("0")
_HEX_OR_UUID: Final = re.compile(r"[0-9a-fA-F]{16,}|[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_IDS: Final = (
    a.RUN_ID,
    a.DECISION_ID,
    a.APPROVAL_ID,
    a.SUBJECT_ID,
    a.STEP_ID,
    a.GEN_AI_TOOL_CALL_ID,
    a.GEN_AI_CONVERSATION_ID,
)
_EXCEPTION_TEXTS: Final = frozenset({"exception.message", "exception.stacktrace"})
_MAX_NAMES: Final = 10_000
_MASKED: Final = Problem("redaction-failed", "the redactor could not look at the record", a.REDACTION_FAILED)


class Judge:
    """Judges spans and log records one by one.

    Args:
        tables: the registry.
        payload_free: content is a violation wherever it is, also where it may be switched on.
    """

    def __init__(self, tables: Tables, *, payload_free: bool) -> None:
        self._tables = tables
        self._content = Severity.VIOLATION if payload_free else Severity.INFORMATION
        self._names: dict[str, bool] = {}
        self._looked_at = (*tables.namespaces, _GEN_AI)

    def span(self, record: SpanRecord) -> tuple[Table | None, list[Problem]]:
        """Judge a span; return what it was taken for and what is wrong with it."""
        problems: list[Problem] = []
        attributes = record.attributes
        if attributes.get(a.REDACTION_FAILED) is True:
            return None, [_MASKED]
        table = self._tables.governed(record.name, attributes)
        if table is None or not table.own:
            official = self._tables.official(attributes, record.kind)
            judged = table or (official[0] if official else None)
        else:
            official, judged = (), table
        if judged is None:
            self._loose(record, problems)
            return None, problems
        self._attributes(judged, record, problems)
        self._shape(judged, official, record, problems)
        if judged.governed:
            problems += conflicts(judged.id, record)
            if judged.counted:
                self._free_of_content(record, problems)
            if record.status == "error":
                problems += status_problems(record)
        if not judged.counted:
            self._index_alone(record, problems)
        return judged, problems

    def log(self, record: LogRecord) -> tuple[Table | None, list[Problem]]:
        """Judge a log record; return what it was taken for and what is wrong with it."""
        problems: list[Problem] = []
        if record.attributes.get(a.REDACTION_FAILED) is True:
            return None, [_MASKED]
        judged = self._tables.events.get(record.name) if record.name else None
        if judged is None:
            if record.name.startswith(self._tables.namespaces):
                problems.append(Problem("unknown-event", "the registry has no event of this name"))
            else:
                self._loose(record, problems)
            return None, problems
        if judged.governed and not judged.own and self._tables.own_keys.isdisjoint(record.attributes):
            return None, problems  # an official event that carries nothing of ours
        self._attributes(judged, record, problems)
        if judged.own:
            if record.has_body:
                problems.append(Problem("content-captured", "events of ours have no body"))
            if record.schema_url == "":
                problems.append(Problem("missing-schema-url", "the scope has no schema URL"))
        self._repeated(record, problems)
        if judged.governed:
            problems += conflicts(judged.id, record)
        return judged, problems

    # attributes

    def _attributes(self, table: Table, record: SpanRecord | LogRecord, problems: list[Problem]) -> None:
        attributes, uses, looked_at = record.attributes, table.uses, self._looked_at
        for key, value in attributes.items():
            check = uses.get(key)
            if check is None:
                if key.startswith(looked_at) or key in REPLACED:
                    problems += self._other(table, key, value)
            elif type(value) is not check.type:
                problems += _value(check, value)
            elif check.members is not None:
                if value not in check.members:
                    problems.append(_unknown_member(check))
            elif check.validate is not None and (problem := check.validate(value)) is not None:
                problems.append(problem)
        if not table.content.isdisjoint(attributes):
            problems += [self._captured(key) for key in sorted(table.content) if key in attributes]
        _missing(table, record, problems)

    def _other(self, table: Table, key: str, value: Any) -> Iterable[Problem]:
        """Judge an attribute that the signal does not list."""
        if key.startswith(self._tables.namespaces):
            if table.governed or key not in ANYWHERE:
                return self._own(key, f"does not belong on {table.id}")
            return _value(self._tables.checks[key], value)
        if table.own and key.startswith(_GEN_AI):
            return (_official_on_own(key),)
        return self._foreign(key, value)

    def _own(self, key: str, misplaced: str) -> Iterable[Problem]:
        attribute = self._tables.registry.attributes.get(key)
        shown = printable(key)
        if attribute is None:
            close = get_close_matches(key[:200], self._tables.own_keys, n=1, cutoff=0.8)
            meant = f"; {close[0]} is" if close else ""
            return (Problem("unknown-attribute", f"{shown} is not in the registry{meant}", key),)
        if attribute.deprecated:
            by = f"; {attribute.renamed_to} took its place" if attribute.renamed_to else ""
            return (Problem("deprecated-attribute", f"{shown} is deprecated{by}", key),)
        return (Problem("misplaced-attribute", f"{shown} {misplaced}", key),)

    def _foreign(self, key: str, value: Any) -> Iterable[Problem]:
        """Judge an official attribute on a span that is not purely ours."""
        check = self._tables.checks.get(key)
        content = (self._captured(key),) if key in CONTENT else ()
        if check is not None and not check.attribute.deprecated:
            return (*_value(check, value), *content)
        replaced = REPLACED.get(key) or (check.attribute.renamed_to if check else "")
        if replaced or check is not None:
            by = f"; {replaced} took its place" if replaced else ""
            return (Problem("official-deprecated-attribute", f"{key} is deprecated{by}", key), *content)
        if key.startswith(_GEN_AI):
            return (Problem("official-unknown-attribute", f"{printable(key)} is not known", key),)
        return ()

    def _captured(self, key: str) -> Problem:
        return Problem("content-captured", f"{key} holds content", key, self._content)

    # the span itself

    def _shape(
        self, table: Table, official: Sequence[Table], record: SpanRecord, problems: list[Problem]
    ) -> None:
        foreign = table.own and record.name.partition(" ")[0] != table.operation
        if not (foreign and a.STEP_KIND in record.attributes):  # an SDK's own step span
            self._kind(table, official, record, problems)
            self._name((table, *official), record, problems)
            if table.own and record.schema_url == "":
                problems.append(Problem("missing-schema-url", "the scope has no schema URL"))
        start, end = record.start, record.end
        if start is not None and end is not None:
            if not start or not end:
                problems.append(Problem("not-ended", f"the span has no {'end' if start else 'start'} time"))
            elif end < start:
                problems.append(Problem("end-before-start", "the span ends before it starts"))
        for name, value, length in (("trace", record.trace_id, 32), ("span", record.span_id, 16)):
            if len(value) != length or _ZERO.issuperset(value):
                problems.append(Problem("invalid-ids", f"the {name} id is missing or malformed"))
        self._repeated(record, problems)

    def _kind(
        self, table: Table, official: Sequence[Table], record: SpanRecord, problems: list[Problem]
    ) -> None:
        if record.kind in table.kinds:
            return
        kinds = dict.fromkeys([*table.kinds, *(kind for other in official for kind in other.kinds)])
        if record.kind not in kinds:
            rule = "wrong-kind" if table.own else "official-wrong-kind"
            problems.append(
                Problem(rule, f"the kind is {record.kind or 'unspecified'} and must be {' or '.join(kinds)}")
            )

    def _name(self, tables: Sequence[Table], record: SpanRecord, problems: list[Problem]) -> None:
        name, table = record.name, tables[0]
        tail = name.partition(" ")[2]
        if tail and (self._looks_like_an_id(name) or _holds_id(tail, record.attributes)):
            problems.append(Problem("id-in-span-name", "the name holds an id"))
        elif not any(other.names(name, record.attributes) for other in tables):
            rule = "wrong-name" if table.own else "official-wrong-name"
            problems.append(Problem(rule, f"the name does not follow the pattern {' '.join(table.tokens)!r}"))

    def _looks_like_an_id(self, name: str) -> bool:
        known = self._names.get(name)
        if known is None:
            known = _HEX_OR_UUID.search(name) is not None
            if len(self._names) < _MAX_NAMES:
                self._names[name] = known
        return known

    def _free_of_content(self, record: SpanRecord, problems: list[Problem]) -> None:
        if record.described:
            text = "the status has a description, which is the text of an error"
            problems.append(Problem("content-captured", text, severity=self._content))
        for name, keys in record.events:
            if not _EXCEPTION_TEXTS.isdisjoint(keys):
                text = f"the span event {printable(name)} holds the text of an exception"
                problems.append(Problem("content-captured", text, severity=self._content))

    # records that are no signal

    def _loose(self, record: SpanRecord | LogRecord, problems: list[Problem]) -> None:
        attributes = record.attributes
        form = "span" if isinstance(record, SpanRecord) else "log record"
        for key, value in attributes.items():
            if key.startswith(self._tables.namespaces):
                if key in ANYWHERE:
                    problems += _value(self._tables.checks[key], value)
                elif key.startswith("runrecord.") or key in self._tables.own_keys:
                    problems += self._own(key, f"is on a {form} that is not governed")
            elif isinstance(record, SpanRecord) and (key.startswith(_GEN_AI) or key in REPLACED):
                problems += self._foreign(key, value)
        self._index_alone(record, problems)

    def _index_alone(self, record: SpanRecord | LogRecord, problems: list[Problem]) -> None:
        if a.STEP_INDEX in record.attributes and a.RUN_ID not in record.attributes:
            text = f"{a.STEP_INDEX} is set and {a.RUN_ID} is not"
            problems.append(Problem("step-index-without-run", text, a.STEP_INDEX))

    def _repeated(self, record: SpanRecord | LogRecord, problems: list[Problem]) -> None:
        for key, differs in record.repeated:
            how = "with different values" if differs else "with the same value"
            problems.append(
                Problem("duplicate-attribute", f"{printable(key)} is there more than once, {how}", key)
            )


def _holds_id(tail: str, attributes: Values) -> bool:
    for key in _IDS:  # noqa: SIM110 - half the time of any()
        if attributes.get(key) == tail:
            return True
    return False


def _missing(table: Table, record: SpanRecord | LogRecord, problems: list[Problem]) -> None:
    attributes = record.attributes
    for key, official in table.required:
        if key not in attributes:
            rule = "official-missing-required" if official else "missing-required"
            problems.append(Problem(rule, f"{key} is required and missing", key))
    for key, holds, condition, official in table.conditional:
        if key not in attributes and holds(record):
            problems.append(_missing_conditional(key, condition, official=official))


def _value(check: ValueCheck, value: Any) -> Iterable[Problem]:
    """Judge a value that is an array, an enumeration of Python, or of a wrong type."""
    attribute, value = check.attribute, plain(value)
    if not has_type(value, attribute.type):
        rule = "official-wrong-type" if attribute.official else "wrong-type"
        text = f"{attribute.key} is of type {type_name(value)} and must be of type {attribute.type}"
        return (Problem(rule, text, attribute.key),)
    if check.members is not None and value not in check.members:
        return (_unknown_member(check),)
    problem = check.validate(value) if check.validate is not None else None
    return (problem,) if problem is not None else ()


def _unknown_member(check: ValueCheck) -> Problem:
    # The value itself stays out of the message: it may be content that went to the wrong place.
    key = check.attribute.key
    if key == a.GEN_AI_OPERATION_NAME:
        return Problem("official-unknown-operation", f"{key} is not in the closed list of operations", key)
    rule = "official-unknown-member" if check.attribute.official else "unknown-member"
    return Problem(rule, f"{key} has a value that is not one of its members", key)


def _missing_conditional(key: str, condition: str, *, official: bool) -> Problem:
    because = condition[:1].lower() + condition[1:].removesuffix(".")
    if official:
        return Problem("official-missing-conditional", f"{key} is missing; it is required {because}", key)
    return Problem("missing-conditional", f"{key} is missing; it is required {because}", key)


def _official_on_own(key: str) -> Problem:
    text = f"{printable(key)} would make a reader take this for an official record"
    if key == a.GEN_AI_OPERATION_NAME:
        return Problem("governance-span-with-operation-name", text, key)
    if key in CONTENT:
        return Problem("content-captured", f"{key} holds content, which this signal never carries", key)
    if key.startswith(_TOOL):
        return Problem("tool-attributes-on-own-span", text, key)
    return Problem("official-attribute-on-own-span", text, key)
