# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Load the registry: the attributes and signals of the conventions, with every reference resolved.

The files under ``registry/`` are in the ``definition/2`` format of the OpenTelemetry registry tooling (weaver) and nothing
else lies there, because that tooling reads every YAML file of the directory. They were checked against the JSON
Schema ``semconv.schema.v2.json`` and ``definition-manifest.v2.json`` of weaver v0.25.1 (commit afa9700, 2026-08-22). This
loader knows the part of the format that we use; a key that it does not know is an error here, even where weaver would
take it. ``upstream/imports.yaml`` stands in for the dependency that the manifest names, so that no network is needed.

Example:
    >>> registry = load_registry()
    >>> registry.attributes["runrecord.decision.outcome"].members[0].value
    'allow'
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from runrecord.semconv._yaml import Node, known_keys, load_yaml, nodes, prose, text

__all__ = ["Attribute", "Member", "Registry", "Signal", "Use", "load_registry", "read_registry"]

Level = Literal["required", "conditionally_required", "recommended", "opt_in"]
Form = Literal["span", "event"]

FILE_FORMAT = "definition/2"
TYPES = frozenset(
    {"string", "int", "double", "boolean", "string[]", "int[]", "double[]", "boolean[]", "any"},
)
STABILITIES = frozenset({"stable", "development", "alpha", "beta", "release_candidate"})
SPAN_KINDS = frozenset({"client", "server", "producer", "consumer", "internal"})
_HERE = Path(__file__).parent
_ATTRIBUTE_KEYS = frozenset(
    {"key", "type", "brief", "note", "stability", "deprecated", "examples", "annotations"}
)
_MEMBER_KEYS = frozenset({"id", "value", "brief", "note", "stability", "deprecated", "annotations"})
_GROUP_KEYS = frozenset({"id", "visibility", "attributes"})
_REF_KEYS = frozenset({"ref", "requirement_level", "brief", "note", "examples", "sampling_relevant"})
_SIGNAL_KEYS = {
    "spans": frozenset(
        {"type", "kind", "name", "brief", "note", "stability", "requirement_level", "attributes"}
    ),
    "span_refinements": frozenset({"id", "ref", "name", "brief", "note", "stability", "attributes"}),
    "events": frozenset({"name", "brief", "note", "stability", "requirement_level", "attributes"}),
    "event_refinements": frozenset({"id", "ref", "brief", "note", "stability", "attributes"}),
}
_FILE_KEYS = frozenset({"file_format", "attributes", "attribute_groups", *_SIGNAL_KEYS})


@dataclass(frozen=True)
class Member:
    """One value of an enumeration."""

    id: str
    value: str
    brief: str
    node: Node = field(repr=False, compare=False)


@dataclass(frozen=True)
class Attribute:
    """One attribute.

    Attributes:
        type: a primitive of definition/2; an enumeration is a ``string`` with ``members``.
        imported: it is an official attribute that we only refer to.
        renamed_to: for a deprecated attribute, the one that took its place, or empty.
        renamed_in: the version of the conventions that renamed it (annotation ``renamed_in``), or empty.
    """

    key: str
    type: str
    brief: str
    note: str
    stability: str
    examples: tuple[Any, ...]
    members: tuple[Member, ...]
    imported: bool
    deprecated: bool
    renamed_to: str
    renamed_in: str
    node: Node = field(repr=False, compare=False)


@dataclass(frozen=True)
class Use:
    """An attribute as one signal uses it. ``condition`` is the text that goes with the level, or empty."""

    attribute: Attribute
    level: Level
    condition: str
    brief: str
    note: str
    node: Node = field(repr=False, compare=False)


@dataclass(frozen=True)
class Signal:
    """A span or a log event that the conventions define or refine.

    Attributes:
        id: the ``type`` of a span, the ``name`` of an event, the ``id`` of a refinement.
        form: span or event.
        name: for a span, the pattern of its name, with attributes in braces; for an event, its name on the wire.
        kind: the kind of a span; empty for an event.
        ref: the official signal that this one refines; empty where it is ours.
    """

    id: str
    form: Form
    name: str
    kind: str
    ref: str
    brief: str
    note: str
    stability: str
    uses: tuple[Use, ...]
    node: Node = field(repr=False, compare=False)


@dataclass(frozen=True)
class Registry:
    """The whole registry. Mappings keep the order of the files and of the entries in them."""

    schema_url: str
    description: str
    attributes: Mapping[str, Attribute]
    signals: Mapping[str, Signal]

    @property
    def version(self) -> str:
        """The last part of the schema URL."""
        return self.schema_url.rsplit("/", 1)[1]

    @property
    def own_attributes(self) -> tuple[Attribute, ...]:
        """The attributes that this registry defines, without those it imports."""
        return tuple(attribute for attribute in self.attributes.values() if not attribute.imported)


@cache
def load_registry() -> Registry:
    """Load the registry that comes with the package."""
    return read_registry(_HERE / "registry", _HERE / "upstream" / "imports.yaml")


