# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Is anything missing from a run? A graded verdict with its reasons, never a bare "OK".

A counter is set when a governed span starts, so a span that got lost leaves a hole. A segment closes with the number of
records that its source made in it, so a lost tail shows too (ledger design, "Order, duplicates, completeness").
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from runrecord.ledger.entry import Kind
from runrecord.ledger.records import Record
from runrecord.ledger.strict_json import DECIMAL
from runrecord.semconv import attributes as names

CLOSES: Final = frozenset({Kind.RUN_CLOSE, Kind.SOURCE_CLOSE})
UNSEEN: Final = (
    "An emitter that never emitted is invisible: what was not instrumented left no record, and no counter shows it.",
    "Times and contents are what the emitters claimed; the ledger proves that the claims were not changed since.",
)
"""What no report about a run can show; every report says so."""

HANDED_OVER: Final = "handed_over"
"""The stop reason of a source that gives a segment up in its middle, such as a Temporal worker; another one goes on with it."""

_MAX_LISTED: Final = 8


class Verdict(str, Enum):
    """How complete a run is; the worst that applies, and ``Completeness.reasons`` has them all."""

    COMPLETE = "COMPLETE"
    COMPLETE_LATE = "COMPLETE+LATE"
    UNCLOSED = "UNCLOSED"
    GAPS = "GAPS"
    CONFLICTS = "CONFLICTS"


_ORDER: Final = tuple(Verdict)


@dataclass(frozen=True)
class Reason:
    """One thing that keeps a run from being complete.

    Attributes:
        verdict: The verdict that it forces at least.
        text: What it is, for a person; ids and numbers only.
        indices: The entries that show it.
    """

    verdict: Verdict
    text: str
    indices: tuple[int, ...] = ()


