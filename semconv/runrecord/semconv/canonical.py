# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Canonical JSON (RFC 8785, JCS): one value, one sequence of bytes, whoever writes it.

Two departures from the RFC, both so that a commitment can be made to whatever an agent produced:

- An ``int`` is written in full, not first rounded to a double (RFC 8785 section 3.2.2.3 would write 2**53 + 1 as
  9007199254740992). Integers that a double holds exactly come out the same, below 1e21.
- A lone surrogate becomes U+FFFD instead of being an error (RFC 8785 section 3.2.2.2).

``canonical_json`` takes JSON values only; ``to_json_domain`` brings any Python value there.
"""

import base64
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, time
from decimal import Decimal
from enum import Enum
from json.encoder import encode_basestring  # the C implementation where there is one
from math import isfinite
from typing import Any, Final, TypeAlias, TypeGuard, cast
from uuid import UUID

from runrecord.semconv.errors import CanonicalError

__all__ = ["MAX_DEPTH", "Json", "canonical_form", "canonical_json", "to_json_domain"]

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""A JSON value: lists and tuples are arrays, mappings with string keys are objects."""

MAX_DEPTH: Final = 64
"""How deep arrays and objects may be nested."""

_MAX_INT_BITS: Final = 8192
_HIGHEST_BEFORE_SURROGATES: Final = "\ud7ff"
_EXPONENT_FROM: Final = 21
_EXPONENT_BELOW: Final = -6
_PLAIN_DEPTH: Final = 8


def canonical_json(value: Json) -> bytes:
    """Encode ``value`` as canonical JSON, in UTF-8.

    Raises:
        CanonicalError: the value holds something that is not JSON, a number that is not finite, two keys that are
            the same after lone surrogates were replaced, or more than ``MAX_DEPTH`` levels.
    """
    plain = _plain_form(value)
    if plain is not None:
        return plain
    parts: list[str] = []
    _write(value, parts, MAX_DEPTH)
    return "".join(parts).encode()


def canonical_form(value: Any) -> bytes:
    """Encode any Python value: ``canonical_json(to_json_domain(value))``, without the copy where there is nothing to bring."""
    plain = _plain_form(value)
    return canonical_json(to_json_domain(value)) if plain is None else plain


def to_json_domain(value: Any) -> Json:
    """Bring any Python value into the JSON domain; the same value gives the same result in every process.

    Never raises, and calls no method that a user's class could define, apart from iterating over containers: a
    ``repr`` may hold a memory address or a secret. What is coerced to what:

    ==========================================  ==========================================================
    ``None``, ``bool``, ``int``, ``str``        themselves; integers beyond 8192 bits their hexadecimal text
    ``float``                                   itself; not finite: ``"NaN"``, ``"Infinity"``, ``"-Infinity"``
    ``Enum``                                    its value
    ``bytes``, ``bytearray``, ``memoryview``    ``{"$bytes": base64}``
    ``date``, ``datetime``, ``time``, ``UUID``,
    ``Decimal``, ``range``                      its text
    list, tuple, other sequence                 array
    set, frozenset                              array, in the order of the canonical form of the items
    dataclass, pydantic model                   object of its fields
    mapping                                     object; keys that are no strings become their canonical text;
                                                ``{"$items": [[key, value], ...]}`` if two keys become the same
    anything else                               ``{"$type": "module.Class"}``
    nested beyond ``MAX_DEPTH``, or in itself   ``{"$nested": "too deep"}``, ``{"$nested": "cycle"}``
    ==========================================  ==========================================================
    """
    # A container whose keys became the same takes three levels, and a marker one.
    return _coerce(value, MAX_DEPTH - 3, ())


def _plain_form(value: Any) -> bytes | None:
    """Encode what most arguments and results are made of in one pass; None for what needs the long way (see ``_plain``)."""
    text = _plain(value, _PLAIN_DEPTH)
    try:
        return None if text is None else text.encode()
    except UnicodeEncodeError:  # a surrogate
        return None


