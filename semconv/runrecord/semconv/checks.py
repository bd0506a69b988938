# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Check the registry against the ground rules of the conventions, beyond what the format demands."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from runrecord.semconv._check_uses import metric_problems, unbounded, use_problems
from runrecord.semconv._python import constant_name
from runrecord.semconv._yaml import Node
from runrecord.semconv.errors import RegistryError
from runrecord.semconv.registry import Attribute, Metric, Registry, Signal

__all__ = ["check_registry", "problems"]

_KEY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9]*(_[a-z0-9]+)*)+\Z")
_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*\Z")
_MEMBER = re.compile(r"[a-z][a-z0-9_]*\Z")
_PLACEHOLDER = re.compile(r"\{([^}]*)\}")
_PYTHON_TYPES: dict[str, Any] = {"string": str, "int": int, "double": float, "boolean": bool}


def check_registry(registry: Registry) -> None:
    """Check every ground rule.

    Raises:
        RegistryError: with one line per problem.
    """
    if found := list(problems(registry)):
        raise RegistryError(found)


def problems(registry: Registry) -> Iterator[str]:
    """Go through all problems of what the registry defines itself, each ``file:line: key: what is wrong``."""
    items: list[Signal | Metric] = [*registry.own_signals, *registry.own_metrics]
    used = {use.attribute.key for item in items for use in item.uses}
    namespaces = {key[:dot] for key in registry.attributes for dot in _dots(key)}
    constants = Counter(constant_name(key) for key in registry.attributes)
    for attribute in registry.own_attributes:
        for what in _attribute_problems(attribute):
            yield _line(attribute.node, attribute.key, what)
        if attribute.key not in used and not attribute.deprecated:
            yield _line(attribute.node, attribute.key, "no signal uses the attribute")
        if attribute.key in namespaces:
            yield _line(attribute.node, attribute.key, "is also the namespace of other attributes")
        if constants[constant_name(attribute.key)] > 1:
            yield _line(attribute.node, attribute.key, "another attribute gives the same constant")
        if attribute.renamed_to and attribute.renamed_to not in registry.attributes:
            yield _line(
                attribute.node, attribute.key, f"was renamed to {attribute.renamed_to}, which is not there"
            )
    yield from _namespace_problems(registry, items)
    yield from _metric_name_problems(registry)
    for item in items:
        found = _signal_problems(item) if isinstance(item, Signal) else metric_problems(item)
        for node, what in found:
            yield _line(node, item.id, what)


def _metric_name_problems(registry: Registry) -> Iterator[str]:
    defined = [metric for metric in registry.own_metrics if not metric.ref]
    namespaces = {metric.name[:dot] for metric in registry.metrics.values() for dot in _dots(metric.name)}
    constants = Counter(constant_name(metric.name) for metric in defined)
    for metric in defined:
        if metric.name in namespaces:
            yield _line(metric.node, metric.name, "is also the namespace of other metrics")
        if constants[constant_name(metric.name)] > 1:
            yield _line(metric.node, metric.name, "another metric gives the same constant")


def _namespace_problems(registry: Registry, items: Iterable[Signal | Metric]) -> Iterator[str]:
    foreign = {
        key.partition(".")[0]
        for key, attribute in registry.attributes.items()
        if attribute.origin != registry.schema_url
    }
    own = [(attribute.key, attribute.node) for attribute in registry.own_attributes]
    for key, node in [*own, *((item.id, item.node) for item in items)]:
        namespace = key.partition(".")[0]
        if namespace in foreign:
            yield _line(
                node, key, f"the namespace {namespace} belongs to a registry that this one depends on"
            )


def _line(node: Node, key: str, what: str) -> str:
    return node.problem(key, what).problems[0]


def _dots(key: str) -> list[int]:
    return [index for index, letter in enumerate(key) if letter == "."]


def _attribute_problems(attribute: Attribute) -> Iterator[str]:
    if not _KEY.match(attribute.key):
        yield "a key is two or more lower-case words with dots between them, the first of them a namespace of one's own"
    if not attribute.brief.endswith("."):
        yield "the brief must end with a full stop"
    if attribute.renamed_to and not _VERSION.match(attribute.renamed_in):
        yield "a renamed attribute needs annotations: {renamed_in: VERSION}, a version as 0.2.0"
    yield from _member_problems(attribute)
    if not attribute.members and not attribute.examples and attribute.type not in ("boolean", "any"):
        yield "there are no examples"
    for example in attribute.examples:
        if not _is_of_type(example, attribute.type):
            yield f"the example {example!r} is not of type {attribute.type}"


def _member_problems(attribute: Attribute) -> Iterator[str]:
    for what, count in Counter(
        [f"id {member.id}" for member in attribute.members]
        + [f"value {member.value}" for member in attribute.members]
    ).items():
        if count > 1:
            yield f"two members have the {what}"
    for member in attribute.members:
        if not _MEMBER.match(member.id):
            yield f"the member {member.id} is no lower-case identifier"
        if not member.brief.endswith("."):
            yield f"the brief of the member {member.id} must end with a full stop"


def _is_of_type(example: Any, kind: str) -> bool:
    if kind == "any":
        return True
    if kind.endswith("[]"):
        return isinstance(example, list) and all(_is_of_type(item, kind[:-2]) for item in example)  # pyright: ignore[reportUnknownVariableType]
    return type(example) is _PYTHON_TYPES[kind]


def _signal_problems(signal: Signal) -> Iterator[tuple[Node, str]]:
    if not signal.brief.endswith("."):
        yield signal.node, "the brief must end with a full stop"
    for use in signal.uses:
        if not use.inherited:
            yield from ((use.node, what) for what in use_problems(use))
        if not signal.ref and use.attribute.key.startswith("gen_ai."):
            yield (
                use.node,
                f"{use.attribute.key} would make a reader take a signal of our own for an official one",
            )
    if signal.form == "span":
        for what in _name_problems(signal):
            yield signal.node, what
    elif not signal.ref and not _KEY.match(signal.name):
        yield signal.node, "the name of an event is two or more lower-case words with dots between them"


def _name_problems(signal: Signal) -> Iterator[str]:
    if "name" not in signal.node:
        return
    operation, _, target = signal.name.partition(" ")
    if not _MEMBER.match(operation) or not _PLACEHOLDER.fullmatch(target):
        yield "the span name must be an operation and one attribute in braces"
        return
    key = target[1:-1]
    use = next((use for use in signal.uses if use.attribute.key == key), None)
    if use is None:
        yield f"the span name needs {key}, which the signal does not use"
    elif unbounded(use.attribute):
        yield f"{key} has many values; a span name must be of low cardinality"
