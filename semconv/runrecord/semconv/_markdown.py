# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Write the reference pages of a registry: one for each signal and each metric."""

import json
import os.path

from runrecord.semconv._model import Attribute, Metric, Registry, Signal, Use
from runrecord.semconv._target import Target, stem

__all__ = ["cell", "code", "page_name", "pages", "type_name"]

_LEVELS = {
    "required": "required",
    "conditionally_required": "conditional",
    "recommended": "recommended",
    "opt_in": "opt-in",
}
_UPSTREAM = "https://github.com/open-telemetry/semantic-conventions-genai"


def pages(registry: Registry, target: Target) -> dict[str, str]:
    """Write the page of every signal and metric of the registry itself; the keys are file names."""
    signals = {page_name(signal): _signal_page(registry, signal, target) for signal in registry.own_signals}
    metrics = {page_name(metric): _metric_page(registry, metric, target) for metric in registry.own_metrics}
    return signals | metrics


def page_name(item: Signal | Metric) -> str:
    """Name the page of a signal or a metric."""
    return f"{stem(item)}.md"


def _signal_page(registry: Registry, signal: Signal, target: Target) -> str:
    facts = [f"Registry id `{signal.id}`"]
    if signal.kinds:
        facts.append(f"kind {' or '.join(kind.upper() for kind in signal.kinds)}")
    title = f"{'Span' if signal.form == 'span' else 'Log event'} `{signal.name}`"
    return _page(registry, signal, target, title, facts)


def _metric_page(registry: Registry, metric: Metric, target: Target) -> str:
    facts = [f"Registry id `{metric.id}`", f"instrument {metric.instrument}", f"unit `{metric.unit}`"]
    return _page(registry, metric, target, f"Metric `{metric.name}`", facts)


def _page(registry: Registry, item: Signal | Metric, target: Target, title: str, facts: list[str]) -> str:
    facts = [*facts, f"stability: {item.stability}"]
    if item.ref:
        facts.append(f"refines {_refined(registry, item)}")
    if item.deprecated:
        facts.append(f"**deprecated**{f', use {code(item.renamed_to)}' if item.renamed_to else ''}")
    schema = os.path.relpath(target.schemas / f"{stem(item)}.json", target.pages).replace(os.sep, "/")
    lines = [f"# {title}", "", item.brief, ""]
    lines += [f"{', '.join(facts)}. [JSON Schema]({schema}) of the attributes.", ""]
    if item.note:
        lines += [item.note, ""]
    notes: list[str] = []
    own = [use for use in item.uses if not use.inherited]
    inherited = [use for use in item.uses if use.inherited]
    lines += _table("Attributes", own, notes)
    if inherited:
        lines += _table(f"Attributes of {code(item.ref)}, unchanged", inherited, notes)
    for note in notes:
        lines += [note, ""]
    for use in item.uses:
        if not use.attribute.official:
            lines += _members(use.attribute)
    return "\n".join(lines)


def _refined(registry: Registry, item: Signal | Metric) -> str:
    official = item.ref in registry.official or item.ref in registry.official_metrics
    return f"the official [`{item.ref}`]({_UPSTREAM})" if official else code(item.ref)


def _table(title: str, uses: list[Use], notes: list[str]) -> list[str]:
    """Write a table of attributes, and add their notes to ``notes``."""
    if not uses:
        return [f"## {title}", "", "None.", ""]
    lines = [
        f"## {title}",
        "",
        "| attribute | type | requirement | what it says | examples |",
        "|---|---|---|---|---|",
    ]
    for use in uses:
        mark = ""
        if use.note:
            notes.append(f"**[{len(notes) + 1}]** `{use.attribute.key}`: {use.note}")
            mark = f" [{len(notes)}]"
        lines.append(
            f"| `{use.attribute.key}` | {type_name(use.attribute)} | {_requirement(use)} | {cell(use.brief)}{mark} "
            f"| {_examples(use.attribute)} |"
        )
    return [*lines, ""]


def _members(attribute: Attribute) -> list[str]:
    if not attribute.members:
        return []
    rows = [f"| `{member.value}` | {cell(member.brief)} |" for member in attribute.members]
    return [f"### Values of `{attribute.key}`", "", "| value | meaning |", "|---|---|", *rows, ""]


def type_name(attribute: Attribute) -> str:
    """Name the type of an attribute for people."""
    return "enum" if attribute.members else attribute.type


def _requirement(use: Use) -> str:
    level = _LEVELS[use.level]
    return f"{level}: {cell(use.condition)}" if use.condition else level


def _examples(attribute: Attribute) -> str:
    values = [member.value for member in attribute.members[:2]] if attribute.members else attribute.examples
    return ", ".join(code(value if isinstance(value, str) else json.dumps(value)) for value in values)


def code(text: str) -> str:
    """Set a text as code; an empty one stays empty."""
    return f"`{cell(text)}`" if text else ""


def cell(text: str) -> str:
    """Make a text fit into a cell of a table."""
    return text.replace("|", "\\|")