@dataclass(frozen=True)
class Completeness:
    """The verdict on a run.

    Attributes:
        verdict: The worst of the reasons, or COMPLETE.
        reasons: All of them.
        notes: What limits the verdict in this run without changing it.
        sources: Source id to the number of its records in this run.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...]
    notes: tuple[str, ...]
    sources: dict[str, int]

    @property
    def complete(self) -> bool:
        """Whether every record that was announced is there."""
        return self.verdict in (Verdict.COMPLETE, Verdict.COMPLETE_LATE)


@dataclass(frozen=True)
class _Source:
    name: str
    by_seq: dict[int, list[Record]]
    closes: list[Record]

    def covered(self, seq: int) -> Record | None:
        """Return the close whose segment holds a counter, or None."""
        for close in self.closes:
            first = close.entry.seq
            count = close.entry.integer(names.RUN_RECORDS)
            if first is not None and count is not None and first <= seq < first + count:
                return close
        return None


def assess(records: Sequence[Record]) -> Completeness:
    """Judge the records of one run.

    Args:
        records: All records of the run, in any order.
    """
    counted = [r for r in records if r.entry.kind != Kind.CONFLICT]
    sources = _sources(counted)
    reasons: list[Reason] = []
    notes: list[str] = []
    reasons += _conflicts(records)
    reasons += _tenants(records)
    reasons += _stated_gaps(counted)
    for source in sources:
        reasons += _holes(source)
        reasons += _late(source)
        if note := _open_end(source):
            notes.append(note)
    reasons += _segments(counted)
    reasons += _intents(counted)
    reasons += _closing(counted, sources)
    verdict = max((r.verdict for r in reasons), key=_ORDER.index, default=Verdict.COMPLETE)
    sizes = Counter(r.entry.source for r in counted if r.entry.source)
    return Completeness(verdict, tuple(reasons), tuple(notes), dict(sorted(sizes.items())))


def holes(present: Iterable[int], end: int) -> list[range]:
    """Return the numbers from 0 below ``end`` that are not present, as ranges; no work is done per missing number."""
    found: list[range] = []
    expected = 0
    for number in sorted({*present, end}):
        if number > end:
            break
        if number > expected:
            found.append(range(expected, number))
        expected = number + 1
    return found


def listed(missing: Sequence[range]) -> str:
    """Return ranges as text, at most eight of them: ``3, 5-9, ...``."""
    shown = [
        str(r.start) if r.stop == r.start + 1 else f"{r.start}-{r.stop - 1}" for r in missing[:_MAX_LISTED]
    ]
    return ", ".join(shown) + (", ..." if len(missing) > _MAX_LISTED else "")


def _sources(records: Sequence[Record]) -> list[_Source]:
    by_source: defaultdict[str, defaultdict[int, list[Record]]] = defaultdict(lambda: defaultdict(list))
    closes: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        entry = record.entry
        if entry.seq is not None and entry.source:
            by_source[entry.source][entry.seq].append(record)
        # An answer that no segment holds counts itself, and a step that is the part of another process counts that part.
        if entry.kind in CLOSES or (
            entry.kind in (Kind.APPROVAL_DECISION, Kind.STEP) and entry.integer(names.RUN_RECORDS) is not None
        ):
            closes[entry.source].append(record)
    return [_Source(name, dict(by_seq), closes[name]) for name, by_seq in sorted(by_source.items())]


def _conflicts(records: Sequence[Record]) -> Iterator[Reason]:
    for record in records:
        if record.entry.kind == Kind.CONFLICT:
            of = record.entry.detail.get("of", "")
            text = f"entry {record.index} contradicts entry {of}"
            yield Reason(
                Verdict.CONFLICTS, text, ((int(of),) if DECIMAL.fullmatch(of) else ()) + (record.index,)
            )
    used: defaultdict[tuple[str, int], list[Record]] = defaultdict(list)
    for record in records:
        if record.entry.seq is not None and record.entry.kind not in (Kind.CONFLICT, Kind.TOOL_INTENT):
            used[(record.entry.source, record.entry.seq)].append(record)
    for (source, seq), own in used.items():
        if len(own) > 1:
            indices = tuple(r.index for r in own)
            yield Reason(Verdict.CONFLICTS, f"source {source} used counter {seq} {len(own)} times", indices)


def _tenants(records: Sequence[Record]) -> Iterator[Reason]:
    first: dict[str, int] = {}
    for record in records:
        if record.entry.tenant:
            first.setdefault(record.entry.tenant, record.index)
    if len(first) > 1:
        yield Reason(
            Verdict.CONFLICTS, f"{len(first)} tenants wrote under this run id", tuple(first.values())
        )


def _stated_gaps(records: Sequence[Record]) -> Iterator[Reason]:
    for record in records:
        detail = record.entry.detail
        if record.entry.kind == Kind.GAP:
            text = (
                f"records were dropped, and the ledger was told so: {detail.get('reason', 'no reason given')}"
            )
            yield Reason(Verdict.GAPS, text, (record.index,))
    uncounted = [
        r for r in records if r.entry.span_id and r.entry.seq is None and r.entry.kind != Kind.ESCALATION
    ]
    if uncounted:
        text = f"{len(uncounted)} records carry no counter, so that a missing one among them would not show"
        yield Reason(Verdict.GAPS, text, tuple(r.index for r in uncounted))


def _holes(source: _Source) -> Iterator[Reason]:
    expected = max(source.by_seq) + 1
    for close in source.closes:
        count = close.entry.integer(names.RUN_RECORDS)
        if count is None or close.entry.seq is None:
            text = f"the close of a segment of source {source.name} does not say how many records there are"
            yield Reason(Verdict.GAPS, text, (close.index,))
        else:
            expected = max(expected, close.entry.seq + count)
    missing = holes(source.by_seq, expected)
    if not source.closes and missing and missing[0].start == 0:
        missing = [r for r in (range(1, missing[0].stop), *missing[1:]) if r]
        first = source.by_seq[min(source.by_seq)][0]
        text = f"source {source.name} never closed its segment: the process ended early, or its run span got lost"
        yield Reason(Verdict.UNCLOSED, text, (first.index,))
    if missing:
        count = sum(r.stop - r.start for r in missing)
        text = f"source {source.name}: {count} of {expected} records are missing: {listed(missing)}"
        yield Reason(Verdict.GAPS, text)


def _late(source: _Source) -> Iterator[Reason]:
    late = [
        record
        for seq, own in source.by_seq.items()
        for record in own
        if (close := source.covered(seq)) is not None and record.index > close.index
    ]
    if late:
        text = f"source {source.name}: {len(late)} records arrived after the close of their segment"
        yield Reason(Verdict.COMPLETE_LATE, text, tuple(sorted(r.index for r in late)))


def _open_end(source: _Source) -> str | None:
    outside = [seq for seq in source.by_seq if source.covered(seq) is None]
    if not outside or (not source.closes and 0 not in source.by_seq):
        return None
    return (
        f"source {source.name} made {len(outside)} records outside any segment of the run (as a process does that only "
        "answers a request); no count covers them, so a lost one behind the last would not show"
    )


def _segments(records: Sequence[Record]) -> Iterator[Reason]:
    numbers: defaultdict[int, list[Record]] = defaultdict(list)
    for record in records:
        if record.entry.kind in CLOSES:
            numbers[record.entry.integer(names.RUN_SEGMENT) or 0].append(record)
    for number, own in sorted(numbers.items()):
        last = [r for r in own if r.entry.text(names.RUN_STOP_REASON) != HANDED_OVER]
        if len(last) > 1:
            indices = tuple(r.index for r in last)
            yield Reason(Verdict.CONFLICTS, f"segment {number} was closed {len(last)} times", indices)
    missing = holes(numbers, max(numbers, default=0))
    if missing:
        yield Reason(Verdict.GAPS, f"no close of segment {listed(missing)}, though a later one is here")


def _intents(records: Sequence[Record]) -> Iterator[Reason]:
    results = {(r.entry.trace_id, r.entry.span_id) for r in records if r.entry.kind == Kind.TOOL_RESULT}
    open_intents = [
        r.index
        for r in records
        if r.entry.kind == Kind.TOOL_INTENT and (r.entry.trace_id, r.entry.span_id) not in results
    ]
    if open_intents:
        text = f"{len(open_intents)} tool calls were announced and have no result"
        yield Reason(Verdict.GAPS, text, tuple(open_intents))


def _closing(records: Sequence[Record], sources: Sequence[_Source]) -> Iterator[Reason]:
    abandoned = [r.index for r in records if r.entry.kind == Kind.RUN_ABANDONED]
    if abandoned:
        yield Reason(
            Verdict.UNCLOSED, "the ledger gave the run up: no record came for too long", tuple(abandoned)
        )
    closes = [r for r in records if r.entry.kind in CLOSES]
    if not any(r.entry.kind == Kind.RUN_CLOSE for r in closes):
        waiting = max(closes, key=lambda r: r.entry.integer(names.RUN_SEGMENT) or 0, default=None)
        if waiting is not None:
            number = waiting.entry.integer(names.RUN_SEGMENT) or 0
            text = f"the run waits: segment {number} ended suspended and no later segment is here"
            yield Reason(Verdict.UNCLOSED, text, (waiting.index,))
        elif not sources or any(0 in source.by_seq for source in sources):
            yield Reason(Verdict.UNCLOSED, "the run has no close")
