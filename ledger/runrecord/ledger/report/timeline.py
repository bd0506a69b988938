# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The run over time as one figure: segments, steps, calls, decisions and approvals, with what nobody did cut short."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from math import sqrt
from typing import Final

from runrecord.ledger.calls import ToolCall
from runrecord.ledger.entry import Kind
from runrecord.ledger.narrate import answered, called, decided, effect, lasting, printable, told, when
from runrecord.ledger.records import Record
from runrecord.ledger.runs import RunView
from runrecord.semconv import attributes as names

_WIDTH: Final = 1000.0
_LEFT: Final = 92.0
_RIGHT: Final = 990.0
_ROW: Final = 20.0
_BAR: Final = 15.0
_PAD: Final = 9.0
_TOP: Final = 38.0
_LETTER: Final = 6.9
_MAX_ROWS: Final = 5
_MAX_MARKS: Final = 1_500
_QUIET_SHARE: Final = 0.45
_SIGN: Final = 13.0
_CLOCK: Final = 84.0
_DAY: Final = 86_400 * 1_000_000_000
_LAST: Final = 253_402_300_800 * 1_000_000_000
_GRANTED: Final = frozenset({"approved", "modified"})


@dataclass(frozen=True)
class _Mark:
    """Something with a beginning and an end, in nanoseconds.

    Attributes:
        start: When it began.
        end: When it ended.
        look: Class of its shape; a sign of one letter if it is a moment.
        label: A few words for the figure.
        title: The whole sentence, shown when pointed at.
        sign: What is drawn at its end, or all of it if it is a moment.
    """

    start: int
    end: int
    look: str
    label: str
    title: str
    sign: str = ""


class _Axis:
    """Maps times to places: short intervals are widened, and those in which nothing is recorded are cut."""

    def __init__(self, busy: Sequence[_Mark], all_marks: Sequence[_Mark]) -> None:
        times = sorted({time for mark in all_marks for time in (mark.start, mark.end)})
        self.times = times
        covered = _covered(times, busy)
        span = times[-1] - times[0]
        self.quiet = [
            not is_covered and end - start > max(span * 0.08, 1_000_000)
            for start, end, is_covered in zip(times, times[1:], covered, strict=False)
        ]
        weights = [sqrt(end - start) for start, end in pairwise(times)]
        cut = sum(self.quiet)
        room = _RIGHT - _LEFT
        each = min(104.0, room * _QUIET_SHARE / cut) if cut else 0.0
        rest = sum(w for w, quiet in zip(weights, self.quiet, strict=True) if not quiet)
        if not rest and cut:
            each = room / cut
        scale = (room - each * cut) / rest if rest else 0.0
        self.places = [_LEFT]
        for weight, quiet in zip(weights, self.quiet, strict=True):
            self.places.append(self.places[-1] + (each if quiet else weight * scale))

    def place(self, time: int) -> float:
        """Return where a time is that some mark begins or ends at."""
        return self.places[bisect_right(self.times, time) - 1]


def timeline(view: RunView) -> str:
    """Return the figure, or an empty string if no record has a time."""
    lanes = _lanes(view)
    marks = [mark for _, lane in lanes for mark in lane]
    if not marks:
        return ""
    busy = [
        m
        for title, lane in lanes
        if title in {"Steps", "Tool calls", "Other"}
        for m in lane
        if m.look != "wait"
    ]
    axis = _Axis(busy, marks)
    body: list[str] = []
    top = _TOP
    for title, lane in lanes:
        if lane:
            drawn, rows = _lane(axis, lane)
            body.append(
                f'<text class="name" x="0" y="{top + 12:.0f}">{escape(title)}</text>'
                f'<g transform="translate(0 {top:.0f})">{drawn}</g>'
            )
            top += rows * _ROW + _PAD
            body.append(
                f'<line class="rule" x1="0" x2="{_WIDTH:.0f}" y1="{top - 5:.1f}" y2="{top - 5:.1f}"/>'
            )
    height = top + 2
    back = _background(axis, view, height)
    said = f"{printable(view.run)} from {when(view.start)} to {when(view.end)}. The tables below say the same in words."
    return (
        f'<figure>\n<svg viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img" aria-labelledby="figure-title figure-text">'
        f'<title id="figure-title">Timeline of the run</title><desc id="figure-text">{escape(said)}</desc>{_PATTERNS}'
        f"{back}{''.join(body)}</svg>\n{_LEGEND}\n</figure>"
    )


_PATTERNS: Final = (
    '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<line class="hatching" x1="0" x2="0" y1="0" y2="6"/></pattern>'
    '<pattern id="dots" width="7" height="7" patternUnits="userSpaceOnUse"><circle class="dot" cx="1.5" cy="1.5" r=".8"/></pattern></defs>'
)
_LEGEND: Final = (
    "<figcaption>Not to scale: short intervals are widened, and those in which nothing is recorded are cut (dotted). "
    "Calls: solid changes something, outlined only reads, dashed does not say. "
    "Decisions: \u2713 allow, ? approval needed, \u2717 deny. "
    "Approvals: hatched while they wait. Times are UTC, as the emitters' clocks state them.</figcaption>"
)


