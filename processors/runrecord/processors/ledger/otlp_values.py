# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Attribute values of OTLP as entries write them."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from runrecord.ledger.allowlist import CLEAR_VALUE_BYTES
from runrecord.semconv.canonical import canonical_json

JSON = Any

NAME_LENGTH: Final = 256
"""Characters kept of a span name, a service name or a version."""
_MAX_DEPTH: Final = 16  # three levels of JSON each; canonical JSON has 64
_SHORT: Final = (
    CLEAR_VALUE_BYTES // 6 - 2
)  # no string of so many characters exceeds the limit, whatever its escapes


def by_name(attributes: Iterable[KeyValue]) -> dict[str, AnyValue]:
    """Return attributes by their names; of two of one name the last."""
    return {attribute.key: attribute.value for attribute in attributes if attribute.key}


def string_of(attributes: Mapping[str, AnyValue], name: str) -> str:
    """Return a string attribute, or an empty string."""
    value = attributes.get(name)
    return value.string_value if value is not None else ""


def plain_value(value: AnyValue, depth: int = 0) -> JSON:  # noqa: PLR0911 - a table
    """Return a value as an entry writes it, or None for a value that is unset, of an unknown type, or too deep."""
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "int_value":
            return {"intValue": str(value.int_value)}
        case "bool_value":
            return {"boolValue": value.bool_value}
        case "double_value":
            number = value.double_value
            return {"doubleValue": number if math.isfinite(number) else _non_finite(number)}
        case "bytes_value":
            return {"bytesValue": base64.b64encode(value.bytes_value).decode()}
        case "array_value" if depth < _MAX_DEPTH:
            return {
                "arrayValue": {"values": [plain_value(item, depth + 1) for item in value.array_value.values]}
            }
        case "kvlist_value" if depth < _MAX_DEPTH:
            members = {item.key: plain_value(item.value, depth + 1) for item in value.kvlist_value.values}
            return {"kvlistValue": members}
        case _:
            return None


def _non_finite(number: float) -> str:
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def is_short(value: JSON) -> bool:
    """Return whether a value is metadata by its length, not content."""
    if isinstance(value, str):
        if len(value) <= _SHORT:
            return True
    elif "intValue" in value or "boolValue" in value:
        return True
    return len(canonical_json(value)) <= CLEAR_VALUE_BYTES


def valid(identifier: bytes, length: int) -> bool:
    """Return whether an id has its length and is not all zeros."""
    return len(identifier) == length and any(identifier)


def clip(text: str) -> str:
    """Return a name, a version or an id, cut to `NAME_LENGTH`."""
    return text[:NAME_LENGTH]
