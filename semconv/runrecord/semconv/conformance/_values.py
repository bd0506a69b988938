# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What one value must be, beyond its type: forms, ranges, codes and references. Built once per attribute."""

import math
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final

from runrecord.semconv import attributes as a
from runrecord.semconv._model import Attribute
from runrecord.semconv.conformance.findings import Problem

__all__ = ["has_type", "plain", "type_name", "validator"]

Validator = Callable[[Any], Problem | None]

_TYPES: Final[Mapping[str, type]] = {"string": str, "int": int, "double": float, "boolean": bool}
_NAMES: Final[Mapping[str, str]] = {
    "str": "string",
    "float": "double",
    "bool": "boolean",
    "NoneType": "empty value",
}
_FORMS: Final[Mapping[str, tuple[str, str]]] = {
    a.SOURCE_ID: ("[0-9a-f]{16}", "sixteen hexadecimal digits"),
    a.APPROVAL_DEADLINE: (
        r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]00:00)",
        "an RFC 3339 date and time in UTC",
    ),
    a.APPROVAL_REQUEST_TRACE_ID: ("(?!0{32})[0-9a-f]{32}", "32 hexadecimal digits, not all zero"),
    a.APPROVAL_REQUEST_SPAN_ID: ("(?!0{16})[0-9a-f]{16}", "16 hexadecimal digits, not all zero"),
    a.LEDGER_LEAF_HASH: ("[0-9a-f]{64}", "64 hexadecimal digits"),
    a.COST_CURRENCY: ("[A-Z]{3}", "an ISO 4217 code of three capital letters"),
}
_COUNTS: Final[Mapping[str, int]] = {
    a.RECORD_SEQ: 0,
    a.RUN_SEGMENT: 0,
    a.RUN_RECORDS: 1,
    a.STEP_INDEX: 0,
    a.STEP_ATTEMPT: 0,
    a.RETRY_ATTEMPT: 0,
    a.REDACTION_COUNT: 0,
    a.LEDGER_INDEX: 0,
    a.APPROVAL_WAIT_SECONDS: 0,
    a.BUDGET_LIMIT: 0,
    a.BUDGET_CONSUMED: 0,
    a.COST_AMOUNT: 0,
}
_DIGEST: Final = re.compile("hmac-sha256:[0-9a-f]{64}")
_CODE: Final = re.compile(r"[\w.:/+-]{1,100}")
_REVEALING: Final = re.compile(r".*[@\s].*|(sha\d*:)?[0-9a-f]{40,}", re.DOTALL)


def plain(value: Any) -> Any:
    """Return what the SDK will send of an enumeration member."""
    return value.value if isinstance(value, Enum) else value


def has_type(value: Any, kind: str) -> bool:
    """Say whether a value has a type of the registry; on the wire an int is no double and a bool no int."""
    if kind == "any":
        return True
    if kind.endswith("[]"):
        one = kind.removesuffix("[]")
        return isinstance(value, (list, tuple)) and all(has_type(item, one) for item in value)  # pyright: ignore[reportUnknownVariableType]
    return type(plain(value)) is _TYPES[kind]


def type_name(value: Any) -> str:
    """Name the type of a value in the words of the registry."""
    value = plain(value)
    if isinstance(value, (list, tuple)):
        return "array"
    if isinstance(value, Mapping):
        return "map"
    name: str = type(value).__name__  # pyright: ignore[reportUnknownMemberType]
    return _NAMES.get(name, name)


def validator(attribute: Attribute) -> Validator | None:
    """Make what judges the values of an attribute that have its type; None where every such value is right."""
    if attribute.official:
        return None
    key = attribute.key
    if attribute.type in ("int", "double"):
        return _number(key) if attribute.type == "double" or key in _COUNTS else None
    return _text(key) if attribute.type == "string" and not attribute.members else None


def _number(key: str) -> Validator:
    least = _COUNTS.get(key)

    def judge(value: Any) -> Problem | None:
        if not math.isfinite(value):
            return Problem("out-of-range", f"{key} must be a finite number", key)
        if least is not None and value < least:
            return Problem("out-of-range", f"{key} must be at least {least}", key)
        return None

    return judge


def _text(key: str) -> Validator:
    rule, pattern, what, refused = _form(key)

    def judge(value: Any) -> Problem | None:
        if not value:
            return Problem("empty-value", f"{key} is empty", key)
        if pattern is not None and (pattern.fullmatch(value) is None) is not refused:
            return Problem(rule, f"{key} must be {what}", key)
        return None

    return judge


def _form(key: str) -> tuple[str, re.Pattern[str] | None, str, bool]:
    """Rule, pattern, what it must be in words, and whether the pattern is what it must not be."""
    last = key.rsplit(".", 1)[-1]
    if key in _FORMS:
        pattern, what = _FORMS[key]
        return "bad-format", re.compile(pattern), what, False
    if not key.startswith("runrecord."):
        return "", None, "", False
    if last in ("digest", "modified_digest"):
        return "digest-format", _DIGEST, "hmac-sha256: and 64 hexadecimal digits", False
    if last in ("reason_code", "stop_reason", "trigger"):
        return "not-a-code", _CODE, "one short word without spaces", False
    if last == "ref":
        return "not-opaque", _REVEALING, "an opaque reference: no address, no name, no plain hash", True
    return "", None, "", False
