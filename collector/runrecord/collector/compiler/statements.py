# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The redaction policy as statements of OTTL, the collector's transformation language, and as redaction processors."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from runrecord.collector.compiler.re2 import translate
from runrecord.collector.compiler.report import Difference, Effect, Report
from runrecord.processors.redaction.actions import TOKEN
from runrecord.processors.signal import Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from runrecord.processors.redaction.policy import ConditionSetting, RedactionPolicy
    from runrecord.processors.redaction.rule import Rule

MAPS: Final[dict[Signal, dict[str, str]]] = {
    Signal.TRACES: {
        "resource attributes": "resource.attributes",
        "scope attributes": "scope.attributes",
        "span attributes": "span.attributes",
        "event attributes": "spanevent.attributes",
    },
    Signal.LOGS: {
        "resource attributes": "resource.attributes",
        "scope attributes": "scope.attributes",
        "log attributes": "log.attributes",
    },
    Signal.METRICS: {
        "resource attributes": "resource.attributes",
        "scope attributes": "scope.attributes",
        "data point attributes": "datapoint.attributes",
    },
}
"""Fields with attributes that statements reach, by signal, with OTTL's path."""
TEXTS: Final[dict[Signal, dict[str, str]]] = {
    Signal.TRACES: {
        "span name": "span.name",
        "span status": "span.status.message",
        "event name": "spanevent.name",
    },
    Signal.LOGS: {"log body": "log.body.string", "log severity": "log.severity_text"},
    Signal.METRICS: {"metric name": "metric.name", "metric description": "metric.description"},
}
"""Fields with one text that statements reach."""
UNREACHED: Final[dict[Signal, tuple[str, ...]]] = {
    Signal.TRACES: ("link attributes", "trace state", "scope name", "schema URL"),
    Signal.LOGS: ("log event name", "scope name", "schema URL"),
    Signal.METRICS: ("metric unit", "exemplar attributes", "metric metadata", "scope name", "schema URL"),
}
"""Fields that neither OTTL nor the redaction processor reaches, or that ours alone looks at."""
_FACTS: Final = {
    "tool": ("gen_ai.tool.name", False),
    "agent": ("gen_ai.agent.name", False),
    "tenant": ("runrecord.tenant.id", True),
    "environment": ("deployment.environment.name", True),
}
"""Conditions of the policy: the attribute, and whether the resource may have it."""
_RECORD: Final = {Signal.TRACES: "span", Signal.LOGS: "log", Signal.METRICS: "datapoint"}


@dataclass
class Processors:
    """What one signal goes through.

    Attributes:
        statements: Of a transform processor.
        blocked_keys: Of a redaction processor: regexes of keys whose values are masked.
        dropped: Of a filter processor: conditions under which a record is dropped.
    """

    statements: list[str] = field(default_factory=list[str])
    blocked_keys: list[str] = field(default_factory=list[str])
    dropped: list[str] = field(default_factory=list[str])


def text(value: str) -> str:
    """Write a string of OTTL."""
    return json.dumps(value, ensure_ascii=False)


def patterns(signal: Signal, rules: Sequence[Rule], actions: Mapping[str, str]) -> list[str]:
    """Return statements that replace what rules match.

    Args:
        signal: Whose fields.
        rules: In the order of the policy.
        actions: The action of each, by id.
    """
    made: list[str] = []
    for rule in rules:
        if actions[rule.id] == "tag":
            continue
        pattern = text(translate(rule).pattern)
        token = text(f"${{1}}{replacement(rule, actions[rule.id])}${{2}}")
        one = [f'replace_all_patterns({path}, "value", {pattern}, {token})' for path in MAPS[signal].values()]
        one += [f"replace_pattern({path}, {pattern}, {token})" for path in TEXTS[signal].values()]
        made += one + one  # the second finds what shares a character with the match before it (see re2.py)
    return made


def replacement(rule: Rule, action: str) -> str:
    """What stands for a match; a dollar sign of it would be read as a group."""
    return "***" if action == "mask" else f"[{rule.kind.upper()}]"


def keys(signal: Signal, policy: RedactionPolicy, made: Processors) -> None:
    """Add what the policy says about keys, and about content.

    Args:
        signal: Whose attributes.
        policy: The policy.
        made: Takes the statements, the masked keys and the conditions.
    """
    for setting in policy.keys:
        _key(signal, setting.match, setting.action, _where(signal, setting), made, is_glob=True)
    for key, choices in policy.content.items():
        before: list[str] = []
        for choice in choices:
            where = _where(signal, choice)
            _key(signal, key, choice.action, [*before, *where], made, is_glob=False)
            if where:
                before = [*before, f"not ({' and '.join(where)})"]


def _key(
    signal: Signal, match: str, action: str, where: list[str], made: Processors, *, is_glob: bool
) -> None:
    exact = not is_glob or not any(char in match for char in "*?")
    for path in MAPS[signal].values():
        conditions = where if path.startswith((_RECORD[signal], "resource")) else []
        if where and path.startswith("resource"):
            continue  # a resource has no tool; its keys are not conditional here
        if action == "drop" or (action == "drop_span" and not exact):
            call = f"delete_matching_keys({path}, {text(glob_regex(match, ignore_case=is_glob))})"
            made.statements.append(call + _if(conditions))
        elif action in {"token", "mask", "hash", "pseudonym"} and exact:
            put = text("***" if action == "mask" else TOKEN.decode())
            place = f"{path}[{text(match)}]"
            made.statements.append(f"set({place}, {put})" + _if([f"{place} != nil", *conditions]))
        elif action == "drop_span" and path.startswith(_RECORD[signal]):
            place = f"{path.partition('.')[2]}[{text(match)}]"
            made.dropped.append(f"{place} != nil")
    if action in {"token", "mask", "hash", "pseudonym"} and not exact:
        made.blocked_keys.append(glob_regex(match, ignore_case=True))


