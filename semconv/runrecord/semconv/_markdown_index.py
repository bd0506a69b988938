# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Write the index of the reference pages, and the table of upstream bridges."""

from collections.abc import Sequence

from runrecord.semconv._markdown import cell, code, page_name, type_name
from runrecord.semconv._model import Attribute, Metric, Registry, Signal
from runrecord.semconv._target import Target
from runrecord.semconv.bridges import Bridge, Bridges

__all__ = ["bridges_page", "index_page"]

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
"""The files of our registry in the order of a run, which is the order of the index; others follow."""


def index_page(registry: Registry, target: Target) -> str:
    """Write the index: every signal, metric and attribute of the registry itself."""
    signals = sorted(registry.own_signals, key=_topic)
    spans = [signal for signal in signals if signal.form == "span"]
    events = [signal for signal in signals if signal.form == "event"]
    attributes = sorted(registry.own_attributes, key=lambda attribute: attribute.key)
    lines = [
        "# Conventions",
        "",
        registry.description,
        "",
        f"Version {registry.version}, schema URL `{registry.schema_url}`, stability: {registry.stability}.",
        target.about,
        "",
    ]
    lines += _section(
        "Spans",
        "| span | kind | refines | what it says |",
        [
            f"| [`{span.name}`]({page_name(span)}) | {span.kind} | {code(span.ref)} | {cell(span.brief)} |"
            for span in spans
        ],
    )
    lines += _section(
        "Log events",
        "| event | refines | what it says |",
        [
            f"| [`{event.name}`]({page_name(event)}) | {code(event.ref)} | {cell(event.brief)} |"
            for event in events
        ],
    )
    lines += _section(
        "Metrics",
        "| metric | instrument | unit | what it says |",
        [
            f"| [`{metric.name}`]({page_name(metric)}) | {metric.instrument} | `{metric.unit}` | {cell(metric.brief)} |"
            for metric in registry.own_metrics
        ],
    )
    lines += _section(
        "Attributes",
        "| attribute | type | what it says | used by |",
        [_attribute_row(attribute, [*signals, *registry.own_metrics]) for attribute in attributes],
    )
    return "\n".join(lines)


def _section(title: str, head: str, rows: Sequence[str]) -> list[str]:
    if not rows:
        return []
    return [f"## {title}", "", head, "|---" * (head.count("|") - 1) + "|", *rows, ""]


def _attribute_row(attribute: Attribute, items: Sequence[Signal | Metric]) -> str:
    users = [item for item in items if any(use.attribute.key == attribute.key for use in item.uses)]
    links = ", ".join(f"[{page_name(item).removesuffix('.md')}]({page_name(item)})" for item in users)
    return f"| `{attribute.key}` | {type_name(attribute)} | {cell(attribute.brief)} | {links} |"


def _topic(signal: Signal) -> int:
    topic = signal.node.path.stem
    return _TOPICS.index(topic) if topic in _TOPICS else len(_TOPICS)


def _shape(bridge: Bridge) -> str:
    if bridge.preview is None:
        return ""
    return f"event `{bridge.preview.event}`" if bridge.preview.event else "attributes of the span"


def bridges_page(bridges: Bridges) -> str:
    """Write the table of what of ours corresponds to which upstream proposal."""
    rows = [
        f"| {_names(bridge.ours)} | {_names(bridge.upstream)} "
        f"| [#{bridge.number}](https://github.com/{bridges.repository}/issues/{bridge.number}) | {bridge.status} "
        f"| {_shape(bridge)} "
        f"| {cell(bridge.remark)} |"
        for bridge in bridges.entries
    ]
    return "\n".join(
        [
            "# Bridges to upstream proposals",
            "",
            f"How our names correspond to open proposals in [{bridges.repository}](https://github.com/{bridges.repository}),",
            f"as the threads stood on {bridges.as_of}. None of these upstream names is emitted unless you ask for it: they are not",
            "released, and the `gen_ai` namespace belongs to OpenTelemetry. `RUNRECORD_PREVIEW_UPSTREAM` names the threads whose",
            "shape the recorder emits beside ours (`535,445`, or `all`), to try a proposal out; only those marked can be. When a",
            "proposal merges, its shape is emitted without being asked for, and the rename goes into the registry and from there",
            "into the schema file, so that readers can translate.",
            "",
            "| ours | upstream | thread | status | preview | remark |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _names(names: tuple[str, ...]) -> str:
    return "<br>".join(code(name) for name in names)
