# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""OTLP/JSON to protobuf, by the rules of OTLP and not those of protobuf's own JSON.

Trace and span ids are hex (other bytes are base64), enums are integers, names are lowerCamelCase only, unknown names are
ignored, 64-bit integers are text or numbers. Source: OTLP 1.11, "JSON Protobuf Encoding".
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from functools import cache
from typing import Any, NoReturn

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from runrecord.collector.receiver.requests import SERVICES
from runrecord.collector.receiver.status import MAX_DEPTH, Code, Refusal, too_deep
from runrecord.exporters.settings_yaml import is_mapping, is_sequence
from runrecord.processors.signal import Signal

_HEX_FIELDS = {"trace_id", "span_id", "parent_span_id"}
_INTEGERS = {
    FieldDescriptor.TYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_SINT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_SFIXED32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_ENUM: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.TYPE_FIXED32: (0, (1 << 32) - 1),
    FieldDescriptor.TYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.TYPE_SINT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.TYPE_SFIXED64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.TYPE_UINT64: (0, (1 << 64) - 1),
    FieldDescriptor.TYPE_FIXED64: (0, (1 << 64) - 1),
}
_INTEGER_LENGTH = 20
_FLOATS = {FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT}
_FLOAT_NAMES = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def json_to_protobuf(signal: Signal, body: bytes) -> bytes:
    """Convert a request.

    Args:
        signal: What it is a request of.
        body: UTF-8 JSON.

    Returns:
        The same request in protobuf.

    Raises:
        Refusal: It is not valid; the message names the place, never a value.
    """
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except RecursionError:
        raise too_deep() from None
    except ValueError as error:
        where = ""
        if isinstance(error, json.JSONDecodeError):
            where = f" (line {error.lineno}, column {error.colno})"
        elif isinstance(error, UnicodeDecodeError):
            where = f" (byte {error.start} is not UTF-8)"
        raise Refusal(Code.INVALID_ARGUMENT, f"the body is not valid JSON{where}") from None
    request = SERVICES[signal].request()
    _fill(request, value, "$", 0)
    return request.SerializeToString()


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _wrong(path: str, what: str) -> Refusal:
    return Refusal(Code.INVALID_ARGUMENT, f"{path} must be {what}", field=path)


@cache
def _fields(descriptor: Descriptor) -> dict[str, FieldDescriptor]:
    return {field.json_name: field for field in descriptor.fields}


def _fill(message: Message, value: Any, path: str, depth: int) -> None:
    if not is_mapping(value):
        raise _wrong(path, "an object")
    if depth > MAX_DEPTH:
        raise too_deep()
    fields = _fields(message.DESCRIPTOR)
    for name, item in value.items():
        field = fields.get(name)
        if field is None or item is None:
            continue
        here = f"{path}.{name}"
        if field.is_repeated:
            if not is_sequence(item):
                raise _wrong(here, "an array")
            target: Any = getattr(message, field.name)
            for index, element in enumerate(item):
                if field.message_type is None:
                    target.append(_scalar(field, element, f"{here}[{index}]"))
                else:
                    _fill(target.add(), element, f"{here}[{index}]", depth + 1)
        elif field.message_type is not None:
            child = getattr(message, field.name)
            child.SetInParent()
            _fill(child, item, here, depth + 1)
        else:
            setattr(message, field.name, _scalar(field, item, here))


def _scalar(field: FieldDescriptor, value: Any, path: str) -> Any:
    kind = field.type
    if kind in _INTEGERS:
        return _integer(value, path, *_INTEGERS[kind], is_enum=kind == FieldDescriptor.TYPE_ENUM)
    if kind in _FLOATS:
        return _float(value, path)
    if kind == FieldDescriptor.TYPE_BOOL:
        if isinstance(value, bool):
            return value
        raise _wrong(path, "true or false")
    if not isinstance(value, str):
        raise _wrong(path, "a string")
    return _bytes(field, value, path) if kind == FieldDescriptor.TYPE_BYTES else _text(value)


def _text(value: str) -> str:
    """Replace lone surrogates, which JSON can spell and UTF-8 can't."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def _integer(value: Any, path: str, low: int, high: int, *, is_enum: bool) -> int:
    number: int | None = None
    if isinstance(value, bool):
        pass
    elif isinstance(value, int):
        number = value
    elif (isinstance(value, float) and value.is_integer()) or (
        isinstance(value, str)
        and not is_enum
        and value.removeprefix("-").isdecimal()
        and len(value) <= _INTEGER_LENGTH
    ):
        number = int(value)
    if number is None or not low <= number <= high:
        raise _wrong(path, "an integer in its range")
    return number


def _float(value: Any, path: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise _wrong(path, "a number in its range") from None
    if isinstance(value, str):
        if value in _FLOAT_NAMES:
            return _FLOAT_NAMES[value]
        try:
            return float(value)
        except ValueError:
            pass
    raise _wrong(path, "a number")


def _bytes(field: FieldDescriptor, value: str, path: str) -> bytes:
    try:
        if field.name in _HEX_FIELDS:
            return binascii.unhexlify(value)
        text = value.replace("-", "+").replace("_", "/").rstrip("=")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise _wrong(path, "hex" if field.name in _HEX_FIELDS else "base64") from None
