# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a registry holds once every reference in it is resolved: attributes, signals, metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from runrecord.semconv._yaml import Node

__all__ = [
    "Attribute",
    "Form",
    "Instrument",
    "Level",
    "Member",
    "Metric",
    "Registry",
    "Signal",
    "Use",
]

Level = Literal["required", "conditionally_required", "recommended", "opt_in"]
Form = Literal["span", "event"]
Instrument = Literal["counter", "updowncounter", "gauge", "histogram"]

OFFICIAL = "https://opentelemetry.io/"
"""What the schema URLs of OpenTelemetry's own registries begin with."""


@dataclass(frozen=True)
class Member:
    """One value of an enumeration. ``brief`` may be empty on an official one."""

    id: str
    value: str
    brief: str
    node: Node = field(repr=False, compare=False)


@dataclass(frozen=True)
class Attribute:
    """One attribute.

    Attributes:
        type: a primitive of definition/2; an enumeration is a ``string`` with ``members``.
        renamed_to: for a deprecated attribute, the one that took its place, or empty.
        renamed_in: the version of the conventions that renamed it (annotation ``renamed_in``), or empty.
        origin: the schema URL of the registry that defines it.
    """

    key: str
    type: str
    brief: str
    note: str
    stability: str
    examples: tuple[Any, ...]
    members: tuple[Member, ...]
    deprecated: bool
    renamed_to: str
    renamed_in: str
    origin: str
    node: Node = field(repr=False, compare=False)

    @property
    def official(self) -> bool:
        """Whether OpenTelemetry's own conventions define it."""
        return self.origin.startswith(OFFICIAL)


@dataclass(frozen=True)
class Use:
    """An attribute as one signal uses it.

    Attributes:
        condition: the text that goes with the level, or empty.
        inherited: it comes, unchanged, from the signal that this one refines.
        node: where the signal, or a group that it takes in, refers to the attribute.
    """

    attribute: Attribute
    level: Level
    condition: str
    brief: str
    note: str
    inherited: bool
    node: Node = field(repr=False, compare=False)


@dataclass(frozen=True)
class Signal:
    """A span or a log event that a registry defines or refines.

    Attributes:
        id: the ``type`` of a span, the ``name`` of an event, the ``id`` of a refinement.
        form: span or event.
        name: for a span, the pattern of its name, with attributes in braces; for an event, its name on the wire.
        kind: the kind of a span; empty for an event.
        ref: the signal that this one refines; empty where it refines none.
        kinds: every kind that the span may have (annotation ``kinds``), ``kind`` first; empty for an event.
        operations: the values of ``gen_ai.operation.name`` that tell this span (annotation ``operations``).
        uses: its attributes, those of the signal that it refines after its own.
        deprecated, renamed_to, renamed_in: as those of an attribute.
        origin: the schema URL of the registry that defines it.
    """

    id: str
    form: Form
    name: str
    kind: str
    ref: str
    brief: str
    note: str
    stability: str
    kinds: tuple[str, ...]
    operations: tuple[str, ...]
    uses: tuple[Use, ...]
    deprecated: bool
    renamed_to: str
    renamed_in: str
    origin: str
    node: Node = field(repr=False, compare=False)

    @property
    def official(self) -> bool:
        """Whether OpenTelemetry's own conventions define it; a refinement of an official signal is not one."""
        return self.origin.startswith(OFFICIAL)


@dataclass(frozen=True)
class Metric:
    """A metric that a registry defines or refines.

    Attributes:
        id: the ``name``, or the ``id`` of a refinement.
        name: the name on the wire.
        instrument: which instrument records it.
        unit: a UCUM unit, for instance ``s`` or ``{run}``.
        ref: the metric that this one refines; empty where it refines none.
        uses: the attributes that a point may carry.
        deprecated, renamed_to, renamed_in: as those of an attribute.
        origin: the schema URL of the registry that defines it.
    """

    id: str
    name: str
    instrument: Instrument
    unit: str
    ref: str
    brief: str
    note: str
    stability: str
    uses: tuple[Use, ...]
    deprecated: bool
    renamed_to: str
    renamed_in: str
    origin: str
    node: Node = field(repr=False, compare=False)

    @property
    def official(self) -> bool:
        """Whether OpenTelemetry's own conventions define it; a refinement of an official metric is not one."""
        return self.origin.startswith(OFFICIAL)


@dataclass(frozen=True)
class Registry:
    """A registry together with what it depends on. Mappings keep the order of the files and of the entries in them.

    Attributes:
        schema_url: which registry this is, with its version.
        preamble: the comment lines at the top of its manifest, for instance a licence.
        attributes: by key; its own first, then those of the registries that it depends on.
        signals: its own and, before them, those of the registries that it depends on; without the official ones.
        metrics: likewise.
        official: OpenTelemetry's own signals, by id, as far as we refine or judge them.
        official_metrics: likewise.
    """

    schema_url: str
    description: str
    stability: str
    attributes: Mapping[str, Attribute]
    signals: Mapping[str, Signal]
    metrics: Mapping[str, Metric]
    official: Mapping[str, Signal]
    official_metrics: Mapping[str, Metric]
    preamble: str = field(default="", repr=False)

    @property
    def version(self) -> str:
        """The last part of the schema URL."""
        return self.schema_url.rsplit("/", 1)[1]

    @property
    def own_attributes(self) -> tuple[Attribute, ...]:
        """The attributes that this registry defines itself."""
        return tuple(item for item in self.attributes.values() if item.origin == self.schema_url)

    @property
    def own_signals(self) -> tuple[Signal, ...]:
        """The signals that this registry defines or refines itself."""
        return tuple(item for item in self.signals.values() if item.origin == self.schema_url)

    @property
    def own_metrics(self) -> tuple[Metric, ...]:
        """The metrics that this registry defines or refines itself."""
        return tuple(item for item in self.metrics.values() if item.origin == self.schema_url)
