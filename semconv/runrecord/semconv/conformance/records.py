# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What is judged: spans, log records and metrics as plain values, with the place they were read from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["LogRecord", "MetricRecord", "Place", "Record", "SpanRecord", "Values"]

Values = Mapping[str, Any]
"""Attributes: str, bool, int, float, bytes, a list or a tuple of them, or a mapping."""


@dataclass(frozen=True)
class Place:
    """Where a record was read from.

    Attributes:
        source: a file, as the user named it, or the transport that it arrived on; empty if unknown.
        line: from 1; 0 where there are no lines.
        offset: the byte at which its request begins; -1 where that says nothing.
    """

    source: str = ""
    line: int = 0
    offset: int = -1

    def __str__(self) -> str:
        """Write it as compilers do."""
        if self.line:
            return f"{self.source}:{self.line}"
        return f"{self.source}@{self.offset}" if self.offset >= 0 else self.source


NOWHERE = Place()


@dataclass(slots=True)
class SpanRecord:
    """One span.

    Attributes:
        kind: ``internal``, ``client``, ``server``, ``producer``, ``consumer``, or empty for unspecified.
        trace_id: in lower-case hexadecimal, as the other ids; empty if there is none.
        start: nanoseconds since the Unix epoch, as ``end``; None where the time is not known, 0 where it is not set.
        status: ``unset``, ``ok`` or ``error``.
        described: the status has a description; the text itself is never kept.
        links: trace and span id of each link.
        events: names of the span events, each with the keys of its attributes.
        schema_url: of the scope, or else of the resource; None where nobody can know it.
        repeated: keys that are there more than once, and whether their values differ.
    """

    name: str
    kind: str
    attributes: Values = field(default_factory=dict[str, Any])
    trace_id: str = ""
    span_id: str = ""
    start: int | None = None
    end: int | None = None
    status: str = "unset"
    described: bool = False
    links: Sequence[tuple[str, str]] = ()
    events: Sequence[tuple[str, Sequence[str]]] = ()
    schema_url: str | None = None
    repeated: Sequence[tuple[str, bool]] = ()
    place: Place = NOWHERE


@dataclass(slots=True)
class LogRecord:
    """One log record; an event if it has a name.

    Attributes:
        name: the event name, or empty.
        has_body: it has a body; the body itself is never kept.
    """

    name: str
    attributes: Values = field(default_factory=dict[str, Any])
    trace_id: str = ""
    span_id: str = ""
    has_body: bool = False
    schema_url: str | None = None
    repeated: Sequence[tuple[str, bool]] = ()
    place: Place = NOWHERE


@dataclass(slots=True)
class MetricRecord:
    """One metric of one export.

    Attributes:
        instrument: ``counter``, ``updowncounter``, ``gauge`` or ``histogram``; empty if it can't be told.
        points: the attributes of each data point.
    """

    name: str
    unit: str = ""
    instrument: str = ""
    points: Sequence[Values] = ()
    place: Place = NOWHERE


Record = SpanRecord | LogRecord | MetricRecord
