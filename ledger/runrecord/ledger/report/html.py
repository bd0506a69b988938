# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Pieces of a page: every value is escaped where it becomes HTML, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from runrecord.ledger.narrate import printable
from runrecord.ledger.records import Record

MAX_ROWS: Final = 1_000
"""Most rows of a table; what is beyond is counted, and stands in the entries."""

_MAX_ENTRIES: Final = 12


def text(value: str) -> str:
    """Return text of an emitter as HTML: no markup of its own, no control or direction characters, an end."""
    return escape(printable(value))


def code(value: str) -> str:
    """Return an id or a hash as HTML."""
    return f"<code>{text(value)}</code>"


def section(title: str, body: str, lead: str = "") -> str:
    """Return a section; the body is HTML already."""
    said = f'<p class="lead">{escape(lead)}</p>\n' if lead else ""
    return f"<section>\n<h2>{escape(title)}</h2>\n{said}{body}\n</section>"


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], *, kind: str = "") -> str:
    """Return a table with a row of heads; the cells are HTML already, and the first of a row is its head.

    Args:
        caption: What it shows; read out, not shown, since the section's title says it.
        heads: Of the columns.
        rows: As many cells as heads each; a row of one cell spans them all. Beyond MAX_ROWS they are only counted.
        kind: Class of the table.
    """
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    body = "".join(_row(row, len(heads)) for row in rows[:MAX_ROWS])
    more = len(rows) - MAX_ROWS
    rest = (
        f'<p class="note">{more:,} more rows are not shown; entries.jsonl holds every record.</p>'
        if more > 0
        else ""
    )
    return (
        f'<div class="scroll"><table class="{kind}">\n<caption>{escape(caption)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>{rest}"
    )


def _row(cells: Sequence[str], width: int) -> str:
    if len(cells) < width:
        return f'<tr class="part"><th scope="rowgroup" colspan="{width}">{" ".join(cells)}</th></tr>\n'
    return f'<tr><th scope="row">{cells[0]}</th>{"".join(f"<td>{cell}</td>" for cell in cells[1:])}</tr>\n'


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Return labels and values; the values are HTML already."""
    return (
        '<dl class="facts">'
        + "".join(f"<div><dt>{escape(k)}</dt><dd>{v}</dd></div>\n" for k, v in rows)
        + "</dl>"
    )


def items(found: Iterable[str]) -> str:
    """Return a list; the items are HTML already."""
    return "<ul>" + "".join(f"<li>{item}</li>" for item in found) + "</ul>"


def badge(tone: str, word: str) -> str:
    """Return a word that also has a sign, so that it can be told without colour.

    Args:
        tone: good, warn, bad or plain.
        word: The word, not HTML.
    """
    sign = {"good": "\u2713", "warn": "!", "bad": "\u2717"}.get(tone, "")
    mark = f'<span class="sign" aria-hidden="true">{sign}</span> ' if sign else ""
    return f'<span class="badge {tone}">{mark}{text(word)}</span>'


def entry(record: Record) -> str:
    """Name an entry by its index in the log."""
    return entries((record.index,))


def entries(indices: Sequence[int]) -> str:
    """Name entries by their indices in the log, at most twelve of them."""
    more = f" and {len(indices) - _MAX_ENTRIES} more" if len(indices) > _MAX_ENTRIES else ""
    return f'<span class="entry">{" ".join(f"#{index}" for index in indices[:_MAX_ENTRIES])}{more}</span>'


def count(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
