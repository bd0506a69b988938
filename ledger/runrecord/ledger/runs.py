# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A run as a person thinks of it: segments, steps, tool calls, decisions and approvals, joined from its records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from runrecord.ledger.calls import Approval, Matcher, ToolCall, first_text
from runrecord.ledger.completeness import CLOSES, Completeness, assess
from runrecord.ledger.entry import DONE_TO_RUNS, Kind
from runrecord.ledger.records import Record, in_run_order
from runrecord.semconv import attributes as names

STATEMENTS: Final = frozenset(
    {Kind.RESOURCE, Kind.LATE, Kind.GAP, Kind.RUN_ABANDONED, Kind.ERASURE, Kind.LEGAL_HOLD}
)
"""Kinds that are about the run as a whole, not a part of what it did."""


@dataclass(frozen=True)
class Step:
    """What happened at one step of the run, over all its attempts and segments.

    Attributes:
        index: ``runrecord.step.index``, or None for what happened outside any step.
        spans: The step's own records, one per attempt or segment.
        records: Everything in the step, in run order, without ``spans``.
    """

    index: int | None
    spans: tuple[Record, ...]
    records: tuple[Record, ...]

    @cached_property
    def kind(self) -> str:
        """Step kind, or empty."""
        return first_text((r.entry for r in self.spans), names.STEP_KIND)

    @cached_property
    def name(self) -> str:
        """Step name, or empty."""
        return first_text((r.entry for r in self.spans), names.STEP_NAME)


@dataclass(frozen=True)
class Segment:
    """One stretch of a run in one process, between start or resume and end or pause.

    Attributes:
        number: ``runrecord.run.segment``, or None for records that no segment covers.
        close: The record of the run span that ended it, or None.
        steps: Its steps in run order; records outside any step come under index None.
    """

    number: int | None
    close: Record | None
    steps: tuple[Step, ...]


class RunView:
    """The records of one run, joined.

    Args:
        run: The run id.
        records: Its records, in any order.
    """

    def __init__(self, run: str, records: Iterable[Record]) -> None:
        self.run = run
        self.records: tuple[Record, ...] = tuple(in_run_order(records))

    @cached_property
    def completeness(self) -> Completeness:
        """Whether anything is missing."""
        return assess(self.records)

    @cached_property
    def closes(self) -> tuple[Record, ...]:
        """The records of the run spans, by segment."""
        return tuple(
            sorted(self._of(*CLOSES), key=lambda r: (r.entry.integer(names.RUN_SEGMENT) or 0, r.index))
        )

    @cached_property
    def opens(self) -> tuple[Record, ...]:
        """The announcements of segments that began, in run order."""
        return self._of(Kind.RUN_OPEN)

    @cached_property
    def statements(self) -> tuple[Record, ...]:
        """What is said about the run as a whole: its resources, and what the ledger states of it, by index."""
        return tuple(sorted(self._of(*STATEMENTS), key=lambda r: r.index))

    @property
    def final(self) -> Record | None:
        """The record that closed the run, or None."""
        return next((r for r in reversed(self.closes) if r.entry.kind == Kind.RUN_CLOSE), None)

    @property
    def tenant(self) -> str:
        """Tenant id, or empty."""
        return next((r.entry.tenant for r in self.records if r.entry.tenant), "")

    @property
    def agent(self) -> str:
        """Name of the agent or workflow, or empty."""
        closes = [r.entry for r in self.closes]
        named = first_text(closes, names.GEN_AI_AGENT_NAME) or first_text(closes, names.GEN_AI_WORKFLOW_NAME)
        opens = sorted(self.opens, key=lambda r: (r.entry.integer(names.RUN_SEGMENT) or 0, r.index))
        return named or first_text((r.entry for r in opens), names.SUBJECT_NAME)

    @property
    def outcome(self) -> str:
        """Outcome as the run's close states it; ``abandoned``, ``waiting`` while it is suspended, ``open`` without any close."""
        if self.final is not None:
            return self.final.entry.text(names.RUN_OUTCOME) or "completed"
        if self._of(Kind.RUN_ABANDONED):
            return "abandoned"
        return "waiting" if self.closes else "open"

    @property
    def start(self) -> int:
        """First start, in nanoseconds since the Unix epoch; 0 without records."""
        own = (r.entry for r in self.records if r.entry.kind not in DONE_TO_RUNS)
        return min((entry.start for entry in own if entry.start), default=0)

    @property
    def end(self) -> int:
        """Last end, in nanoseconds since the Unix epoch; 0 without records."""
        return max((r.entry.end for r in self.records if r.entry.kind not in DONE_TO_RUNS), default=0)

    @cached_property
    def decisions(self) -> tuple[Record, ...]:
        """Policy decisions, in run order."""
        return self._of(Kind.POLICY_DECISION)

    @cached_property
    def approvals(self) -> tuple[Approval, ...]:
        """Approvals, by the first record of each."""
        requests: defaultdict[str, list[Record]] = defaultdict(list)
        answers: defaultdict[str, list[Record]] = defaultdict(list)
        order: dict[str, None] = {}
        for record in self._of(Kind.APPROVAL_REQUEST, Kind.APPROVAL_DECISION):
            approval_id = record.entry.text(names.APPROVAL_ID)
            order.setdefault(approval_id)
            (requests if record.entry.kind == Kind.APPROVAL_REQUEST else answers)[approval_id].append(record)
        return tuple(Approval(i, tuple(requests[i]), tuple(answers[i])) for i in order)

    @cached_property
    def calls(self) -> tuple[ToolCall, ...]:
        """Tool calls, in run order."""
        intents = {(r.entry.trace_id, r.entry.span_id): r for r in self._of(Kind.TOOL_INTENT)}
        calls: list[tuple[Record | None, Record | None]] = [
            (result, intents.pop((result.entry.trace_id, result.entry.span_id), None))
            for result in self._of(Kind.TOOL_RESULT)
        ]
        calls += [(None, intent) for intent in intents.values()]
        place = {record.index: position for position, record in enumerate(self.records)}
        calls.sort(key=lambda pair: place[(pair[0] or pair[1] or self.records[0]).index])
        return tuple(self._call(*pair) for pair in calls)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """All steps, over all segments, by index; what lies outside any step comes last."""
        return _steps(self._parts, by_index=True)

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """Segments by number; records that no segment covers come last, under number None."""
        bounds = [(close, *_bounds(close)) for close in self.closes]
        inside: defaultdict[int | None, list[Record]] = defaultdict(list)
        for record in self._parts:
            inside[_segment_of(record, bounds)].append(record)
        _place_parts(inside)
        segments = [
            Segment(
                close.entry.integer(names.RUN_SEGMENT), close, _steps(inside[close.index], by_index=False)
            )
            for close in self.closes
        ]
        if inside.get(None):
            segments.append(Segment(None, None, _steps(inside[None], by_index=False)))
        return tuple(segments)

    def step(self, index: int) -> Step | None:
        """Return the step with an index, or None."""
        return next((step for step in self.steps if step.index == index), None)

    @property
    def _parts(self) -> list[Record]:
        return [r for r in self.records if r.entry.kind not in STATEMENTS and r.entry.kind != Kind.RUN_OPEN]

    def _of(self, *kinds: str) -> tuple[Record, ...]:
        return tuple(record for record in self.records if record.entry.kind in kinds)

    def _call(self, result: Record | None, intent: Record | None) -> ToolCall:
        call = ToolCall(result, intent)
        decisions, approvals = self._about
        return ToolCall(result, intent, decisions.matching(call), approvals.matching(call))

    @cached_property
    def _about(self) -> tuple[Matcher[Record], Matcher[Approval]]:
        decisions: Matcher[Record] = Matcher()
        for record in self.decisions:
            if record.entry.text(names.SUBJECT_TYPE) in ("", "tool_call"):
                decisions.add(
                    record, record.entry.text(names.SUBJECT_ID), {record.entry.text(names.SUBJECT_DIGEST)}
                )
        approvals: Matcher[Approval] = Matcher()
        for approval in self.approvals:
            approvals.add(approval, approval.subject, approval.digests)
        return decisions, approvals


