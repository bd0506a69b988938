# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Resolve the signals of a registry: take in groups, inherit from what is refined, find every attribute.

Where a signal gets an attribute from several sides, its own ``ref`` goes before a ``ref_group``, and that before what it
inherits; what the stronger side leaves out stays as the weaker side says. Two groups of one signal must not share an
attribute. Source: weaver, schemas/semconv-syntax.v2.md, attribute group reference.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

from runrecord.semconv._format import (
    SECTIONS,
    SPAN_KINDS,
    annotation,
    choice,
    definition_keys,
    level_of,
    renamed_to,
)
from runrecord.semconv._model import Attribute, Form, Instrument, Metric, Signal, Use
from runrecord.semconv._yaml import Node, known_keys, nodes, prose, text

__all__ = ["Scope", "parse_group", "resolve_metric", "resolve_signal"]

_INSTRUMENTS = frozenset({"counter", "updowncounter", "gauge", "histogram"})
_GROUP_KEYS = {
    "internal": frozenset({"id", "visibility", "attributes"}),
    "public": frozenset(
        {"id", "visibility", "attributes", "brief", "note", "stability", "deprecated", "annotations"}
    ),
}
_REFERENCE_KEYS = frozenset(
    {
        "ref",
        "requirement_level",
        "brief",
        "note",
        "examples",
        "sampling_relevant",
        "stability",
        "deprecated",
        "annotations",
    }
)
_Base = TypeVar("_Base", Signal, Metric)


@dataclass(frozen=True)
class Scope:
    """What a signal may refer to: the groups of its registry, and what it and those that it depends on define."""

    origin: str
    attributes: Mapping[str, Attribute]
    groups: Mapping[str, list[Node]]
    signals: Mapping[str, Signal]
    metrics: Mapping[str, Metric]


def parse_group(node: Node) -> tuple[str, list[Node]]:
    """Read an attribute group: its id, and its references, which are resolved where a signal takes it in."""
    key = text(node, "id")
    visibility = choice(node, "visibility", _GROUP_KEYS, key)
    known_keys(node, _GROUP_KEYS[visibility], key)
    if visibility == "public":
        text(node, "brief")
        text(node, "stability")
    return key, nodes(node, "attributes")


def resolve_signal(section: str, node: Node, scope: Scope) -> Signal:
    """Resolve a span or an event, defined or refined."""
    identity, refines = definition_keys(section)
    key = text(node, identity)
    known_keys(node, SECTIONS[section], key)
    form: Form = "span" if section.startswith("span") else "event"
    base = _base(node, key, scope.signals) if refines else None
    if base is not None and base.form != form:
        raise node.problem(key, f"refines {base.id}, which is no {form}", at="ref")
    kind, name = (base.kind, base.name) if base else ("", key)
    if form == "span":
        if base is None:
            kind = choice(node, "kind", SPAN_KINDS, key)
        if base is None or "name" in node:
            name = _span_name(node, key)
    return Signal(
        id=key,
        form=form,
        name=name,
        kind=kind,
        ref=base.id if base else "",
        brief=_inherited(node, "brief", base),
        note=_inherited(node, "note", base),
        stability=_inherited(node, "stability", base),
        kinds=annotation(node, "kinds") or (base.kinds if base else (kind,) if kind else ()),
        operations=annotation(node, "operations") or (base.operations if base else ()),
        uses=_uses(node, key, scope, base.uses if base else ()),
        deprecated="deprecated" in node,
        renamed_to=renamed_to(node, key),
        renamed_in="".join(annotation(node, "renamed_in")),
        origin=scope.origin,
        node=node,
    )


def resolve_metric(section: str, node: Node, scope: Scope) -> Metric:
    """Resolve a metric, defined or refined."""
    identity, refines = definition_keys(section)
    key = text(node, identity)
    known_keys(node, SECTIONS[section], key)
    base = _base(node, key, scope.metrics) if refines else None
    return Metric(
        id=key,
        name=base.name if base else key,
        instrument=base.instrument
        if base
        else cast("Instrument", choice(node, "instrument", _INSTRUMENTS, key)),
        unit=base.unit if base else text(node, "unit"),
        ref=base.id if base else "",
        brief=_inherited(node, "brief", base),
        note=_inherited(node, "note", base),
        stability=_inherited(node, "stability", base),
        uses=_uses(node, key, scope, base.uses if base else ()),
        deprecated="deprecated" in node,
        renamed_to=renamed_to(node, key),
        renamed_in="".join(annotation(node, "renamed_in")),
        origin=scope.origin,
        node=node,
    )


