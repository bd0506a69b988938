# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The registry, made ready for judging many records: one table per signal, and what tells which signal a record is."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from runrecord.semconv import attributes as a
from runrecord.semconv._model import Attribute, Metric, Registry, Signal, Use
from runrecord.semconv.conformance._values import Validator, plain, validator
from runrecord.semconv.conformance.records import LogRecord, SpanRecord, Values

__all__ = ["ANYWHERE", "CONTENT", "Table", "Tables", "ValueCheck"]

ANYWHERE: Final = frozenset(
    {
        a.RUN_ID,
        a.STEP_INDEX,
        a.TENANT_ID,
        a.COST_AMOUNT,
        a.COST_CURRENCY,
        a.COST_SOURCE,
        a.LEDGER_ORIGIN,
        a.LEDGER_INDEX,
        a.LEDGER_LEAF_HASH,
        a.REDACTION_RULES,
        a.REDACTION_COUNT,
        a.REDACTION_KINDS,
        a.REDACTION_FAILED,
    }
)
"""What a record that is not governed may carry as well: correlation, the cost of a model call, marks of the processors."""

CONTENT: Final = frozenset(
    {
        "gen_ai.system_instructions",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.tool.definitions",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gen_ai.evaluation.explanation",
        "gen_ai.retrieval.documents",
        "gen_ai.retrieval.query.text",
        "gen_ai.memory.query.text",
        "gen_ai.memory.records",
        "gen_ai.prompt",
        "gen_ai.completion",
    }
)
"""The official attributes that hold what people, models and tools said."""

_MARKS: Final[Mapping[str, frozenset[str]]] = {
    "runrecord.run.agent": frozenset({a.RECORD_SEQ, a.RUN_STATE}),
    "runrecord.run.workflow": frozenset({a.RECORD_SEQ, a.RUN_STATE}),
    "runrecord.tool_call": frozenset({a.RECORD_SEQ, a.RUN_ID}),
}
"""What makes an official span a governed one."""

_KNOWN_BY: Final = (
    (a.DECISION_ID, "runrecord.policy_decision"),
    (a.STEP_KIND, "runrecord.step"),
    (a.VERIFICATION_TYPE, "runrecord.verification"),
    (a.COMPENSATION_OUTCOME, "runrecord.compensation"),
)
"""By what the ledger knows a span of ours whatever its name is."""

_INSTEAD: Final[Mapping[str, str]] = {
    a.POLICY_NAME: a.POLICY_ID,
    a.SUBJECT_NAME: a.SUBJECT_TYPE,
}
"""What takes the place of an attribute in a span name where that is missing."""

_METHODS: Final = ("mcp.method.name",)
"""Official attributes that tell the spans of a protocol."""

_IF_SET: Final = re.compile(r"If (\S+) is set\.")
_IF_EQUAL: Final = re.compile(r"If (\S+) is (\S+)\.")

Condition = Callable[[SpanRecord | LogRecord], bool]


def _attribute_is(key: str, value: object) -> Condition:
    return lambda record: record.attributes.get(key) == value


def _ended_with_error(record: SpanRecord | LogRecord) -> bool:
    return isinstance(record, SpanRecord) and record.status == "error"


def _has_links(record: SpanRecord | LogRecord) -> bool:
    return isinstance(record, SpanRecord) and bool(record.links)


def _attribute_in(key: str) -> Condition:
    return lambda record: key in record.attributes


def _was_answered(record: SpanRecord | LogRecord) -> bool:
    return plain(record.attributes.get(a.APPROVAL_STATUS)) in ("approved", "modified", "denied")


def _has_a_budget(record: SpanRecord | LogRecord) -> bool:
    return any(key.startswith("runrecord.budget.") for key in record.attributes)


def _was_redacted(record: SpanRecord | LogRecord) -> bool:
    count = record.attributes.get(a.REDACTION_COUNT)
    return isinstance(count, int) and count > 0


