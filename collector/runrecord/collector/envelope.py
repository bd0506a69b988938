# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Export requests taken apart and put together without parsing what is in them.

All three signals nest in the same way: a request holds parts, one per resource (field 1); a part holds scopes (field 2); a
scope holds records (field 2). So messages that know only those fields, as bytes, take any of them apart, and whatever else
is in one (resource, scope, schema URL, fields of a newer release) is carried along as protobuf carries unknown fields.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final, TypeVar

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_Place = TypeVar("_Place", bound=Hashable)
_PACKAGE: Final = "runrecord.collector.envelope"
_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_FILE: Final = descriptor_pb2.FileDescriptorProto(
    name="runrecord/collector/envelope.proto",
    package=_PACKAGE,
    syntax="proto3",
    dependency=[resource_pb2.DESCRIPTOR.name],
)


def _shadow(name: str, *fields: descriptor_pb2.FieldDescriptorProto) -> None:
    _FILE.message_type.add(name=name, field=fields)


def _children(number: int) -> descriptor_pb2.FieldDescriptorProto:
    return _FIELD(name="children", number=number, type=_FIELD.TYPE_BYTES, label=_FIELD.LABEL_REPEATED)


_shadow("Request", _children(1))
_shadow("Level", _children(2))
_shadow(
    "Part",
    _FIELD(
        name="resource",
        number=1,
        type=_FIELD.TYPE_MESSAGE,
        label=_FIELD.LABEL_OPTIONAL,
        type_name=f".{resource_pb2.Resource.DESCRIPTOR.full_name}",
    ),
)
_pool: Final = descriptor_pool.Default()
_pool.AddSerializedFile(_FILE.SerializeToString())


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


_Part: Final = _message("Part")
_LEVELS: Final = (_message("Request"), _message("Level"), _message("Level"))


def merge(bodies: list[bytes]) -> bytes:
    """Make one request of several of the same signal: protobuf reads messages that stand behind one another as one.

    Source: protobuf encoding, "Last One Wins": repeated fields are concatenated.
    """
    return bodies[0] if len(bodies) == 1 else b"".join(bodies)


def halve(body: bytes) -> tuple[bytes, bytes] | None:
    """Cut a request into two of about the same size: between resources, else between scopes, else between records.

    Args:
        body: A serialised request, valid.

    Returns:
        Both halves, each with the resource and the scope that its records had; None if there is but one record.
    """
    return _halve(body, 0)


def _halve(body: bytes, depth: int) -> tuple[bytes, bytes] | None:
    level = _LEVELS[depth].FromString(body)
    children = list(level.children)
    if len(children) > 1:
        middle = _middle(children)
        return _with(level, children[:middle]), _with(level, children[middle:])
    if not children or depth + 1 == len(_LEVELS):
        return None
    halves = _halve(children[0], depth + 1)
    return halves and (_with(level, [halves[0]]), _with(level, [halves[1]]))


def _middle(children: list[bytes]) -> int:
    half, size = sum(map(len, children)) / 2, 0
    for index, child in enumerate(children):
        size += len(child)
        if size >= half:
            return min(max(index + (size - half <= len(child) / 2), 1), len(children) - 1)
    return 1


def _with(level: Any, children: list[bytes]) -> bytes:
    del level.children[:]
    level.children.extend(children)
    body: bytes = level.SerializeToString()
    return body


def first_trace_id(body: bytes) -> bytes | None:
    """Read the trace id of the first span of a request; None if there is none.

    Args:
        body: A serialised trace request, valid.
    """
    for level in _LEVELS:
        children = level.FromString(body).children
        if not children:
            return None
        body = children[0]
    return Span.FromString(body).trace_id


def by_resource(
    body: bytes, key: str, sort: Callable[[str | None], str | None]
) -> list[tuple[str | None, bytes]]:
    """Sort what is in a request by a resource attribute.

    Args:
        body: A serialised request, valid.
        key: The name of the attribute.
        sort: Says where a value belongs. It is given None where the attribute is missing, is there with two values, or is no
            text.

    Returns:
        One request for each place, in the order in which they come; the very same body if there is one place only.
    """
    request = _LEVELS[0].FromString(body)
    found: dict[str | None, list[bytes]] = {}
    for child in request.children:
        found.setdefault(sort(_text_of(_Part.FromString(child).resource, key)), []).append(child)
    if len(found) < 2:  # noqa: PLR2004
        return [(next(iter(found), None), body)]
    return [(place, _with(request, children)) for place, children in found.items()]


def by_record(body: bytes, sort: Callable[[bytes], _Place]) -> list[tuple[_Place, bytes]]:
    """Sort the records in a request.

    Args:
        body: A serialised request, valid.
        sort: Says where a record, serialised, belongs. It is called once for each, in order.

    Returns:
        One request for each place, in the order in which they come, each with the resources and scopes that its records had; the
        very same body if there is one place only. None for a request without records.
    """
    return [*_by_record(body, 0, sort).items()]


def _by_record(body: bytes, depth: int, sort: Callable[[bytes], _Place]) -> dict[_Place, bytes]:
    if depth == len(_LEVELS):
        return {sort(body): body}
    level = _LEVELS[depth].FromString(body)
    found: dict[_Place, list[bytes]] = {}
    for child in level.children:
        for place, part in _by_record(child, depth + 1, sort).items():
            found.setdefault(place, []).append(part)
    if len(found) == 1:
        return dict.fromkeys(found, body)
    return {place: _with(level, children) for place, children in found.items()}


def _text_of(resource: resource_pb2.Resource, key: str) -> str | None:
    values = {_text(pair.value) for pair in resource.attributes if pair.key == key}
    return values.pop() if len(values) == 1 else None


def _text(value: AnyValue) -> str | None:
    return value.string_value if value.WhichOneof("value") == "string_value" else None