def _base(node: Node, key: str, known: Mapping[str, _Base]) -> _Base:
    ref = text(node, "ref")
    if ref not in known:
        raise node.problem(
            key, f"refines {ref}, and neither this registry nor one it depends on has it", at="ref"
        )
    if known[ref].ref:
        raise node.problem(
            key, f"refines {ref}, which is itself a refinement; refine {known[ref].ref}", at="ref"
        )
    return known[ref]


def _inherited(node: Node, key: str, base: Signal | Metric | None) -> str:
    if base is None:
        return prose(node, key) if key == "note" else text(node, key)
    return prose(node, key) or str(getattr(base, key))


def _span_name(node: Node, key: str) -> str:
    pattern = node.get("name")
    if not isinstance(pattern, Node):
        raise node.problem(key, "a span needs name: {note: ...}, the pattern of its name", at="name")
    known_keys(pattern, frozenset({"note"}), f"{key}.name")
    return text(pattern, "note")


def _uses(node: Node, key: str, scope: Scope, inherited: tuple[Use, ...]) -> tuple[Use, ...]:
    weaker = {use.attribute.key: use for use in inherited}
    grouped: dict[str, Use] = {}
    own: dict[str, Node] = {}
    order: dict[str, None] = {}
    for reference in nodes(node, "attributes"):
        if "ref_group" in reference:
            for use in _group_uses(reference, scope, weaker, ()):
                if use.attribute.key in grouped:
                    raise reference.problem(
                        use.attribute.key, f"{key} takes in two groups that both have the attribute"
                    )
                grouped[use.attribute.key] = use
                order[use.attribute.key] = None
        else:
            ref = text(reference, "ref")
            if ref in own:
                raise reference.problem(ref, f"{key} refers to the attribute twice")
            own[ref] = reference
            order[ref] = None
    merged = {
        ref: _use(own[ref], scope, grouped.get(ref, weaker.get(ref))) if ref in own else grouped[ref]
        for ref in order
    }
    rest = {ref: use for ref, use in weaker.items() if ref not in merged}
    return (*merged.values(), *(_handed_down(use) for use in rest.values()))


def _handed_down(use: Use) -> Use:
    return Use(use.attribute, use.level, use.condition, use.brief, use.note, inherited=True, node=use.node)


def _group_uses(
    reference: Node, scope: Scope, weaker: Mapping[str, Use], within: tuple[str, ...]
) -> list[Use]:
    key = text(reference, "ref_group")
    known_keys(reference, frozenset({"ref_group"}), key)
    if key not in scope.groups:
        raise reference.problem(
            key,
            "this registry has no attribute group with this id; a group of another can't be taken in",
            at="ref_group",
        )
    if key in within:
        cycle = " -> ".join([*within[within.index(key) :], key])
        raise reference.problem(key, f"the group takes itself in: {cycle}", at="ref_group")
    found: list[Use] = []
    for inner in scope.groups[key]:
        if "ref_group" in inner:
            found += _group_uses(inner, scope, weaker, (*within, key))
        else:
            found.append(_use(inner, scope, weaker.get(str(inner.get("ref")))))
    return found


def _use(node: Node, scope: Scope, weaker: Use | None) -> Use:
    key = text(node, "ref")
    known_keys(node, _REFERENCE_KEYS, key)
    attribute = scope.attributes.get(key)
    if attribute is None:
        raise node.problem(
            key, "no attribute has this key; define it, or depend on the registry that does", at="ref"
        )
    if weaker is not None and "requirement_level" not in node:
        level, condition = weaker.level, weaker.condition
    else:
        level, condition = level_of(node, key)
    return Use(
        attribute=attribute,
        level=level,
        condition=condition,
        brief=prose(node, "brief") or (weaker.brief if weaker else attribute.brief),
        note=prose(node, "note") or (weaker.note if weaker else attribute.note),
        inherited=False,
        node=node,
    )
