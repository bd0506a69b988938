# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Write the pages of the situations from the scenarios in tests/scenarios; ``--check`` only says whether they are up to date.

.venv/bin/python docs/situations/make.py
"""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "tests" / "scenarios")]

import harness  # noqa: E402
from harness import convention_of, facts_of  # noqa: E402
from picture import draw  # noqa: E402
from tree import EVENTS, calls_of, rows_of  # noqa: E402

from runrecord.semconv.registry import Signal, load_registry  # noqa: E402

MARK = "<!-- Generated from tests/scenarios by docs/situations/make.py. Do not edit. -->"
PAUSE = "2 h 10 min later, in another process"
_EVERYWHERE = frozenset(
    {
        "runrecord.run.id",
        "runrecord.source.id",
        "runrecord.record.seq",
        "runrecord.step.index",
        "runrecord.tenant.id",
    }
)
"""What every governed span carries: the tables leave it out."""


def title_of(played: harness.Played) -> str:
    """The first line of the docstring."""
    return (inspect.getdoc(played.module) or "").split("\n", 1)[0].rstrip(".")


def page(played: harness.Played) -> str:
    """The page of one situation."""
    name = _file(played)
    prose = (inspect.getdoc(played.module) or "").split("\n", 1)[1].strip()
    own = {metric.name for metric in load_registry().metrics.values()}
    counted = sorted({metric.name for metric in played.metrics} & own)
    metrics = [(name, _page_of(f"metric.{name.removeprefix('runrecord.')}")) for name in counted]
    signals = sorted({(signal.name, _page_of(signal.id)) for signal in _signals(played)})
    return "\n".join(
        [
            MARK,
            "",
            f"# {title_of(played)}",
            "",
            prose,
            "",
            f"![The spans of this situation, as a tree]({name}.svg)",
            "",
            "```python",
            _code(played),
            "```",
            "",
            "## What is on the spans",
            "",
            *_tables(played),
            f"Signals: {', '.join(f'[`{text}`]({target})' for text, target in signals)}.",
            "",
            f"Metrics: {', '.join(f'[`{text}`]({target})' for text, target in metrics)}.",
            "",
            f"The tests run this program: [`{played.name}.py`](../../tests/scenarios/{played.name}.py). [All situations](README.md).",
            "",
        ]
    )


def picture(played: harness.Played) -> str:
    """The tree of spans of one situation."""
    ran = calls_of(played.processes)
    return draw(
        title_of(played), [(process.name, rows_of(process, ran)) for process in played.processes], PAUSE
    )


def index(all_played: dict[str, harness.Played]) -> str:
    """The page that shows all situations."""
    lines = [
        MARK,
        "",
        "# What do I set when my agent does this?",
        "",
        "Each page tells one situation: what to record, the program that records it, the spans it gives as a picture, and what",
        "is on them. The programs are run by the tests, and together they emit every signal, every attribute and every metric of the",
        "[conventions](../conventions/README.md). All of them are about an agent that refunds invoices.",
        "",
        "`recorder` in the programs is a `Recorder` of `runrecord.instrumentation`, or its module `recorder`, which has the same",
        "calls for a default one. With an SDK that Runrecord [instruments](../instrumentation.md) you write none of this by hand.",
    ]
    for group, names in harness.GROUPS.items():
        lines += ["", f"## {group}", "", "| situation | the spans it gives |", "|---|---|"]
        for name in names:
            title, file = title_of(all_played[name]), _file(all_played[name])
            image = f'<img src="{file}.svg" width="420" alt="{title}: its spans, as a tree">'
            lines.append(f"| [{title}]({file}.md) | [{image}]({file}.md) |")
    return "\n".join(
        [
            *lines,
            "",
            "## How to read the pictures",
            "",
            "| mark | what it is |",
            "|---|---|",
            "| **R** | run, or a segment of one |",
            "| **S** | step |",
            "| **T** | tool call |",
            "| **M** | model call |",
            "| **P** | policy decision |",
            "| **?** | approval request |",
            "| **!** | its answer |",
            "| **V** | verification |",
            "| **C** | compensation |",
            "| an empty circle | a span of another instrumentation |",
            "| a diamond | a log event; those that only repeat a span are not drawn |",
            "| a broken circle, struck through | what did not happen, and has no span |",
            "| an arrow | a span link |",
            "| a dotted line | the same trace goes on in another process |",
            "",
        ]
    )


def _file(played: harness.Played) -> str:
    return played.name.replace("_", "-")


def _code(played: harness.Played) -> str:
    """The program, without its docstring and what only this generator reads."""
    source = Path(str(played.module.__file__)).read_text()
    lines = source.splitlines()
    for node in ast.parse(source).body:
        documentation = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        targets = [getattr(target, "id", "") for target in getattr(node, "targets", [])]
        if documentation or {"MATTERS", "CAPTURE_MESSAGE_CONTENT"} & set(targets):
            lines[node.lineno - 1 : node.end_lineno] = [""] * ((node.end_lineno or 0) - node.lineno + 1)
    kept = "\n".join(line for line in lines if not line.startswith("# SPDX"))
    while "\n\n\n\n" in kept:
        kept = kept.replace("\n\n\n\n", "\n\n\n")
    return kept.strip()


def _tables(played: harness.Played) -> list[str]:
    registry = load_registry()
    lines: list[str] = []
    names = {span.span_id: span.name for span in played.spans}
    left: list[Any] = [*played.spans, *(log for log in played.logs if log.event_name)]
    for wanted in played.module.MATTERS:  # each after the one before, if there is one
        place = next(place for place, item in enumerate(left) if _name(item).startswith(wanted))
        item = left[place]
        left = [*left[place + 1 :], *left[:place]]
        facts = {key: value for key, value in facts_of(item.attributes).items() if key not in _EVERYWHERE}
        lines += [f"### `{_name(item)}`", ""]
        if links := [
            f"`{names[link.span_id]}`" for link in getattr(item, "links", []) if link.span_id in names
        ]:
            lines += [f"Links to {', '.join(links)}.", ""]
        lines += ["| attribute | value | what it says |", "|---|---|---|"]
        for key, value in sorted(facts.items()):
            attribute = registry.attributes.get(key)
            lines.append(f"| `{key}` | {_value(value)} | {_cell(attribute.brief) if attribute else ''} |")
        lines.append("")
    return lines


def _name(item: Any) -> str:
    return item.event_name if hasattr(item, "event_name") else item.name


def _value(value: Any) -> str:
    text = (
        str(value).lower()
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
    if text.startswith("hmac-sha256:"):
        text = f"{text[:24]}…"
    return f"`{_cell(text)}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _signals(played: harness.Played) -> list[Signal]:
    drawn = [*played.spans, *(record for record in played.logs if record.event_name in EVENTS)]
    return [signal for signal in map(convention_of, drawn) if signal is not None]


def _page_of(identity: str) -> str:
    return f"../conventions/{identity.removeprefix('runrecord.').replace('.', '-').replace('_', '-')}.md"


def main() -> None:
    """Bring the pages up to date, or exit with 1 if they are not and ``--check`` is given."""
    all_played = {name: harness.play(name) for name in harness.SITUATIONS}
    wanted = {"README.md": index(all_played)}
    for played in all_played.values():
        wanted |= {f"{_file(played)}.md": page(played), f"{_file(played)}.svg": picture(played)}
    found = {path.name: path.read_text() for path in HERE.iterdir() if path.suffix in {".md", ".svg"}}
    stale = sorted({*wanted, *found} - {name for name in wanted if wanted[name] == found.get(name)})
    if "--check" in sys.argv[1:]:
        sys.exit(
            f"docs/situations is not up to date ({', '.join(stale)}); run: make generate" if stale else 0
        )
    for name in stale:
        if name in wanted:
            (HERE / name).write_text(wanted[name])
        else:
            (HERE / name).unlink()


if __name__ == "__main__":
    main()
