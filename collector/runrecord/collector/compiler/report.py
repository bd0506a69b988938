# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a compiled configuration does differently from the gateway, each difference with whom it concerns."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Effect(str, Enum):
    """What a difference means for the data."""

    LESS = "less"
    """Something stays readable that the gateway would redact."""
    MORE = "more"
    """Something is redacted that the gateway would leave."""
    OTHER = "other"
    """The same is redacted, with another text in its place."""
    MISSING = "missing"
    """A part of the gateway that a collector does not have."""


@dataclass(frozen=True)
class Difference:
    """One thing that the collector does differently.

    Attributes:
        code: A short name, the same in every version.
        effect: What it means for the data.
        why: One sentence.
        rules: Ids of the rules that it concerns; empty for any.
        fields: The fields of OTLP that it concerns, as `FIELDS` of the compiler names them; empty for any.
        keys: Attribute keys or globs of the policy that it concerns; empty for any.
    """

    code: str
    effect: Effect
    why: str
    rules: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Write it as a line of the report."""
        whom = [
            f"{what}: {', '.join(names)}"
            for what, names in (("rules", self.rules), ("fields", self.fields), ("keys", self.keys))
            if names
        ]
        return f"{self.effect.value:<8}{self.code}: {self.why}" + (f" ({'; '.join(whom)})" if whom else "")


@dataclass
class Report:
    """All differences, in the order in which they were found."""

    differences: list[Difference] = field(default_factory=list[Difference])

    def add(self, difference: Difference) -> None:
        """Note a difference."""
        self.differences.append(difference)

    def lines(self) -> list[str]:
        """Return one line each, what is not redacted first."""
        order = list(Effect)
        return [str(each) for each in sorted(self.differences, key=lambda each: order.index(each.effect))]
