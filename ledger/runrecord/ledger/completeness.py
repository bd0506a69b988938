# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Is anything missing from a run? A graded verdict with its reasons, never a bare "OK".

A counter is set when a governed span starts, so a span that got lost leaves a hole. Whatever closes a segment says how many records
its source made in it, so a lost tail shows too, and states the root over their ids, so that none of them can be replaced (ledger
design, "Order, duplicates, completeness"). What is announced before it happens (`run_open`, `tool_intent`) shows what never ended.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Final

from runrecord.ledger.entry import Kind
from runrecord.ledger.records import Record
from runrecord.ledger.strict_json import DECIMAL
from runrecord.semconv import attributes as names
from runrecord.semconv.root import records_root

CLOSES: Final = frozenset({Kind.RUN_CLOSE, Kind.SOURCE_CLOSE})
ANNOUNCEMENTS: Final = frozenset({Kind.RUN_OPEN, Kind.TOOL_INTENT})
"""Said when a span starts; the span itself is the record that counts."""
UNSEEN: Final = (
    "An emitter that never emitted is invisible: what was not instrumented left no record, and no counter shows it.",
    "Times and contents are what the emitters claimed; the ledger proves that the claims were not changed since.",
    "Whoever may send records can add a source that contradicts no other; who may send is for the gateway to decide.",
)
"""What no report about a run can show; every report says so."""

HANDED_OVER: Final = "handed_over"
"""The stop reason of a source that gives a segment up in its middle, such as a Temporal worker; another one goes on with it."""

_MAX_LISTED: Final = 8
_UNCOUNTED: Final = ANNOUNCEMENTS | {Kind.CONFLICT}
_NEVER_COUNTED: Final = ANNOUNCEMENTS | {
    Kind.CONFLICT,
    Kind.ESCALATION,
    Kind.LATE,
    Kind.RUN_ABANDONED,
    Kind.GAP,
}


class Verdict(str, Enum):
    """How complete a run is; the worst that applies, and ``Completeness.reasons`` has them all."""

    COMPLETE = "COMPLETE"
    COMPLETE_LATE = "COMPLETE+LATE"
    UNCLOSED = "UNCLOSED"
    GAPS = "GAPS"
    CONFLICTS = "CONFLICTS"


_ORDER: Final = tuple(Verdict)


@dataclass(frozen=True)
class Missing:
    """Consecutive records of a source that are not in the ledger.

    Attributes:
        source: Its id.
        first: The first number that is missing.
        last: The last one.
    """

    source: str
    first: int
    last: int


@dataclass(frozen=True)
class Reason:
    """One thing that keeps a run from being complete.

    Attributes:
        verdict: The verdict that it forces at least.
        text: What it is, for a person; ids and numbers only.
        indices: The entries that show it.
        missing: The holes that it is about.
    """

    verdict: Verdict
    text: str
    indices: tuple[int, ...] = ()
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True)
class Completeness:
    """The verdict on a run.

    Attributes:
        verdict: The worst of the reasons, or COMPLETE.
        reasons: All of them.
        notes: What limits the verdict in this run without changing it.
        sources: Source id to the number of its records in this run.
        closes: The entries that say how many records there must be: what a good verdict rests on.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...]
    notes: tuple[str, ...]
    sources: dict[str, int]
    closes: tuple[int, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every record that was announced is there."""
        return self.verdict in (Verdict.COMPLETE, Verdict.COMPLETE_LATE)


@dataclass(frozen=True)
class _Source:
    """What one source made.

    Attributes:
        name: Its id.
        by_seq: Its records by their number.
        closes: Those of them that say how many there must be.
        opens: What it announced to be the run span of a segment.
    """

    name: str
    by_seq: dict[int, list[Record]]
    closes: list[Record]
    opens: list[Record]

    def covered(self, seq: int) -> Record | None:
        """Return the close whose segment holds a number, or None."""
        for close in self.closes:
            first = close.entry.seq
            count = close.entry.integer(names.RUN_RECORDS)
            if first is not None and count is not None and first <= seq < first + count:
                return close
        return None

    @cached_property
    def announced(self) -> int:
        """The number behind all that some close counts."""
        ends = (
            close.entry.seq + (close.entry.integer(names.RUN_RECORDS) or 0)
            for close in self.closes
            if close.entry.seq is not None
        )
        return max(ends, default=0)

    @cached_property
    def holes(self) -> list[range]:
        """The numbers that are missing."""
        return holes(self.by_seq, max(self.announced, max(self.by_seq, default=-1) + 1))

    @cached_property
    def unended(self) -> list[Record]:
        """What was announced to be a run span, and did not come."""
        ended = {(close.entry.trace_id, close.entry.span_id) for close in self.closes}
        return [each for each in self.opens if (each.entry.trace_id, each.entry.span_id) not in ended]

    @cached_property
    def running(self) -> set[int]:
        """The missing numbers that are those of run spans which have not ended, or got lost."""
        found = {each.entry.seq for each in self.unended if each.entry.seq is not None}
        if not self.closes:
            found.add(0)
        return {number for number in found if any(number in hole for hole in self.holes)}


