# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Write the reference pages of the conventions: one per signal, an index, and the table of upstream bridges."""

import json

from runrecord.semconv.bridges import Bridges
from runrecord.semconv.registry import Attribute, Registry, Signal, Use

__all__ = ["GENERATED_MARK", "pages"]

GENERATED_MARK = "<!-- Generated from the registry by: python -m runrecord.semconv.generate. Do not edit. -->"
_LEVELS = {
    "required": "required",
    "conditionally_required": "conditional",
    "recommended": "recommended",
    "opt_in": "opt-in",
}
_TOPICS = (
    "run",
    "step",
    "tool",
    "model",
    "policy",
    "approval",
    "verification",
    "compensation",
    "escalation",
    "breaker",
)
"""The files of the registry in the order of a run, which is the order of the index; others follow."""
_UPSTREAM = "https://github.com/open-telemetry/semantic-conventions-genai"


def pages(registry: Registry, bridges: Bridges) -> dict[str, str]:
    """Write every page; the keys are file names below ``docs/conventions``."""
    written = {_file(signal): _signal_page(signal) for signal in registry.signals.values()}
    written["README.md"] = _index(registry)
    written["bridges.md"] = _bridges_page(bridges)
    return {name: f"{GENERATED_MARK}\n\n{text}" for name, text in written.items()}


def _file(signal: Signal) -> str:
    return signal.id.removeprefix("runrecord.").replace(".", "-").replace("_", "-") + ".md"


def _index(registry: Registry) -> str:
    signals = sorted(registry.signals.values(), key=_topic)
    spans = [signal for signal in signals if signal.form == "span"]
    events = [signal for signal in signals if signal.form == "event"]
    users: dict[str, list[Signal]] = {}
    for signal in signals:
        for use in signal.uses:
            users.setdefault(use.attribute.key, []).append(signal)
    rows = [
        f"| `{attribute.key}` | {_type(attribute)} | {_cell(attribute.brief)} | {_links(users.get(attribute.key, []))} |"
        for attribute in sorted(registry.own_attributes, key=lambda attribute: attribute.key)
    ]
    return "\n".join(
        [
            "# Conventions",
            "",
            registry.description,
            "",
            f"Version {registry.version}, schema URL `{registry.schema_url}`, stability: development. The registry in",
            "[`semconv/runrecord/semconv/registry`](../../semconv/runrecord/semconv/registry) is the source of these pages",
            "and of the Python constants in `runrecord.semconv.attributes`. What corresponds to open upstream proposals is in",
            "[bridges.md](bridges.md).",
            "",
            "## Spans",
            "",
            "| span | kind | refines | what it says |",
            "|---|---|---|---|",
            *(
                f"| [`{signal.name}`]({_file(signal)}) | {signal.kind} | {_code(signal.ref)} | {_cell(signal.brief)} |"
                for signal in spans
            ),
            "",
            "## Log events",
            "",
            "| event | refines | what it says |",
            "|---|---|---|",
            *(
                f"| [`{signal.name}`]({_file(signal)}) | {_code(signal.ref)} | {_cell(signal.brief)} |"
                for signal in events
            ),
            "",
            "## Attributes",
            "",
            "| attribute | type | what it says | used by |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _topic(signal: Signal) -> int:
    topic = signal.node.path.stem
    return _TOPICS.index(topic) if topic in _TOPICS else len(_TOPICS)


def _signal_page(signal: Signal) -> str:
    lines = [f"# {'Span' if signal.form == 'span' else 'Log event'} `{signal.name}`", "", signal.brief, ""]
    facts = [f"Registry id `{signal.id}`", f"stability: {signal.stability}"]
    if signal.kind:
        facts.insert(1, f"kind {signal.kind.upper()}")
    if signal.ref:
        facts.append(f"refines the official [`{signal.ref}`]({_UPSTREAM})")
    lines += [", ".join(facts) + ".", ""]
    if signal.note:
        lines += [signal.note, ""]
    lines += [
        "## Attributes",
        "",
        "| attribute | type | requirement | what it says | examples |",
        "|---|---|---|---|---|",
    ]
    notes: list[str] = []
    for use in signal.uses:
        mark = ""
        if use.note:
            notes.append(f"**[{len(notes) + 1}]** `{use.attribute.key}`: {use.note}")
            mark = f" [{len(notes)}]"
        lines.append(
            f"| `{use.attribute.key}` | {_type(use.attribute)} | {_requirement(use)} | {_cell(use.brief)}{mark} "
            f"| {_examples(use.attribute)} |"
        )
    lines.append("")
    for note in notes:
        lines += [note, ""]
    for use in signal.uses:
        lines += _members(use.attribute)
    return "\n".join(lines)


def _members(attribute: Attribute) -> list[str]:
    if not attribute.members:
        return []
    rows = [f"| `{member.value}` | {_cell(member.brief)} |" for member in attribute.members]
    return [f"### Values of `{attribute.key}`", "", "| value | meaning |", "|---|---|", *rows, ""]


def _bridges_page(bridges: Bridges) -> str:
    rows = [
        f"| {_names(bridge.ours)} | {_names(bridge.upstream)} "
        f"| [#{bridge.number}](https://github.com/{bridges.repository}/issues/{bridge.number}) | {bridge.status} "
        f"| {_cell(bridge.remark)} |"
        for bridge in bridges.entries
    ]
    return "\n".join(
        [
            "# Bridges to upstream proposals",
            "",
            f"How our names correspond to open proposals in [{bridges.repository}](https://github.com/{bridges.repository}),",
            f"as the threads stood on {bridges.as_of}. None of these upstream names is emitted: they are not released, and the",
            "`gen_ai` namespace belongs to OpenTelemetry. When a proposal merges, the rename goes into the registry and from",
            "there into the schema file, so that readers can translate.",
            "",
            "| ours | upstream | thread | status | remark |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _type(attribute: Attribute) -> str:
    return "enum" if attribute.members else attribute.type


def _requirement(use: Use) -> str:
    level = _LEVELS[use.level]
    return f"{level}: {_cell(use.condition)}" if use.condition else level


def _examples(attribute: Attribute) -> str:
    values = [member.value for member in attribute.members[:2]] if attribute.members else attribute.examples
    return ", ".join(_code(value if isinstance(value, str) else json.dumps(value)) for value in values)


def _names(names: tuple[str, ...]) -> str:
    return "<br>".join(_code(name) for name in names)


def _links(signals: list[Signal]) -> str:
    return ", ".join(f"[{_file(signal).removesuffix('.md')}]({_file(signal)})" for signal in signals)


def _code(text: str) -> str:
    return f"`{_cell(text)}`" if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
