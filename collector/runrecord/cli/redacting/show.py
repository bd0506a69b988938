# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Show findings to people: a coloured before and after, and why; what was found is masked unless somebody asks for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.text import Text as Styled

from runrecord.cli.console import console
from runrecord.cli.redacting.policy import Policy
from runrecord.cli.redacting.texts import Text
from runrecord.processors.redaction.explain import Explainer, Finding

_AROUND: Final = 32
_LONGEST: Final = 72
_SHOWN: Final = 4
_BEFORE, _AFTER = "red", "green"
_REMOVED: Final = {"drop": "(the attribute is removed)", "drop_span": "(the span or log record is removed)"}


class Show:
    """Prints what is found.

    Args:
        policy: The policy.
        secrets: Whether to show what was found as it is.
        reasons: Whether to say why.
        limit: How many findings are printed; all are counted.
    """

    def __init__(self, policy: Policy, *, secrets: bool, reasons: bool, limit: int) -> None:
        self._policy = policy
        self._explainer: Explainer = policy.redactor.explainer
        self._secrets = secrets
        self._reasons = reasons
        self._limit = limit
        self.counts: Counter[str] = Counter()

    def text(self, text: Text) -> None:
        """Print what is found in one text."""
        findings = self._explainer.findings(text.text, text.key, text.context, nested=text.nested)
        for number, finding in enumerate(findings):
            self.counts[finding.rule.id if finding.rule else finding.line] += 1
            if self.counts.total() <= self._limit:
                self._finding(text, findings, number)

    def _finding(self, text: Text, findings: Sequence[Finding], number: int) -> None:
        finding = findings[number]
        name = finding.rule.id if finding.rule else f"key {text.key}"
        console.print(
            Styled.assemble((text.position(finding.start), "bold"), "  ", (name, "cyan")), soft_wrap=True
        )
        console.print(self._line("- ", text.text, findings, number, _BEFORE), soft_wrap=True)
        console.print(self._line("+ ", text.text, findings, number, _AFTER), soft_wrap=True)
        if self._reasons:
            for label, said in self._why(finding):
                console.print(Styled.assemble("    ", (f"{label:<7}", "dim"), said), soft_wrap=True)
        console.print()

    def _line(self, sign: str, text: bytes, findings: Sequence[Finding], number: int, style: str) -> Styled:
        """A line of the text around a finding; every other finding near it is shown as it is afterwards."""
        chosen = findings[number]
        line = Styled(sign, style=style)
        position = max(0, chosen.start - _AROUND)
        stop = min(len(text), chosen.end + _AROUND)
        line.append("…" if position else "", style="dim")
        for finding in findings:
            if finding.end <= position or finding.start >= stop:
                continue
            line.append(_readable(text[position : max(position, finding.start)]))
            if finding is not chosen:
                line.append(_readable(finding.replacement or b""), style="dim")
            elif style == _BEFORE:
                line.append(self._found(text[finding.start : finding.end]), style=f"bold {style}")
            else:
                line.append(_after(finding), style=f"bold {style}")
            position = finding.end
        line.append(_readable(text[position:stop]))
        line.append("…" if stop < len(text) else "", style="dim")
        return line

    def _found(self, found: bytes) -> str:
        text = _readable(found)
        if self._secrets:
            return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
        shown = min(_SHOWN, len(text) // 4)
        return f"{text[:shown]}{'•' * min(len(text) - shown, 12)} ({len(found)} bytes)"

    def _why(self, finding: Finding) -> list[tuple[str, str]]:
        rule = finding.rule
        if rule is None:
            return [("policy", self._policy.place(finding.line)), ("action", finding.action)]
        checks = ["its form"]
        if finding.word:
            checks.append(f"the word {finding.word!r} before it")
        if rule.validator:
            checks.append(f"the check {rule.validator!r}")
        by = self._policy.place(finding.line) if finding.line else "the rule's own"
        return [
            ("what", f"{rule.description} ({rule.severity})"),
            ("why", ", ".join(checks)),
            ("action", f"{finding.action}: {by}"),
            ("source", f"{rule.source} ({rule.licence})"),
        ]


def _after(finding: Finding) -> str:
    if finding.action == "tag":
        return f"{'•' * min(finding.end - finding.start, 12)} (stays; only noted)"
    if finding.replacement is None:
        return _REMOVED[finding.action]
    said = _readable(finding.replacement)
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"


def _readable(text: bytes) -> str:
    return "".join(char if char.isprintable() else "·" for char in text.decode("utf-8", "replace"))
