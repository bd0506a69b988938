# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""JSON Schemas (draft 2020-12) of the attributes of each signal and metric.

An instance is a JSON object of attributes, as ``{"runrecord.step.index": 0, ...}``. What the conventions require must be
there; a key in a namespace of the conventions must be one that the signal has; keys of other namespaces are free. A closed
list of values is an ``enum``; the lists of OpenTelemetry's own attributes are open and serve as examples only.

Example:
    >>> load_json_schema("runrecord.step")["required"][-1]
    'runrecord.step.kind'
"""

import json
import re
from pathlib import Path
from typing import Any

from runrecord.semconv._model import Metric, Registry, Signal, Use
from runrecord.semconv._target import stem
from runrecord.semconv.registry import load_registry

__all__ = ["json_schema", "load_json_schema"]

_DIRECTORY = Path(__file__).parent / "json_schemas"
_TYPES = {"string": "string", "int": "integer", "double": "number", "boolean": "boolean"}
_OPERATION = "gen_ai.operation.name"


def load_json_schema(name: str) -> dict[str, Any]:
    """Load the JSON Schema of one of our signals or metrics by its id in the registry.

    Raises:
        KeyError: the registry has no such signal or metric; the official ones have no schema here.
    """
    registry = load_registry()
    item: Signal | Metric = registry.signals[name] if name in registry.signals else registry.metrics[name]
    schema: dict[str, Any] = json.loads((_DIRECTORY / f"{stem(item)}.json").read_text(encoding="utf-8"))
    return schema


def json_schema(registry: Registry, item: Signal | Metric) -> dict[str, Any]:
    """Make the JSON Schema of a signal or a metric of ``registry``."""
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{registry.schema_url}/{stem(item)}.json",
        "title": item.name,
        "description": item.brief,
        "type": "object",
        "properties": {use.attribute.key: _property(use, item) for use in item.uses},
        "required": [use.attribute.key for use in item.uses if use.level == "required"],
    }
    if isinstance(item, Metric):
        # Each further attribute would multiply the time series, so that the list is closed.
        schema["additionalProperties"] = False
    else:
        schema["propertyNames"] = _names(registry, item)
    return schema


def _names(registry: Registry, signal: Signal) -> dict[str, Any]:
    namespaces = {
        key.partition(".")[0] for key, attribute in registry.attributes.items() if not attribute.official
    }
    inside = re.compile(rf"^({'|'.join(sorted(namespaces))})\.")
    known = sorted(use.attribute.key for use in signal.uses if inside.match(use.attribute.key))
    names: dict[str, Any] = {"if": {"pattern": inside.pattern}, "then": {"enum": known}}
    if not signal.ref:
        names["not"] = {"pattern": r"^gen_ai\."}
    return names


def _property(use: Use, item: Signal | Metric) -> dict[str, Any]:
    attribute = use.attribute
    found: dict[str, Any] = {"description": use.brief, **_type(attribute.type)}
    if attribute.key == _OPERATION and isinstance(item, Signal) and item.operations:
        found["enum"] = list(item.operations)
    elif attribute.members:
        found["examples" if attribute.official else "enum"] = [member.value for member in attribute.members]
    elif attribute.examples:
        found["examples"] = list(attribute.examples)
    if attribute.deprecated:
        found["deprecated"] = True
    return found


def _type(kind: str) -> dict[str, Any]:
    if kind.endswith("[]"):
        return {"type": "array", "items": _type(kind.removesuffix("[]"))}
    return {} if kind == "any" else {"type": _TYPES[kind]}