def _if(conditions: Sequence[str]) -> str:
    return f" where {' and '.join(conditions)}" if conditions else ""


def _where(signal: Signal, setting: ConditionSetting) -> list[str]:
    made: list[str] = []
    for fact, globs in setting.conditions.items():
        attribute, of_resource = _FACTS[fact]
        places = ["resource.attributes"] if fact == "environment" else [f"{_RECORD[signal]}.attributes"]
        if of_resource and fact != "environment":
            places.append("resource.attributes")
        pattern = text("|".join(glob_regex(glob) for glob in globs))
        tests = [
            f"({place}[{text(attribute)}] != nil and IsMatch({place}[{text(attribute)}], {pattern}))"
            for place in places
        ]
        made.append(tests[0] if len(tests) == 1 else f"({' or '.join(tests)})")
    return made


def glob_regex(glob: str, *, ignore_case: bool = False) -> str:
    """Write a glob of the policy (``*`` and ``?``) as an anchored Go regex."""
    body = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in glob)
    return f"{'(?i)' if ignore_case else ''}^{body}$"


def note_settings(
    policy: RedactionPolicy, rules: Iterable[Rule], actions: Mapping[str, str], report: Report
) -> None:
    """Report what statements say differently from the policy."""
    named = {rule.id: rule for rule in rules}

    def of(test: Callable[[Rule], bool]) -> tuple[str, ...]:
        return tuple(rule_id for rule_id, rule in named.items() if test(rule))

    for code, effect, why, found in (
        ("validator", Effect.MORE, "texts of the right shape are redacted without the check that the gateway makes of them (check digits, randomness)", of(lambda rule: rule.validator is not None)),
        ("shape", Effect.MORE, "what follows or precedes a match can't be looked at, so more is taken for one", of(lambda rule: not translate(rule).exact)),
        ("context", Effect.LESS, "of several matches behind one word of their context, some stay; and a word counts wherever it stands within 80 characters", of(lambda rule: bool(rule.context))),
        ("keyed", Effect.OTHER, "OTTL has no keyed digest for a part of a text, so a plain token stands there and equal texts can't be linked", of(lambda rule: actions[rule.id] in {"hash", "pseudonym"})),
        ("mask-length", Effect.OTHER, "a mask is three asterisks, whatever it hides", of(lambda rule: actions[rule.id] == "mask")),
        ("drop", Effect.LESS, "an attribute or a span is not dropped for what it holds; only the match is replaced", of(lambda rule: actions[rule.id] in {"drop", "drop_span"})),
        ("tag", Effect.OTHER, "what the gateway only counts is neither counted nor changed", of(lambda rule: actions[rule.id] == "tag")),
    ):  # fmt: skip
        if found:
            report.add(Difference(code, effect, why, rules=found))
    if policy.allow.values:
        report.add(
            Difference(
                "allow",
                Effect.MORE,
                "values that the policy allows are redacted too: OTTL can exempt a whole attribute only, which would let the rest of it pass",
            )
        )
    if policy.limits.attribute_bytes is not None:
        report.add(
            Difference(
                "limits",
                Effect.OTHER,
                "a long text is cut where the limit is, so JSON may end in the middle; nothing is offloaded or dropped for its size",
            )
        )
    globs = [key for key in policy.keys if any(char in key.match for char in "*?")]
    for code, effect, why, concerned in (
        ("key-text", Effect.OTHER, "the value of a key that a glob names becomes ****, and applies for every tool, agent, tenant and environment", [key.match for key in globs if key.action in {"token", "mask", "hash", "pseudonym"}]),
        ("key-keyed", Effect.OTHER, "a whole value is replaced by a token, not by a keyed digest", [key.match for key in policy.keys if key.action in {"hash", "pseudonym"} and key not in globs]),
        ("key-keep", Effect.MORE, "a key that the policy keeps is not exempt from later rules by key", [key.match for key in policy.keys if key.action == "keep"]),
        ("key-json", Effect.LESS, "a key inside of JSON text or of a nested value is not seen", [key.match for key in policy.keys if key.inside_json]),
        ("key-drop-span", Effect.LESS, "a span is not dropped for a glob or under conditions; the attribute is deleted, or dropped always", [key.match for key in policy.keys if key.action == "drop_span" and (key in globs or key.conditions)]),
        ("key-tag", Effect.OTHER, "what the gateway only counts is neither counted nor changed", [key.match for key in policy.keys if key.action == "tag"]),
        ("key-case", Effect.LESS, "an exact key is compared with regard to case", [key.match for key in policy.keys if key not in globs and key.action not in {"drop", "keep", "tag"}]),
    ):  # fmt: skip
        if concerned:
            report.add(Difference(code, effect, why, keys=tuple(concerned)))
