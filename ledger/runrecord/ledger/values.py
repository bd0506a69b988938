# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Attribute values as entries write them, and the encoding of an entry's members."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final, cast

from runrecord.ledger.strict_json import JSON
from runrecord.semconv.canonical import canonical_json

_INTEGER: Final = re.compile(r"-?[0-9]{1,20}")
_NOT_ALIKE: Final = (b'"doubleValue":', b'Value":[', b'Value":{')
"""What stands in the bytes if a value holds a double, or others that may."""
try:
    import orjson
except ImportError:  # none for this Python; it is a quarter as fast
    _JSON: Final = json.JSONEncoder(
        sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )

    def _encode(members: Mapping[str, JSON]) -> bytes:
        return _JSON.encode(members).encode()
else:

    def _encode(members: Mapping[str, JSON]) -> bytes:
        return orjson.dumps(members, option=orjson.OPT_SORT_KEYS)


def unwrap(value: JSON) -> str | int | float | bool | None:
    """Return the scalar inside an attribute value of an entry, or None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and len(cast("dict[str, JSON]", value)) == 1:
        [(tag, inner)] = cast("dict[str, JSON]", value).items()
        if tag == "intValue" and isinstance(inner, str) and _INTEGER.fullmatch(inner):
            return int(inner)
        if tag == "boolValue" and isinstance(inner, bool):
            return inner
        if tag == "doubleValue" and isinstance(inner, (int, float)) and not isinstance(inner, bool):
            return float(inner)
    return None


def wrap(value: str | bool | float) -> JSON:
    """Return an attribute value of an entry for a Python scalar (a finite one if it is a float)."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value}


def encode_members(members: Mapping[str, JSON]) -> bytes:
    """Return the canonical JSON (RFC 8785) of an entry's members.

    A fast encoder writes it where all encoders agree: for strings and ASCII names. Doubles are formatted otherwise, other
    names, which may also stand inside of values, may sort otherwise, and lone surrogates need replacing.
    """
    named = (members.get("attributes", {}), members.get("commitments", {}))
    if all(all(map(str.isascii, names)) for names in named):
        try:
            data = _encode(members)
        except (UnicodeEncodeError, TypeError):  # a lone surrogate
            return canonical_json(members)
        if not any(mark in data for mark in _NOT_ALIKE):
            return data
    return canonical_json(members)
