# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The part of the ``definition/2`` format that we read: its keys and values, and the attributes defined in it.

Source: weaver, schemas/semconv-syntax.v2.md and schemas/semconv.schema.v2.json. A key that is not listed here is an error,
even where weaver would take it: entities, templates and enumerations of numbers are not supported.
"""

from collections.abc import Collection
from typing import Any, TypeGuard

from runrecord.semconv._model import Attribute, Level, Member
from runrecord.semconv._yaml import Node, known_keys, nodes, prose, text, texts

__all__ = [
    "FILE_FORMAT",
    "FILE_KEYS",
    "SECTIONS",
    "SPAN_KINDS",
    "annotation",
    "choice",
    "definition_keys",
    "level_of",
    "parse_attribute",
    "renamed_to",
]

FILE_FORMAT = "definition/2"
TYPES = frozenset(
    {"string", "int", "double", "boolean", "string[]", "int[]", "double[]", "boolean[]", "any"},
)
STABILITIES = frozenset({"stable", "development", "alpha", "beta", "release_candidate"})
SPAN_KINDS = frozenset({"client", "server", "producer", "consumer", "internal"})
LEVELS = frozenset({"required", "conditionally_required", "recommended", "opt_in"})
_SHARED = frozenset({"brief", "note", "stability", "deprecated", "annotations", "attributes"})
_DEFINED = _SHARED | {"requirement_level"}
_REFINED = _SHARED | {"id", "ref"}
SECTIONS = {
    "spans": _DEFINED | {"type", "kind", "name"},
    "span_refinements": _REFINED | {"name"},
    "events": _DEFINED | {"name"},
    "event_refinements": _REFINED,
    "metrics": _DEFINED | {"name", "instrument", "unit"},
    "metric_refinements": _REFINED,
}
"""The sections that hold signals and metrics, with the keys that an entry may have. Definitions before refinements."""
FILE_KEYS = frozenset({"file_format", "attributes", "attribute_groups", "imports", *SECTIONS})
_ATTRIBUTE_KEYS = frozenset(
    {"key", "type", "brief", "note", "stability", "deprecated", "examples", "annotations"}
)
_MEMBER_KEYS = frozenset({"id", "value", "brief", "note", "stability", "deprecated", "annotations"})
_DEPRECATED_KEYS = frozenset({"reason", "note", "renamed_to"})
_REASONS = frozenset({"renamed", "obsoleted", "uncategorized", "unspecified"})


def definition_keys(section: str) -> tuple[str, str]:
    """Name the key that identifies an entry of a section, and the section of what it may refine (or an empty text)."""
    if section.endswith("_refinements"):
        return "id", section.removesuffix("_refinements") + "s"
    return ("type" if section == "spans" else "name"), ""


def parse_attribute(node: Node, origin: str) -> Attribute:
    """Read the definition of an attribute in the registry ``origin``."""
    key = text(node, "key")
    known_keys(node, _ATTRIBUTE_KEYS, key)
    kind = node.get("type")
    members: tuple[Member, ...] = ()
    if isinstance(kind, Node):
        known_keys(kind, frozenset({"members"}), f"{key}.type")
        members = tuple(_member(member, key) for member in nodes(kind, "members"))
        if not members:
            raise node.problem(key, "an enumeration needs members", at="type")
        kind = "string"
    if not isinstance(kind, str) or kind not in TYPES:
        raise node.problem(key, f"type must be one of {', '.join(sorted(TYPES))} or have members", at="type")
    examples = node.get("examples", [])
    if not _is_list(examples):
        raise node.problem(key, "examples must be a list", at="examples")
    return Attribute(
        key=key,
        type=kind,
        brief=text(node, "brief"),
        note=prose(node, "note"),
        stability=choice(node, "stability", STABILITIES, key),
        examples=tuple(examples),
        members=members,
        deprecated="deprecated" in node,
        renamed_to=renamed_to(node, key),
        renamed_in="".join(annotation(node, "renamed_in")),
        origin=origin,
        node=node,
    )


def _member(node: Node, key: str) -> Member:
    known_keys(node, _MEMBER_KEYS, key)
    value = node.get("value")
    if not isinstance(value, str):
        raise node.problem(key, "the value of a member must be a string; quote it", at="value")
    choice(node, "stability", STABILITIES, key)
    return Member(id=text(node, "id"), value=value, brief=prose(node, "brief"), node=node)


def renamed_to(node: Node, key: str) -> str:
    """Check how an entry is deprecated, and take what it was renamed to; empty where it was not."""
    deprecated = node.get("deprecated")
    if deprecated is None:
        return ""
    if not isinstance(deprecated, Node):
        raise node.problem(key, "deprecated must be a mapping with reason and note", at="deprecated")
    known_keys(deprecated, _DEPRECATED_KEYS, f"{key}.deprecated")
    reason = choice(deprecated, "reason", _REASONS, key)
    text(deprecated, "note")
    return text(deprecated, "renamed_to") if reason == "renamed" else ""


def choice(node: Node, key: str, allowed: Collection[str], of: str) -> str:
    """Take a text that must be one of ``allowed``; ``of`` names whose it is."""
    value = text(node, key)
    if value not in allowed:
        raise node.problem(of, f"{key} must be one of {', '.join(sorted(allowed))}", at=key)
    return value


def level_of(node: Node, key: str) -> tuple[Level, str]:
    """Read the requirement level of a reference to ``key``, and the condition that goes with it, or an empty text."""
    level: Any = node.get("requirement_level", "recommended")
    condition = ""
    if isinstance(level, Node):
        if len(level) != 1:
            raise node.problem(key, "requirement_level must name one level", at="requirement_level")
        (level,) = level
        condition = text(node["requirement_level"], level)
    if not _is_level(level):
        raise node.problem(key, f"requirement_level {level!r} is not known", at="requirement_level")
    return level, condition


def annotation(node: Node, key: str) -> tuple[str, ...]:
    """Take an annotation that holds one text or a list of them; empty where it is missing."""
    annotations = node.get("annotations")
    if annotations is None:
        return ()
    if not isinstance(annotations, Node):
        raise node.problem("annotations", "must be a mapping")
    if isinstance(annotations.get(key), str):
        return (text(annotations, key),)
    return texts(annotations, key) if key in annotations else ()


def _is_level(value: Any) -> TypeGuard[Level]:
    return isinstance(value, str) and value in LEVELS


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
