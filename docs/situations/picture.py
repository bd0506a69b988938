# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Draw the tree of spans of a scenario as an SVG that is readable in light and dark mode, and to a screen reader."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from tree import Row

LETTERS: Final = {
    "run": "R",
    "step": "S",
    "tool": "T",
    "decision": "P",
    "request": "?",
    "answer": "!",
    "verification": "V",
    "compensation": "C",
    "model": "M",
    "nothing": "",
    "other": "",
    "event": "",
}
_ROW: Final = 32
_INDENT: Final = 26
_LEFT: Final = 22
_NAME: Final = 8.05  # width of a character of a name at 13 px, and of a badge at 11.5 px: a bit more than any common font needs
_BADGE: Final = 6.5
_LANE: Final = 18
_STYLE: Final = """
svg { --ground: #ffffff; --frame: #d0d7de; --text: #1f2328; --faint: #59636e; --line: #afb8c1; --link: #8250df;
  --good: #dafbe1; --good-text: #116329; --bad: #ffebe9; --bad-text: #a40e26; --warn: #fff1c2; --warn-text: #6b4400;
  --info: #ddf4ff; --info-text: #0550ae; --plain: #eff2f5; --plain-text: #454c54; }
@media (prefers-color-scheme: dark) {
  svg { --ground: #0d1117; --frame: #3d444d; --text: #f0f6fc; --faint: #9198a1; --line: #59636e; --link: #d2a8ff;
    --good: #12341f; --good-text: #7ee787; --bad: #4a1519; --bad-text: #ffb3ad; --warn: #3f2d07; --warn-text: #f2cc60;
    --info: #0c2d55; --info-text: #a5d6ff; --plain: #262c36; --plain-text: #c9d1d9; } }
text { fill: var(--text); font-family: -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; }
.name { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.badge { font-size: 11.5px; } .process { font-size: 13px; font-weight: 600; } .gap { font-size: 12px; fill: var(--faint); }
.letter { font-size: 11px; font-weight: 700; fill: #ffffff; text-anchor: middle; }
.ground { fill: var(--ground); stroke: var(--frame); } .branch { stroke: var(--line); fill: none; }
.continues { stroke: var(--line); fill: none; stroke-dasharray: 2 4; stroke-width: 1.6; } .pause { stroke: var(--line); stroke-dasharray: 6 5; }
.link { stroke: var(--link); fill: none; stroke-width: 1.6; } .head { fill: var(--link); } .linked { font-size: 11px; fill: var(--link); }
.good { fill: var(--good); } .bad { fill: var(--bad); } .warn { fill: var(--warn); } .info { fill: var(--info); } .plain { fill: var(--plain); }
.good-text { fill: var(--good-text); } .bad-text { fill: var(--bad-text); } .warn-text { fill: var(--warn-text); }
.info-text { fill: var(--info-text); } .plain-text { fill: var(--plain-text); }
.run { fill: #0969da; } .step { fill: #6e7781; } .tool { fill: #1a7f37; } .decision { fill: #9a6700; } .request, .answer { fill: #8250df; }
.verification { fill: #1b7c83; } .compensation { fill: #bc4c00; } .other { fill: none; stroke: var(--faint); stroke-width: 1.5; } .event { fill: var(--faint); }
.model { fill: #a8328c; } .nothing { fill: none; stroke: var(--faint); stroke-width: 1.2; stroke-dasharray: 3 3; } .struck { fill: var(--faint); text-decoration: line-through; }
"""