def read_registry(directory: Path, imports: Path) -> Registry:
    """Load a registry from ``directory``, with ``imports`` in place of its dependency.

    Raises:
        RegistryError: a file is not YAML or not of the format, or a reference leads nowhere.
    """
    manifest = load_yaml(directory / "manifest.yaml")
    files = [load_yaml(path) for path in sorted(directory.glob("*.yaml")) if path.name != "manifest.yaml"]
    for file in files:
        known_keys(file, _FILE_KEYS, "(file)")
        if file.get("file_format") != FILE_FORMAT:
            raise file.problem("file_format", f"must be {FILE_FORMAT}")
    upstream = load_yaml(imports)
    attributes: dict[str, Attribute] = {}
    for node, imported in [*_each(files, "attributes", False), *_each([upstream], "attributes", True)]:
        attribute = _attribute(node, imported=imported)
        if attribute.key in attributes:
            raise node.problem(attribute.key, "the attribute is defined twice")
        attributes[attribute.key] = attribute
    groups: dict[str, list[Node]] = {}
    for node, _ in _each(files, "attribute_groups", False):
        known_keys(node, _GROUP_KEYS, "attribute_groups")
        groups[text(node, "id")] = nodes(node, "attributes")
    official = {text(node, "ref"): str(node.get("kind", "")) for node in nodes(upstream, "signals")}
    signals: dict[str, Signal] = {}
    for section in _SIGNAL_KEYS:
        for node, _ in _each(files, section, False):
            signal = _signal(section, node, attributes, groups, official)
            if signal.id in signals:
                raise node.problem(signal.id, "the signal is defined twice")
            signals[signal.id] = signal
    return Registry(
        schema_url=text(manifest, "schema_url"),
        description=text(manifest, "description"),
        attributes=attributes,
        signals=signals,
    )


def _each(files: list[Node], section: str, imported: bool) -> Iterator[tuple[Node, bool]]:
    for file in files:
        for node in nodes(file, section):
            yield node, imported


def _attribute(node: Node, *, imported: bool) -> Attribute:
    key = text(node, "key")
    known_keys(node, _ATTRIBUTE_KEYS, key)
    kind = node.get("type")
    members: tuple[Member, ...] = ()
    if isinstance(kind, Node):
        members = tuple(_member(member, key) for member in nodes(kind, "members"))
        if not members:
            raise node.problem(key, "an enumeration needs members")
        kind = "string"
    if kind not in TYPES:
        raise node.problem(key, f"type must be one of {', '.join(sorted(TYPES))} or have members")
    stability = "development" if imported else text(node, "stability")
    if stability not in STABILITIES:
        raise node.problem(key, f"stability must be one of {', '.join(sorted(STABILITIES))}")
    deprecated, annotations = node.get("deprecated"), node.get("annotations")
    return Attribute(
        key=key,
        type=str(kind),
        brief=text(node, "brief"),
        note=prose(node, "note"),
        stability=stability,
        examples=tuple(node.get("examples", ())),
        members=members,
        imported=imported,
        deprecated=isinstance(deprecated, Node),
        renamed_to=str(deprecated.get("renamed_to", "")) if isinstance(deprecated, Node) else "",
        renamed_in=str(annotations.get("renamed_in", "")) if isinstance(annotations, Node) else "",
        node=node,
    )


def _member(node: Node, key: str) -> Member:
    known_keys(node, _MEMBER_KEYS, key)
    value = node.get("value")
    if not isinstance(value, str):
        raise node.problem(key, "the value of a member must be a string; quote it")
    return Member(id=text(node, "id"), value=value, brief=text(node, "brief"), node=node)


def _signal(
    section: str,
    node: Node,
    attributes: Mapping[str, Attribute],
    groups: Mapping[str, list[Node]],
    official: Mapping[str, str],
) -> Signal:
    identity = {"spans": "type", "events": "name"}.get(section, "id")
    name = text(node, identity)
    known_keys(node, _SIGNAL_KEYS[section], name)
    ref = text(node, "ref") if section.endswith("_refinements") else ""
    if ref and ref not in official:
        raise node.problem(name, f"refines {ref}, which upstream/imports.yaml does not list under signals")
    kind, wire_name = "", ref or name
    if section in ("spans", "span_refinements"):
        kind = official[ref] if ref else text(node, "kind")
        if kind not in SPAN_KINDS:
            raise node.problem(name, f"kind must be one of {', '.join(sorted(SPAN_KINDS))}")
        pattern = node.get("name")
        if not isinstance(pattern, Node):
            raise node.problem(name, "a span needs name: {note: ...}, the pattern of its name")
        wire_name = text(pattern, "note")
    uses: dict[str, Use] = {}
    for reference in _references(node, groups):
        use = _use(reference, attributes)
        if use.attribute.key in uses:
            raise reference.problem(use.attribute.key, f"{name} refers to the attribute twice")
        uses[use.attribute.key] = use
    return Signal(
        id=name,
        form="span" if kind else "event",
        name=wire_name,
        kind=kind,
        ref=ref,
        brief=text(node, "brief"),
        note=prose(node, "note"),
        stability="development" if ref else text(node, "stability"),
        uses=tuple(uses.values()),
        node=node,
    )


def _references(node: Node, groups: Mapping[str, list[Node]]) -> Iterator[Node]:
    for reference in nodes(node, "attributes"):
        group = reference.get("ref_group")
        if group is None:
            yield reference
        elif group in groups:
            yield from groups[group]
        else:
            raise reference.problem(str(group), "no attribute group has this id")


def _use(node: Node, attributes: Mapping[str, Attribute]) -> Use:
    key = text(node, "ref")
    known_keys(node, _REF_KEYS, key)
    if key not in attributes:
        raise node.problem(key, "no attribute has this key; define it, or list it in upstream/imports.yaml")
    level, condition = node.get("requirement_level", "recommended"), ""
    if isinstance(level, Node):
        if len(level) != 1:
            raise node.problem(key, "requirement_level must name one level")
        ((level, condition),) = level.items()
    if level not in ("required", "conditionally_required", "recommended", "opt_in"):
        raise node.problem(key, f"requirement_level {level!r} is not known")
    attribute = attributes[key]
    return Use(
        attribute=attribute,
        level=level,
        condition=" ".join(condition.split()),
        brief=prose(node, "brief") or attribute.brief,
        note=prose(node, "note") or attribute.note,
        node=node,
    )