_CONDITIONS: Final[Mapping[str, Condition]] = {
    a.ERROR_TYPE: _ended_with_error,
    a.RUN_OUTCOME: _attribute_is(a.RUN_STATE, "completed"),
    a.DECISION_OUTCOME: lambda record: not _ended_with_error(record),
    a.ESCALATION_REASON_CODE: _attribute_is(a.RUN_OUTCOME, "escalated"),
    a.APPROVAL_SUBJECT_MODIFIED_DIGEST: _attribute_is(a.APPROVAL_STATUS, "modified"),
    a.APPROVAL_REQUEST_TRACE_ID: _has_links,
    a.APPROVAL_REQUEST_SPAN_ID: _has_links,
    a.APPROVAL_ACTOR_TYPE: _was_answered,
    a.REDACTION_COUNT: _attribute_in(a.REDACTION_KINDS),
    a.REDACTION_KINDS: _was_redacted,
    a.REDACTION_RULES: _was_redacted,
    **dict.fromkeys((a.BUDGET_ID, a.BUDGET_DIMENSION, a.BUDGET_LIMIT), _has_a_budget),
}
"""The conditions that a record itself can show to hold; the others are for people to judge."""


def condition_of(use: Use) -> Condition | None:
    """Return what decides whether the condition of a use holds; None where the record can't show it."""
    if use.level != "conditionally_required":
        return None
    if match := _IF_SET.fullmatch(use.condition):
        return _attribute_in(match[1])
    if match := _IF_EQUAL.fullmatch(use.condition):
        return _attribute_is(match[1], match[2])
    return _CONDITIONS.get(use.attribute.key)


@dataclass(slots=True)
class ValueCheck:
    """One attribute, ready for judging.

    Attributes:
        type: the exact Python type; None for arrays and for ``any``.
        members: the values of an enumeration, or None.
        validate: what else a value of the type must be, or None.
    """

    attribute: Attribute
    type: type | None
    members: frozenset[str] | None
    validate: Validator | None

    @classmethod
    def of(cls, attribute: Attribute) -> "ValueCheck":
        """Make the check of an attribute."""
        types = {"string": str, "int": int, "double": float, "boolean": bool}
        members = frozenset(member.value for member in attribute.members) or None
        return cls(attribute, types.get(attribute.type), members, validator(attribute))


class Table:
    """One signal, ready for judging.

    Attributes:
        own: it is ours or a team's, and does not refine an official one: no ``gen_ai.*`` may be on it.
        governed: it is not an official signal as it stands.
        counted: its spans are governed records, which take a number; a model call is none.
        marks: a span of this name or operation is this signal if it carries one of these.
        uses: what is known of each attribute that it may carry.
        required: keys, each with whether it is official.
        conditional: keys, each with its condition and the words for that.
        tokens: the words of the span name; a word in braces is the value of an attribute.
    """

    def __init__(self, signal: Signal, registry: Registry, checks: Mapping[str, ValueCheck]) -> None:
        """Prepare ``signal``; ``checks`` has every attribute of the registry."""
        self.signal = signal
        self.id = signal.id
        self.governed = not signal.official
        self.own = self.governed and signal.ref not in registry.official
        self.kinds = signal.kinds
        self.uses = {use.attribute.key: checks[use.attribute.key] for use in signal.uses}
        self.required = tuple(
            (use.attribute.key, use.attribute.official) for use in signal.uses if use.level == "required"
        )
        self.conditional = tuple(
            (use.attribute.key, condition, use.condition, use.attribute.official and signal.official)
            for use in signal.uses
            if (condition := condition_of(use)) is not None
        )
        self.content = frozenset(self.uses) & CONTENT
        self.tokens = tuple(signal.name.split(" "))
        self.operation = self.tokens[0]
        ours = {use.attribute.key for use in signal.uses if not use.attribute.official and not use.inherited}
        self.counted = signal.form == "event" or a.RECORD_SEQ in self.uses
        self.marks = _MARKS.get(signal.id) or frozenset(ours - ANYWHERE if self.counted else ours)

    @classmethod
    def merged(cls, tables: "Sequence[Table]") -> "Table":
        """Make one table of several signals that a span is at once: ours, and a team's refinement of the same span."""
        made = cls.__new__(cls)
        for name, value in vars(tables[0]).items():
            setattr(made, name, value)
        for other in tables[1:]:
            made.uses = {**other.uses, **made.uses}
            made.required = tuple(dict.fromkeys((*made.required, *other.required)))
            made.conditional = (*made.conditional, *other.conditional)
            made.content |= other.content
        return made

    def names(self, name: str, attributes: Values) -> bool:
        """Say whether a span with these attributes may have this name; what the pattern can't say, it may."""
        words: list[str] = []
        for token in self.tokens:
            if not token.startswith("{"):
                words.append(token)
                continue
            key = token[1:-1]
            value = plain(attributes.get(key) or attributes.get(_INSTEAD.get(key, "")))
            if not isinstance(value, str):
                start = " ".join(words)
                return name == start or name.startswith(f"{start} ") or not start
            words.append(value)
        return name == " ".join(words)