def _lanes(view: RunView) -> list[tuple[str, list[_Mark]]]:
    shown = frozenset(
        (Kind.STEP, Kind.TOOL_RESULT, Kind.TOOL_INTENT, Kind.POLICY_DECISION, Kind.RUN_OPEN, Kind.CONFLICT)
    )
    other = [
        record
        for segment in view.segments
        for step in segment.steps
        for record in step.records
        if record.entry.kind not in shown
        and record.entry.kind not in {Kind.APPROVAL_REQUEST, Kind.APPROVAL_DECISION}
    ]
    lanes: list[tuple[str, Iterable[_Mark | None]]] = [
        ("Segments", map(_segment, view.closes)),
        ("Steps", (_step(record) for step in view.steps for record in step.spans)),
        ("Tool calls", map(_call, view.calls)),
        ("Decisions", map(_decision, view.decisions)),
        ("Approvals", _waits(view)),
        (
            "Other",
            (_mark(r, "fail" if r.entry.status == "error" else "bar", told(r), told(r)) for r in other),
        ),
    ]
    return [
        (title, sorted((m for m in lane if m is not None), key=lambda m: (m.start, -m.end)))
        for title, lane in lanes
    ]


def _mark(record: Record, look: str, label: str, title: str, sign: str = "") -> _Mark | None:
    start, end = record.entry.start, max(record.entry.start, record.entry.end)
    if not start > 0 or not end < _LAST:
        return None
    took = f", {lasting((end - start) / 1e9)}" if end > start else ""
    return _Mark(start, end, look, label, f"{title} at {when(start)}{took} (#{record.index})", sign)


def _segment(close: Record) -> _Mark | None:
    number = close.entry.integer(names.RUN_SEGMENT) or 0
    how = "then waited" if close.entry.kind == Kind.SOURCE_CLOSE else "then ended"
    return _mark(close, "bar", f"segment {number}, {how}", f"segment {number}, {how}")


def _step(record: Record) -> _Mark | None:
    entry = record.entry
    index = entry.integer(names.STEP_INDEX)
    kind = entry.text(names.STEP_KIND)
    look = "fail" if entry.status == "error" else "wait" if kind == "wait" else "bar"
    label = f"{'' if index is None else index} {printable(kind)}".strip()
    name = printable(entry.text(names.STEP_NAME))
    return _mark(record, look, label, f"step {label} {name}".strip())


def _call(call: ToolCall) -> _Mark | None:
    look = "change" if call.changes_something else "read" if call.declares_effect else "unsure"
    if call.entry.status == "error" or call.result is None:
        look = "fail"
    return _mark(call.record, look, printable(call.tool), f"{called(call)}: {effect(call)}")


def _decision(record: Record) -> _Mark | None:
    outcome = record.entry.text(names.DECISION_OUTCOME)
    look, sign = {"allow": ("ok", "\u2713"), "deny": ("no", "\u2717")}.get(outcome, ("ask", "?"))
    if record.entry.status == "error":
        look, sign = "no", "!"
    about = printable(record.entry.text(names.SUBJECT_NAME))
    return _mark(record, look, "", f"{decided(record)}{f' about {about}' if about else ''}", sign)


def _waits(view: RunView) -> Iterable[_Mark | None]:
    for approval in view.approvals:
        first = (approval.requests or approval.answers)[0]
        last = (approval.answers or approval.requests)[-1]
        start, end = first.entry.start, last.entry.end if approval.answers else view.end
        if not 0 < start <= end < _LAST:
            continue
        what = printable(approval.subject_name or approval.subject or approval.id)
        sign = "\u2713" if approval.status in _GRANTED else "?" if not approval.answers else "\u2717"
        shown = " ".join(f"#{record.index}" for record in approval.records)
        yield _Mark(start, end, "wait", what, f"{what}: {answered(approval)} ({shown})", sign)


def _covered(times: Sequence[int], busy: Sequence[_Mark]) -> list[bool]:
    """Return for each interval between two neighbouring times whether something is at work in it."""
    begins = sorted(mark.start for mark in busy)
    ends = sorted(mark.end for mark in busy)
    return [bisect_right(begins, time) > bisect_right(ends, time) for time in times[:-1]]


@dataclass
class _Placed:
    """A mark in the figure: from where to where, how many it stands for, and where its neighbours in the row are."""

    mark: _Mark
    x: float
    end: float
    y: float
    count: int = 1
    before: float = _LEFT
    after: float = _WIDTH


