# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A finding: which rule, on which record, what is wrong and what to do. It never repeats a value that it judges."""

from dataclasses import dataclass, field

from runrecord.semconv.conformance.records import LogRecord, MetricRecord, Place, Record, SpanRecord
from runrecord.semconv.conformance.rules import RULES, Severity

__all__ = ["Finding", "Problem", "Subject"]

_LENGTH = 120


@dataclass(frozen=True)
class Subject:
    """Which record a finding is about.

    Attributes:
        form: ``span``, ``event``, ``metric``, or ``run`` where it is about a run as a whole.
        name: the name of the span, event or metric; the id of a run. Clipped, and printable.
    """

    form: str
    name: str
    trace_id: str = ""
    span_id: str = ""
    place: Place = field(default_factory=Place)

    @classmethod
    def of(cls, record: Record) -> "Subject":
        """Point at a record."""
        if isinstance(record, MetricRecord):
            return cls("metric", printable(record.name), place=record.place)
        form = "span" if isinstance(record, SpanRecord) else "event" if record.name else "log"
        return cls(form, printable(record.name), record.trace_id, record.span_id, record.place)


@dataclass(frozen=True)
class Problem:
    """A finding that does not know its record yet; ``severity`` only where it is not that of the rule."""

    rule: str
    message: str
    attribute: str = ""
    severity: Severity | None = None


@dataclass(frozen=True)
class Finding:
    """What is wrong with one record, or with several together.

    Attributes:
        rule: an id of ``RULES``.
        signal: the id of the signal that the record was judged as; empty if it is none.
        subject: the record.
        attribute: the key that the finding is about; empty if it is about none.
        message: one sentence that names keys and what is allowed, never a value.
        count: how many records it stands for.
    """

    rule: str
    severity: Severity
    signal: str
    subject: Subject
    attribute: str
    message: str
    count: int = 1

    @property
    def next_step(self) -> str:
        """What to do about it."""
        return RULES[self.rule].next_step

    def __str__(self) -> str:
        """Write it in one line."""
        place = f"{self.subject.place}: " if self.subject.place.source else ""
        ids = f" (span {self.subject.span_id})" if self.subject.span_id else ""
        return f"{place}{self.severity.value} {self.rule}: {self.subject.form} {self.subject.name!r}{ids}: {self.message}"


def found(problem: Problem, signal: str, subject: Subject, *, count: int = 1) -> Finding:
    """Attach a problem to its record."""
    severity = problem.severity or RULES[problem.rule].severity
    return Finding(
        problem.rule, severity, signal, subject, printable(problem.attribute), problem.message, count
    )


def of_record(problem: Problem, signal: str, record: SpanRecord | LogRecord | MetricRecord) -> Finding:
    """Attach a problem to the record that it was found on."""
    return found(problem, signal, Subject.of(record))


def printable(text: str) -> str:
    """Clip a text of the record and replace what a terminal would act on."""
    clipped = text if len(text) <= _LENGTH else text[: _LENGTH - 3] + "..."
    return (
        clipped
        if clipped.isprintable()
        else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in clipped)
    )