class Tables:
    """All signals of a registry, and what tells them apart.

    Attributes:
        namespaces: prefixes of the attributes and events that the registry defines, ours and those of teams.
        operations: the closed list of ``gen_ai.operation.name``; empty where the registry has no official part.
    """

    def __init__(self, registry: Registry) -> None:
        """Prepare ``registry``."""
        self.registry = registry
        self.checks = {key: ValueCheck.of(attribute) for key, attribute in registry.attributes.items()}
        own = [item.key for item in registry.attributes.values() if not item.official]
        self.namespaces = tuple(sorted({key.split(".", 1)[0] + "." for key in own} | {"runrecord."}))
        self.own_keys = frozenset(own)
        self.events: dict[str, Table] = {}
        self._spans: dict[str, list[Table]] = {}
        self._by_id: dict[str, Table] = {}
        self._merged: dict[tuple[Table, ...], Table] = {}
        for signal in registry.signals.values():
            table = self._by_id[signal.id] = Table(signal, registry, self.checks)
            if signal.form == "event":
                self.events[signal.name] = table
            else:
                for operation in signal.operations or (table.operation,):
                    self._spans.setdefault(operation, []).append(table)
        self._official: dict[str, list[Table]] = {}
        self._by_method: dict[str, list[Table]] = {}
        for signal in registry.official.values():
            table = Table(signal, registry, self.checks)
            if signal.form == "event":
                self.events.setdefault(signal.name, table)
            for operation in signal.operations:
                self._official.setdefault(operation, []).append(table)
            if a_method := next((key for key in _METHODS if table.tokens[0] == f"{{{key}}}"), None):
                self._by_method.setdefault(a_method, []).append(table)
        listed = registry.attributes.get(a.GEN_AI_OPERATION_NAME)
        self.operations = frozenset(member.value for member in listed.members) if listed else frozenset[str]()
        self.metrics: Mapping[str, Metric] = {
            item.name: item for item in (*registry.official_metrics.values(), *registry.metrics.values())
        }

    def governed(self, name: str, attributes: Values) -> Table | None:
        """Find which signal of the registry a span is; None for a span that is not governed.

        By the first word of its name, if it carries what marks such a span, since anybody may name a span ``verify``;
        else by the attribute that the ledger knows it by. An SDK's own step span is one of the latter.
        """
        if (table := self._marked(name.partition(" ")[0], attributes)) is not None:
            return table
        operation = attributes.get(a.GEN_AI_OPERATION_NAME)
        if operation is not None:
            return self._marked(str(plain(operation)), attributes)
        for key, signal in _KNOWN_BY:
            if key in attributes:
                return self._by_id.get(signal)
        return None

    def _marked(self, operation: str, attributes: Values) -> Table | None:
        tables = self._spans.get(operation)
        if tables is None:
            return None
        if len(tables) == 1:
            return None if tables[0].marks.isdisjoint(attributes) else tables[0]
        marked = tuple(table for table in tables if not table.marks.isdisjoint(attributes))
        if len(marked) > 1 and marked not in self._merged:
            self._merged[marked] = Table.merged(marked)
        return self._merged[marked] if len(marked) > 1 else marked[0] if marked else None

    def official(self, attributes: Values, kind: str) -> Sequence[Table]:
        """Find which official signals a span may be, the one with its kind first.

        By its operation, but for protocols that say so themselves: a call of an MCP tool has the operation of a tool call.
        """
        operation: Any = plain(attributes.get(a.GEN_AI_OPERATION_NAME))
        tables: Sequence[Table] = self._official.get(operation, ()) if isinstance(operation, str) else ()
        for key in _METHODS:
            if key in attributes:
                tables = self._by_method.get(key, tables)
        if len(tables) > 1:
            return sorted(tables, key=lambda table: (kind not in table.kinds, len(table.required)))
        return tables