def assess(records: Sequence[Record]) -> Completeness:
    """Judge the records of one run.

    Args:
        records: All records of the run, in any order.
    """
    counted = [r for r in records if r.entry.kind != Kind.CONFLICT]
    sources = _sources(counted)
    reasons: list[Reason] = []
    reasons += _conflicts(records)
    reasons += _tenants(records)
    reasons += _stated_gaps(counted)
    for source in sources:
        reasons += _unclosed(source)
        reasons += _missing(source)
        reasons += _replaced(source)
    reasons += _late(counted, sources)
    reasons += _segments(counted)
    reasons += _intents(counted)
    reasons += _closing(counted or records, reasons)
    verdict = max((r.verdict for r in reasons), key=_ORDER.index, default=Verdict.COMPLETE)
    sizes = Counter(r.entry.source for r in counted if r.entry.source and r.entry.kind not in ANNOUNCEMENTS)
    closes = sorted(close.index for source in sources for close in source.closes)
    return Completeness(verdict, tuple(reasons), (), dict(sorted(sizes.items())), tuple(closes))


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


def counts_records(record: Record) -> bool:
    """Return whether a record says how many there must be.

    A record that no segment holds counts itself, and a step that is the part of another process counts that part.
    """
    entry = record.entry
    return entry.kind in CLOSES or (_is_counted(record) and entry.integer(names.RUN_RECORDS) is not None)


def _is_counted(record: Record) -> bool:
    return record.entry.seq is not None and record.entry.source != "" and record.entry.kind not in _UNCOUNTED


def _sources(records: Sequence[Record]) -> list[_Source]:
    by_source: defaultdict[str, defaultdict[int, list[Record]]] = defaultdict(lambda: defaultdict(list))
    closes: defaultdict[str, list[Record]] = defaultdict(list)
    opens: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        entry = record.entry
        if entry.seq is not None and _is_counted(record):
            by_source[entry.source][entry.seq].append(record)
        if counts_records(record):
            closes[entry.source].append(record)
        if entry.kind == Kind.RUN_OPEN:
            opens[entry.source].append(record)
    everyone = sorted(by_source.keys() | opens.keys())
    return [_Source(name, dict(by_source[name]), closes[name], opens[name]) for name in everyone]


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
        if record.entry.seq is not None and record.entry.kind not in _UNCOUNTED:
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
        r for r in records if r.entry.span_id and not _is_counted(r) and r.entry.kind not in _NEVER_COUNTED
    ]
    if uncounted:
        text = f"{len(uncounted)} records carry no counter, so that a missing one among them would not show"
        yield Reason(Verdict.GAPS, text, tuple(r.index for r in uncounted))


def _unclosed(source: _Source) -> Iterator[Reason]:
    told: set[int | None] = set()
    for each in source.unended:
        number = each.entry.integer(names.RUN_SEGMENT) or 0
        text = f"source {source.name} opened segment {number} and never closed it: the process ended early, or its run span got lost"
        yield Reason(Verdict.UNCLOSED, text, (each.index,))
        told.add(each.entry.seq)
    if 0 in source.running - told:
        first = source.by_seq[min(source.by_seq)][0]
        text = f"source {source.name} never closed its segment: the process ended early, or its run span got lost"
        yield Reason(Verdict.UNCLOSED, text, (first.index,), (Missing(source.name, 0, 0),))
    elif not told:
        beyond = sorted(r.index for n, own in source.by_seq.items() if n >= source.announced for r in own)
        if beyond:
            text = f"source {source.name} made {len(beyond)} records that no close counts; a lost one behind them would not show"
            yield Reason(Verdict.UNCLOSED, text, tuple(beyond))


