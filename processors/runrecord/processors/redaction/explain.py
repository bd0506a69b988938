# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Say what a policy finds in one text and why, and which line of it decides about a key. It shows secrets: for people only."""

from __future__ import annotations

from dataclasses import dataclass

from runrecord.processors.redaction.confirm import Work
from runrecord.processors.redaction.context import NOWHERE, Context
from runrecord.processors.redaction.jsonkeys import find_values
from runrecord.processors.redaction.keys import KeyRule
from runrecord.processors.redaction.leaf import ANY, Plan
from runrecord.processors.redaction.policy import RedactionPolicy
from runrecord.processors.redaction.rule import Rule

_WINDOW = 80
_WITHOUT_END = 1 << 62


@dataclass(frozen=True)
class Finding:
    """One thing that a policy finds in a text.

    Attributes:
        start: Offset into the text, in bytes.
        end: The offset behind it.
        action: What becomes of it.
        rule: The pattern rule; None if its key decided.
        line: The line of the policy that decided: ``redaction.keys[0]``; empty for a rule's own action.
        word: The word before it that the rule asks for, if it asks for one.
        replacement: What stands there afterwards; None if something larger is removed, or nothing changes.
    """

    start: int
    end: int
    action: str
    rule: Rule | None
    line: str
    word: str
    replacement: bytes | None


class Explainer:
    """Finds what a redactor would, with the reasons.

    Args:
        policy: The policy.
        plan: The same policy, ready to be applied.
    """

    def __init__(self, policy: RedactionPolicy, plan: Plan) -> None:
        self._policy = policy
        self._plan = plan
        self._lines = [f"redaction.keys[{index}]" for index in range(len(policy.keys))]
        for name, settings in policy.content.items():
            many = len(settings) > 1
            self._lines += [
                f"redaction.content.{name}" + (f"[{index}]" if many else "") for index in range(len(settings))
            ]

    def by_key(
        self, key: str, context: Context = NOWHERE, *, nested: bool = False
    ) -> tuple[str, KeyRule] | None:
        """The line of the policy that decides about a key, and the rule; None if only patterns are looked for.

        Args:
            key: The attribute's key, or the dotted path of keys of a nested value.
            context: Where the attribute is.
            nested: Whether the key leads into a nested map or into JSON text.
        """
        rule = self._plan.keys.find(key.encode(), context, nested=nested)
        return None if rule is None else (self._line(rule), rule)

    def _line(self, rule: KeyRule) -> str:
        return self._lines[next(index for index, item in enumerate(self._plan.keys.rules) if item is rule)]

    def findings(
        self, text: bytes, key: str | None = None, context: Context = NOWHERE, *, nested: bool = False
    ) -> list[Finding]:
        """What is found in a text.

        Args:
            text: The text.
            key: The key of the attribute that it is the value of, or the dotted path to it.
            context: Where it is.
            nested: Whether the key is a path into a nested map.

        Returns:
            The findings in order. What a key decides as a whole hides what patterns would find in it.
        """
        decided = self.by_key(key, context, nested=nested) if key is not None else None
        if decided is not None and decided[1].action not in {"keep", "tag"}:
            return [self._keyed(text, 0, len(text), decided[1], context)]
        found: list[Finding] = []
        if key is not None and self._plan.keys.inside_json:
            values = find_values(
                text, key.encode(), lambda path: self._plan.keys.find(path, context, nested=True)
            )
            found += [
                self._keyed(text, value.start, value.end, value.found, context)
                for value in values
                if value.found.action not in {"keep", "tag"}
            ]
        taken = [(finding.start, finding.end) for finding in found]
        work = Work(_WITHOUT_END, _WITHOUT_END)
        for match in self._plan.confirmer.find(text, self._plan.orders({ANY}, text), work):
            if not any(start < match.end and match.start < end for start, end in taken):
                found.append(self._matched(text, match.start, match.end, match.order, context))
        return sorted(found, key=lambda finding: finding.start)

    def _keyed(self, text: bytes, start: int, end: int, rule: KeyRule, context: Context) -> Finding:
        removed = rule.action in {"drop", "drop_span"}
        original = text[start:end]
        tenant = context.get("tenant") or b""
        replacement = (
            None if removed else self._plan.replacer.value(rule.action, "redacted", original, tenant)
        )
        return Finding(start, end, rule.action, None, self._line(rule), "", replacement)

    def _matched(self, text: bytes, start: int, end: int, order: int, context: Context) -> Finding:
        rule, action = self._plan.rules[order], self._plan.actions[order]
        setting = self._policy.rules.get(rule.id)
        line = f"redaction.rules.{rule.id}" if setting is not None and setting.action else ""
        before = text[max(0, start - _WINDOW) : start].lower()
        word = next((word.decode() for word in rule.context_bytes if word in before), "")
        replacement = None
        if action not in {"drop", "drop_span", "tag"}:
            tenant = context.get("tenant") or b""
            replacement = self._plan.replacer.match(action, rule.kind, text, (start, end), tenant)
        return Finding(start, end, action, rule, line, word, replacement)
