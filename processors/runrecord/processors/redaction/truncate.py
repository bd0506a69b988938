# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Cut a text to a size; JSON stays JSON."""

from __future__ import annotations

import json
import math
from typing import Any

_MARKER_ROOM = 40
_MAX_DEPTH = 64


def truncated(text: bytes, limit: int) -> bytes:
    """Cut a text to a limit.

    JSON keeps its shape: long strings are cut, long arrays and objects lose their last members, and a marker says
    how much is gone. Other text keeps its beginning.

    Args:
        text: The text, longer than the limit.
        limit: Size in bytes of the result at most; at least 256.
    """
    if text.lstrip()[:1] in {b"{", b"[", b'"'}:
        try:
            value: object = json.loads(text, parse_float=_finite, parse_constant=_refuse)
        except (ValueError, RecursionError):
            pass
        else:
            budget = limit - _MARKER_ROOM
            while budget >= _MARKER_ROOM:
                shrunk = json.dumps(_shrunk(value, budget, 0), ensure_ascii=False, separators=(",", ":"))
                result = shrunk.encode("utf-8", "replace")
                if len(result) <= limit:
                    return result
                budget = budget * 3 // 4
            return b'"[TRUNCATED:%d bytes]"' % len(text)
    return _cut(text, limit)


def _finite(number: str) -> float | str:
    """A number as it is written if it is too large for a float: infinity has no form in JSON."""
    value = float(number)
    return value if math.isfinite(value) else number


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _cut(text: bytes, limit: int) -> bytes:
    keep = limit - _MARKER_ROOM
    while keep > 0 and 0x80 <= text[keep] < 0xC0:  # noqa: PLR2004
        keep -= 1
    while keep > 0 and text[keep - 1] == 0x5C:  # noqa: PLR2004  a backslash without what it escapes
        keep -= 1
    return text[:keep] + b"[TRUNCATED:%d bytes]" % (len(text) - keep)


def _shrunk(value: Any, budget: int, depth: int) -> Any:
    """Spend about ``budget`` bytes on a JSON value; shorter members leave what they save to the later ones."""
    if isinstance(value, str):
        raw = value.encode("utf-8", "replace")
        return (
            value if len(raw) <= budget else _cut(raw, max(budget, _MARKER_ROOM)).decode("utf-8", "replace")
        )
    if not isinstance(value, dict | list):
        return value
    if depth > _MAX_DEPTH:
        return "[TRUNCATED]"
    members: list[tuple[Any, Any]] = list(value.items() if isinstance(value, dict) else enumerate(value))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    kept: list[tuple[Any, Any]] = []
    left = budget
    for index, (key, member) in enumerate(members):
        name = len(key.encode("utf-8", "replace")) + 4 if isinstance(key, str) else 1
        share = max((left - name) // min(len(members) - index, 8), 0)
        if share < 8:  # noqa: PLR2004
            kept.append(("[TRUNCATED]", f"{len(members) - index} more"))
            break
        shrunk = _shrunk(member, share, depth + 1)
        left -= name + len(json.dumps(shrunk, ensure_ascii=False)) + 1
        kept.append((key, shrunk))
    if isinstance(value, dict):
        return dict(kept)
    return [f"[TRUNCATED:{member}]" if name == "[TRUNCATED]" else member for name, member in kept]