def _plain(value: Any, depth: int) -> str | None:
    """Write ``value``, or return None if it holds what is not written here.

    That are subclasses, which may behave otherwise, floats, whose layout is special, and keys beyond ASCII, which are not in the
    order of UTF-16 code units.
    """
    kind = type(cast("object", value))
    text: str | None = None
    if kind is str:
        text = encode_basestring(value)
    elif kind is dict and depth > 0:
        text = _plain_object(value, depth - 1)
    elif kind is list and depth > 0:
        items = [_plain(item, depth - 1) for item in value]
        text = None if None in items else "[" + ",".join(cast("list[str]", items)) + "]"
    elif kind is int and value.bit_length() <= _MAX_INT_BITS:
        text = int.__repr__(value)
    elif value is None:
        text = "null"
    elif kind is bool:
        text = "true" if value else "false"
    return text


def _plain_object(value: dict[Any, Any], depth: int) -> str | None:
    for key in value:
        if type(key) is not str or not key.isascii():
            return None
    parts: list[str] = []
    for key in sorted(value):
        item = _plain(value[key], depth)
        if item is None:
            return None
        parts.append(f"{encode_basestring(key)}:{item}")
    return "{" + ",".join(parts) + "}"


def _write(value: Json, parts: list[str], depth: int) -> None:
    if isinstance(value, str):
        parts.append(encode_basestring(_text(value)))
    elif value is None:
        parts.append("null")
    elif isinstance(value, bool):
        parts.append("true" if value else "false")
    elif isinstance(value, int):
        parts.append(_integer(value))
    elif isinstance(value, float):
        parts.append(_double(value))
    elif depth == 0:
        raise CanonicalError(f"the value is nested deeper than {MAX_DEPTH} levels")
    elif isinstance(value, Mapping):
        _write_object(value, parts, depth - 1)
    elif isinstance(value, (list, tuple)):
        parts.append("[")
        separator = ""
        for item in value:
            parts.append(separator)
            separator = ","
            _write(item, parts, depth - 1)
        parts.append("]")
    else:
        raise CanonicalError(
            f"a value of type {type(value).__name__} is not JSON; pass it through to_json_domain"
        )


def _write_object(value: Mapping[str, Json], parts: list[str], depth: int) -> None:
    items: dict[str, Json] = {}
    in_code_point_order = True
    for key, item in value.items():
        if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance] - the caller may be untyped
            raise CanonicalError(
                f"a key of type {type(key).__name__} is not JSON; pass it through to_json_domain"
            )
        text = _text(key)
        items[text] = item
        if not text.isascii():
            in_code_point_order = in_code_point_order and max(text) <= _HIGHEST_BEFORE_SURROGATES
    if len(items) != len(value):
        raise CanonicalError("two keys of an object are the same once lone surrogates are replaced")
    parts.append("{")
    separator = ""
    # Section 3.2.3: by UTF-16 code units. Below the surrogates that is the order of code points.
    for key in sorted(items) if in_code_point_order else sorted(items, key=_utf_16):
        parts += (separator, encode_basestring(key), ":")
        separator = ","
        _write(items[key], parts, depth)
    parts.append("}")


def _utf_16(text: str) -> bytes:
    return text.encode("utf-16-be")


