# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Strict reading of JSON: each helper returns a value of the wanted type or raises ``StrictJsonError``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NoReturn, TypeGuard, cast

JSON = Any
"""A value of the JSON domain."""

DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,19}")


class StrictJsonError(ValueError):
    """JSON does not have the wanted form; the message names the member, never its value."""


def refuse(reason: str) -> NoReturn:
    """Raise ``StrictJsonError``."""
    raise StrictJsonError(reason)


def read_object(data: bytes, *, parse_int: Callable[[str], JSON] = int) -> dict[str, JSON]:
    """Return the object in UTF-8 JSON: no duplicate member, no NaN, no infinity.

    Args:
        data: The JSON.
        parse_int: What makes a number of digits alone; ``float`` where every number is a double.
    """
    try:
        value = _decoder(parse_int).decode(data.decode("utf-8"))
    except StrictJsonError:
        raise
    except (ValueError, RecursionError):
        refuse("it is not JSON")
    return cast("dict[str, JSON]", value) if isinstance(value, dict) else refuse("it is not a JSON object")


@cache
def _decoder(parse_int: Callable[[str], JSON]) -> json.JSONDecoder:
    """Return a decoder; to make one takes longer than to read a small object."""
    return json.JSONDecoder(
        object_pairs_hook=_no_duplicates, parse_constant=refuse, parse_int=parse_int, strict=True
    )


def _no_duplicates(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    members = dict(pairs)
    if len(members) != len(pairs):
        refuse("a member appears twice")
    return members


def string(members: dict[str, JSON], name: str) -> str:
    """Return a string member, or an empty string if it is absent."""
    value = members.get(name, "")
    return value if isinstance(value, str) else refuse(f"{name} is not a string")


def mapping(members: dict[str, JSON], name: str) -> dict[str, JSON]:
    """Return an object member, or an empty one if it is absent."""
    value = members.get(name, {})
    return cast("dict[str, JSON]", value) if isinstance(value, dict) else refuse(f"{name} is not an object")


def array(members: dict[str, JSON], name: str) -> list[JSON]:
    """Return an array member, or an empty one if it is absent."""
    value = members.get(name, [])
    return value if _is_list(value) else refuse(f"{name} is not an array")


def _is_list(value: JSON) -> TypeGuard[list[JSON]]:
    return isinstance(value, list)


def string_map(members: dict[str, JSON], name: str) -> dict[str, str]:
    """Return an object member whose values are strings, or an empty one if it is absent."""
    value = mapping(members, name)
    if not all(isinstance(item, str) for item in value.values()):
        refuse(f"{name} does not map to strings")
    return cast("dict[str, str]", value)


def decimal(value: JSON, name: str) -> int:
    """Return the number in a decimal string without sign or leading zero, at most 20 digits."""
    if not isinstance(value, str) or not DECIMAL.fullmatch(value):
        refuse(f"{name} is not a decimal string")
    return int(value)