def draw(title: str, processes: Sequence[tuple[str, Sequence[Row]]], pause: str) -> str:
    """Draw the rows of one or more processes, one below the other.

    Args:
        title: What the picture shows.
        processes: The name of each process and its rows.
        pause: What to write between two processes.
    """
    places: dict[str, tuple[float, float]] = {}
    starts: dict[str, tuple[float, float]] = {}
    body: list[str] = []
    ends: list[float] = []
    y = 12.0
    for number, (name, rows) in enumerate(processes):
        if number:
            y += 28
            body.append(f'<line class="pause" x1="{_LEFT - 8}" x2="100%" y1="{y:g}" y2="{y:g}"/>')
            body.append(f'<text class="gap" x="{_LEFT}" y="{y + 18:g}">{escape(pause)}</text>')
            y += 26
        y += 22
        label = name if len(processes) == 1 else f"process {number + 1}: {name}"
        body.append(f'<text class="process" x="{_LEFT - 6}" y="{y:g}">{escape(label)}</text>')
        y += 6
        parents: dict[int, float] = {}
        for row in rows:
            y += _ROW
            x = _LEFT + row.depth * _INDENT
            if row.depth:
                top = parents[row.depth - 1] + 10
                body.append(f'<path class="branch" d="M{x - _INDENT + 2:g} {top:g} V{y:g} H{x - 9:g}"/>')
            elif row.parent_id in starts:  # below a span of an earlier process
                left, top = starts[row.parent_id]
                body.append(
                    f'<path class="continues" d="M{x:g} {y - 10:g} v-4 H{_LEFT - 12} V{top + 16:g} H{left:g} v-6"/>'
                )
            parents[row.depth] = y
            end = _row(body, row, x, y)
            ends.append(end)
            if row.span_id:
                places[row.span_id], starts[row.span_id] = (end, y), (x, y)
    lanes = _links(body, processes, places, max(ends) + 14)
    width, height = max([*ends, *lanes]) + 22, y + 26
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    words = escape(_description(processes, pause))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title desc">',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="desc">{words}</desc>',
            f"<style>{_STYLE}</style>",
            f'<rect class="ground" x="0.5" y="0.5" width="{width - 1:g}" height="{height - 1:g}" rx="8"/>',
            *(line.replace('x2="100%"', f'x2="{width - _LEFT + 8:g}"') for line in body),
            "</svg>",
            "",
        ]
    )


def _row(body: list[str], row: Row, x: float, y: float) -> float:
    """Draw one row, and return where it ends."""
    if row.kind == "event":
        body.append(f'<path class="event" d="M{x:g} {y - 6:g} l6 6 l-6 6 l-6 -6 z"/>')
    else:
        body.append(f'<circle class="{row.kind}" cx="{x:g}" cy="{y:g}" r="8.5"/>')
        body.append(f'<text class="letter" x="{x:g}" y="{y + 4:g}">{LETTERS[row.kind]}</text>')
    x += 15
    look = "name struck" if row.kind == "nothing" else "name"
    body.append(f'<text class="{look}" x="{x:g}" y="{y + 4.5:g}">{escape(row.name)}</text>')
    x += len(row.name) * _NAME + 8
    for text, tone in row.badges:
        wide = len(text) * _BADGE + 14
        body.append(f'<rect class="{tone}" x="{x:g}" y="{y - 10:g}" width="{wide:g}" height="20" rx="10"/>')
        body.append(
            f'<text class="badge {tone}-text" x="{x + wide / 2:g}" y="{y + 4:g}" text-anchor="middle">{escape(text)}</text>'
        )
        x += wide + 6
    return x


def _links(
    body: list[str],
    processes: Sequence[tuple[str, Sequence[Row]]],
    places: dict[str, tuple[float, float]],
    right: float,
) -> list[float]:
    """Draw the links as arrows at the right, each in a lane of its own, and return where they end."""
    found = [
        (places[row.span_id], places[target])
        for _, rows in processes
        for row in rows
        for target in row.links
        if target in places
    ]
    # The shortest is the innermost, so that no two cross without need.
    found.sort(key=lambda pair: pair[0][1] - pair[1][1])
    ends: list[float] = []
    for number, ((x1, y1), (x2, y2)) in enumerate(found):
        lane = right + number * _LANE
        body.append(
            f'<path class="link" d="M{x1 + 2:g} {y1:g} H{lane - 8:g} Q{lane:g} {y1:g} {lane:g} {y1 - 8:g} '
            f'V{y2 + 8:g} Q{lane:g} {y2:g} {lane - 8:g} {y2:g} H{x2 + 9:g}"/>'
        )
        body.append(f'<path class="head" d="M{x2 + 2:g} {y2:g} l9 -4.5 v9 z"/>')
        ends.append(lane)
    if found:
        lane = right + (len(found) - 1) * _LANE
        body.append(
            f'<text class="linked" x="{lane + 6:g}" y="{(found[-1][0][1] + found[-1][1][1]) / 2:g}">link</text>'
        )
        ends.append(lane + 26)
    return ends


def _description(processes: Sequence[tuple[str, Sequence[Row]]], pause: str) -> str:
    names = {row.span_id: row.name for _, rows in processes for row in rows}
    said: list[str] = []
    for number, (name, rows) in enumerate(processes):
        said.append(f"{pause}, {name}." if number else f"{name}.".capitalize())
        for row in rows:
            facts = [text for text, _ in row.badges] + [
                f"links to {names[link]}" for link in row.links if link in names
            ]
            said.append(
                f"{'Inside, level ' + str(row.depth) + ': ' if row.depth else ''}{row.name}{': ' if facts else ''}{', '.join(facts)}."
            )
    return " ".join(said)