def _lane(axis: _Axis, marks: Sequence[_Mark]) -> tuple[str, int]:
    """Draw the marks of one lane, those at the same time below each other; return them and how many rows they take."""
    free: list[int] = []
    rows: list[list[_Placed]] = []
    for mark in marks:
        row = next((i for i, end in enumerate(free) if end <= mark.start), None)
        if row is None:
            row = len(free) if len(free) < _MAX_ROWS else _MAX_ROWS - 1
        if row == len(free):
            free.append(mark.end)
            rows.append([])
        free[row] = max(free[row], mark.end)
        x, end = axis.place(mark.start), axis.place(mark.end)
        last = rows[row][-1] if rows[row] else None
        if last and len(marks) > _MAX_MARKS and last.mark.look == mark.look and x - last.x < 1.0:
            last.end, last.count = max(last.end, end), last.count + 1
            continue
        if last:
            last.after = x
        rows[row].append(_Placed(mark, x, end, row * _ROW, before=last.end if last else _LEFT))
    drawn: list[str] = []
    for own in rows:
        free_from = _LEFT
        for placed in own:
            placed.before = max(placed.before, free_from)
            shape, free_from = _draw(placed)
            drawn.append(shape)
    return "".join(drawn), len(rows)


def _draw(placed: _Placed) -> tuple[str, float]:
    """Return a mark with its label, if there is room for one, and where it ends."""
    mark, x, y = placed.mark, placed.x, placed.y
    title = mark.title if placed.count == 1 else f"{mark.title} and {placed.count - 1} more"
    if mark.look in {"ok", "no", "ask"}:
        has_room = placed.after - x > _SIGN and x + _SIGN < _WIDTH
        shape = (
            _sign(x + _SIGN / 2, y + _BAR / 2, mark.look, mark.sign) if has_room else _line(x, y, mark.look)
        )
        return f"<g><title>{escape(title)}</title>{shape}</g>", x + _SIGN
    width = max(placed.end - x - 0.6, 1.6)
    parts = [
        f'<rect class="{mark.look}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_BAR:.0f}" rx="2"/>'
    ]
    behind = x + width + 4
    if mark.sign:
        look = {"\u2713": "ok", "?": "ask"}.get(mark.sign, "no")
        parts.append(_sign(min(behind + 5, _WIDTH - 8), y + _BAR / 2, look, mark.sign))
        behind += 16
    label = mark.label if placed.count == 1 else ""
    size = len(label) * _LETTER
    if label and size + 6 < width and mark.look in {"bar", "change", "fail"}:
        parts.append(f'<text class="in" x="{x + 4:.1f}" y="{y + 11.5:.1f}">{escape(label)}</text>')
    elif label and behind + size < placed.after:
        parts.append(f'<text x="{behind:.1f}" y="{y + 11.5:.1f}">{escape(label)}</text>')
        behind += size
    elif label and x - size - 6 > placed.before:
        parts.append(f'<text x="{x - 5:.1f}" y="{y + 11.5:.1f}" text-anchor="end">{escape(label)}</text>')
    return f"<g><title>{escape(title)}</title>{''.join(parts)}</g>", behind


def _sign(x: float, y: float, look: str, sign: str) -> str:
    word = "" if look == "ask" else ' class="in"'
    return (
        f'<circle class="{look}" cx="{x:.1f}" cy="{y:.1f}" r="6.5"/>'
        f'<text{word} x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle">{sign}</text>'
    )


def _line(x: float, y: float, look: str) -> str:
    return f'<rect class="{look}" x="{x:.1f}" y="{y:.1f}" width="1.4" height="{_BAR:.0f}"/>'


def _background(axis: _Axis, view: RunView, height: float) -> str:
    """Draw what is cut, and the times at both ends of what is not."""
    asked = [(m.start, m.end) for m in _waits(view) if m is not None]
    parts: list[str] = []
    ticks = [0]
    for at, quiet in enumerate(axis.quiet):
        if not quiet:
            continue
        start, end = axis.times[at], axis.times[at + 1]
        x, width = axis.places[at], axis.places[at + 1] - axis.places[at]
        waits = any(begin <= start and end <= until for begin, until in asked)
        took = lasting((end - start) / 1e9)
        word = f"{took} waiting" if waits else f"{took} nothing"
        parts.append(
            f'<g><title>{escape(word)} recorded</title><rect class="quiet" x="{x:.1f}" y="33" width="{width:.1f}" height="{height - 35:.0f}"/></g>'
        )
        if width > len(word) * _LETTER:
            parts.append(
                f'<text class="dim" x="{x + width / 2:.1f}" y="29" text-anchor="middle">{escape(word)}</text>'
            )
        ticks += [at + 1]
    shown = -_CLOCK
    days = axis.times[-1] - axis.times[0] > _DAY
    for at in ticks:
        x = axis.places[at]
        clock = when(axis.times[at])[5:16] if days else when(axis.times[at])[11:19]
        parts.append(f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="15" y2="{height - 2:.0f}"/>')
        if x - shown > _CLOCK and x < _WIDTH - _CLOCK:
            parts.append(f'<text class="dim" x="{x + 2:.1f}" y="11">{escape(clock)}</text>')
            shown = x
    return "".join(parts)