def _bounds(close: Record) -> tuple[int, int]:
    first, count = close.entry.seq, close.entry.integer(names.RUN_RECORDS)
    return (first, first + count) if first is not None and count is not None else (0, 0)


def _segment_of(record: Record, bounds: Sequence[tuple[Record, int, int]]) -> int | None:
    for close, first, end in bounds:
        if record is close:
            return close.index
        if (
            record.entry.source == close.entry.source
            and record.entry.seq is not None
            and first <= record.entry.seq < end
        ):
            return close.index
    same_trace = [
        c for c, _, _ in bounds if record.entry.source == c.entry.source and record.entry.kind not in CLOSES
    ]
    return same_trace[-1].index if len(same_trace) == 1 and record.entry.seq is None else None


def _place_parts(inside: defaultdict[int | None, list[Record]]) -> None:
    """Move what other processes did of a run into the segment that has the step they were called from."""
    parts = {
        record.entry.source
        for record in inside[None]
        if record.entry.kind == Kind.STEP and record.entry.integer(names.RUN_RECORDS) is not None
    }
    segments: defaultdict[int | None, set[int]] = defaultdict(set)
    for close, records in inside.items():
        for record in records:
            if close is not None:
                segments[record.entry.integer(names.STEP_INDEX)].add(close)
    for record in inside.pop(None, []):
        found = segments.get(record.entry.integer(names.STEP_INDEX), set())
        is_placed = record.entry.source in parts and len(found) == 1
        inside[next(iter(found)) if is_placed else None].append(record)


def _steps(records: Iterable[Record], *, by_index: bool) -> tuple[Step, ...]:
    spans: defaultdict[int | None, list[Record]] = defaultdict(list)
    inside: defaultdict[int | None, list[Record]] = defaultdict(list)
    order: dict[int | None, None] = {}
    for record in records:
        if record.entry.kind in CLOSES:
            continue
        index = record.entry.integer(names.STEP_INDEX)
        order.setdefault(index)
        (spans if record.entry.kind == Kind.STEP else inside)[index].append(record)
    indices = sorted(order, key=lambda i: (i is None, i or 0)) if by_index else list(order)
    return tuple(Step(i, tuple(spans[i]), tuple(inside[i])) for i in indices)