def _text(text: str) -> str:
    """Join surrogate pairs and replace lone surrogates, as UTF-16 does; cheap where there are none."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _integer(value: int) -> str:
    if value.bit_length() > _MAX_INT_BITS:
        raise CanonicalError(f"an integer has more than {_MAX_INT_BITS} bits")
    return int.__repr__(value)


def _double(value: float) -> str:
    """Write a double as ECMAScript's Number::toString does (RFC 8785 section 3.2.2.3).

    Python's repr finds the same shortest digits; only the layout around them differs.
    """
    if not isfinite(value):
        raise CanonicalError("a number is not finite")
    if value == 0:
        return "0"
    mantissa, _, exponent = float.__repr__(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    all_digits = whole + ("" if fraction == "0" else fraction)
    # The value is 0.DIGITS times ten to the power of point.
    point = len(whole) + int(exponent or 0)
    digits = all_digits.lstrip("0")
    point -= len(all_digits) - len(digits)
    digits = digits.rstrip("0")
    if len(digits) <= point <= _EXPONENT_FROM:
        text = digits + "0" * (point - len(digits))
    elif 0 < point <= _EXPONENT_FROM:
        text = f"{digits[:point]}.{digits[point:]}"
    elif _EXPONENT_BELOW < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        text = f"{digits[0]}{fraction}e{point - 1:+d}"
    return f"-{text}" if value < 0 else text


def _coerce(value: Any, depth: int, outer: tuple[int, ...]) -> Json:
    kind = type(cast("object", value))
    if kind is str or kind is bool or value is None:
        return cast("Json", value)
    if kind is not dict and kind is not list:  # what most arguments are made of
        try:
            simple, value = _simple(value)
        except Exception:  # noqa: BLE001 - a value of the user's may raise anything, and this must not
            simple, value = True, _type_only(value)
        if simple:
            return cast("Json", value)
    if depth <= 0 or id(value) in outer:
        return {"$nested": "too deep" if depth <= 0 else "cycle"}
    outer = (*outer, id(value))
    if not _is_dict(value):
        array = [_coerce(item, depth - 1, outer) for item in cast("Sequence[Any]", value)]
        return sorted(array, key=canonical_json) if isinstance(value, _Unordered) else array
    keys = [_text(key) if isinstance(key, str) else _key(key, depth, outer) for key in value]
    if len(set(keys)) == len(keys):
        return {key: _coerce(item, depth - 1, outer) for key, item in zip(keys, value.values(), strict=True)}
    pairs = [[key, _coerce(item, depth - 3, outer)] for key, item in zip(keys, value.values(), strict=True)]
    return {"$items": sorted(pairs, key=canonical_json)}


def _is_dict(value: Any) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


class _Unordered(list[Any]):
    """The items of a set, on their way to being sorted."""


def _simple(value: Any) -> tuple[bool, Any]:
    """Bring one value nearer to JSON: true and a JSON value, or false and a dict or list of what is inside."""
    for kinds, coerce in _COERCIONS:
        if isinstance(value, kinds):
            return coerce(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return False, {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    fields: Any = getattr(cast("Any", type(value)), "model_fields", None)  # pydantic, without importing it
    if isinstance(fields, dict):
        return False, {name: getattr(value, name) for name in cast("dict[str, Any]", fields)}
    return True, _type_only(value)


def _number(value: float) -> Json:
    if isinstance(value, int):
        return int(value) if value.bit_length() <= _MAX_INT_BITS else hex(value)
    return float(value) if isfinite(value) else {"nan": "NaN", "inf": "Infinity"}.get(str(value), "-Infinity")


def _enum(value: Enum) -> tuple[bool, Any]:
    inner = value.value
    return (True, inner) if isinstance(inner, str) else _simple(inner)


def _type_only(value: Any) -> Json:
    return {"$type": f"{type(value).__module__}.{type(value).__qualname__}"}


_COERCIONS: Final[tuple[tuple[Any, Callable[[Any], tuple[bool, Any]]], ...]] = (
    (Enum, _enum),
    ((str, bool, type(None)), lambda value: (True, value)),
    ((int, float), lambda value: (True, _number(value))),
    (
        (bytes, bytearray, memoryview),
        lambda value: (True, {"$bytes": base64.b64encode(bytes(value)).decode()}),
    ),
    ((date, time), lambda value: (True, value.isoformat())),
    ((Decimal, UUID, range), lambda value: (True, str(value))),
    (Mapping, lambda value: (False, dict(value))),
    (Sequence, lambda value: (False, list(value))),
    (AbstractSet, lambda value: (False, _Unordered(value))),
)


def _key(key: Any, depth: int, outer: tuple[int, ...]) -> str:
    text = _coerce(key, depth - 3, outer)
    return text if isinstance(text, str) else canonical_json(text).decode()