def _missing(source: _Source) -> Iterator[Reason]:
    for close in source.closes:
        if close.entry.integer(names.RUN_RECORDS) is None or close.entry.seq is None:
            text = f"the close of a segment of source {source.name} does not say how many records there are"
            yield Reason(Verdict.GAPS, text, (close.index,))
    missing = [part for hole in source.holes for part in _without(hole, source.running)]
    if missing:
        count = sum(r.stop - r.start for r in missing)
        expected = max(source.announced, max(source.by_seq, default=-1) + 1)
        text = f"source {source.name}: {count} of {expected} records are missing: {listed(missing)}"
        named = tuple(Missing(source.name, r.start, r.stop - 1) for r in missing)
        around = {n for r in missing for n in (r.start - 1, r.stop) if n in source.by_seq}
        shown_by = {own.index for n in around for own in source.by_seq[n]} | {c.index for c in source.closes}
        yield Reason(Verdict.GAPS, text, tuple(sorted(shown_by)), named)


def _without(hole: range, numbers: Iterable[int]) -> Iterator[range]:
    start = hole.start
    for number in sorted(n for n in numbers if n in hole):
        if number > start:
            yield range(start, number)
        start = number + 1
    if start < hole.stop:
        yield range(start, hole.stop)


def _replaced(source: _Source) -> Iterator[Reason]:
    """Compare what is there with the root that its source stated; what is missing is told elsewhere."""
    for close in source.closes:
        root = close.entry.text(names.RUN_ROOT)
        first, count = close.entry.seq, close.entry.integer(names.RUN_RECORDS)
        if not root or first is None or count is None or not 0 < count <= len(source.by_seq):
            continue
        own = [source.by_seq.get(number, []) for number in range(first, first + count)]
        if any(len(each) != 1 for each in own):
            continue
        entries = [each[0].entry for each in own]
        ids = [(int(e.trace_id or "0", 16), int(e.span_id or "0", 16)) for e in entries]
        if records_root(ids) != root:
            text = f"the records of source {source.name} are not those that it counted when it closed the segment"
            yield Reason(Verdict.CONFLICTS, text, tuple(sorted({each[0].index for each in own})))


def _late(records: Sequence[Record], sources: Sequence[_Source]) -> Iterator[Reason]:
    by_name = {source.name: source for source in sources}
    ended = [r for r in records if r.entry.kind in (Kind.RUN_CLOSE, Kind.RUN_ABANDONED)]
    first_end = min(ended, key=lambda r: r.index, default=None)
    late: defaultdict[str, list[int]] = defaultdict(list)
    for record in filter(_is_counted, records):
        close = by_name[record.entry.source].covered(record.entry.seq or 0)
        ends = [end.index for end in (close, first_end) if end is not None]
        if ends and record.index > min(ends):
            late[record.entry.source].append(record.index)
    for source, indices in sorted(late.items()):
        text = f"source {source}: {len(indices)} records arrived after the close of their segment or run"
        yield Reason(Verdict.COMPLETE_LATE, text, tuple(sorted(indices)))


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
        after = tuple(r.index for r in numbers[max(numbers)])
        yield Reason(
            Verdict.GAPS, f"no close of segment {listed(missing)}, though a later one is here", after
        )


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


def _closing(records: Sequence[Record], so_far: Sequence[Reason]) -> Iterator[Reason]:
    closes = [r for r in records if r.entry.kind in CLOSES]
    ended = [r for r in closes if r.entry.kind == Kind.RUN_CLOSE]
    abandoned = [r.index for r in records if r.entry.kind == Kind.RUN_ABANDONED]
    if abandoned and not ended:
        text = "the ledger gave the run up: no record came for too long"
        yield Reason(Verdict.UNCLOSED, text, tuple(abandoned))
    newest = max((_number(r) for r in closes), default=0)
    if any(_number(r) == newest for r in ended):
        return
    if closes:
        waiting = tuple(r.index for r in closes if _number(r) == newest)
        text = f"the run waits: segment {newest} ended suspended and no later segment is here"
        yield Reason(Verdict.UNCLOSED, text, waiting)
    elif not any(reason.verdict is Verdict.UNCLOSED for reason in so_far):
        yield Reason(Verdict.UNCLOSED, "the run has no close", tuple(r.index for r in records[-1:]))


def _number(close: Record) -> int:
    return close.entry.integer(names.RUN_SEGMENT) or 0
