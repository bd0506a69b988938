# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Inputs in pieces of bounded size, each an export request: OTLP as it is, JSON lines and text as bodies of log records."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, cast

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from runrecord.cli.checking.inputs import InputError, read
from runrecord.collector.receiver.requests import SERVICES
from runrecord.processors.signal import Signal

_BLOCK: Final = 1 << 18
_LINES: Final = 512
_LONGEST_LINE: Final = 64 << 20
_PEEK: Final = 1 << 16
_OTLP_KEY: Final = re.compile(rb'"(?:resourceSpans|resourceLogs|resourceMetrics)"')
_OTLP_SUFFIXES: Final = frozenset({".pb", ".binpb", ".bin", ".otlp", ".segment", ".gz", ".zst", ".zstd"})
_MAGIC: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"RRINTAKE")
_IDS: Final = frozenset({"traceId", "spanId", "parentSpanId"})


class Format(str, Enum):
    """What an input is."""

    AUTO = "auto"
    OTLP = "otlp"
    JSONL = "jsonl"
    TEXT = "text"


@dataclass(frozen=True)
class Piece:
    """A part of an input.

    Attributes:
        name: The input.
        line: The line it begins with; 0 if it has none.
        offset: The byte it begins with, where there are no lines.
        signal: What kind of request it is.
        request: The request, for explaining.
        write: Makes the output of the redacted request.
        plain: Whether it is JSON lines or text, as bodies of log records.
    """

    name: str
    line: int
    offset: int
    signal: Signal
    request: Message
    write: Callable[[bytes], bytes]
    plain: bool


def pieces(path: Path, form: Format) -> Iterator[Piece]:
    """Read an input; ``-`` is the standard input.

    Raises:
        InputError: It can't be read, or is not what it should be.
    """
    name = "<stdin>" if str(path) == "-" else str(path)
    if name == "<stdin>":
        stdin = io.BufferedReader(cast("io.RawIOBase", sys.stdin.buffer), _PEEK)
        start = stdin.peek(_PEEK)
        kind = _kind(start, form, "")
        yield from (
            _otlp(path, start, cast("BinaryIO", stdin)) if kind is Format.OTLP else _lines(stdin, name, kind)
        )
        return
    try:
        with path.open("rb") as file:
            start = file.peek(_PEEK)
            kind = _kind(start, form, path.suffix)
            if kind is not Format.OTLP:
                yield from _lines(file, name, kind)
                return
    except OSError as error:
        raise InputError(f"{name} can't be read: {error.strerror}.", "check the path and the file") from error
    yield from _otlp(path, start)


def _kind(start: bytes, form: Format, suffix: str) -> Format:
    if form is not Format.AUTO:
        return form
    if suffix in _OTLP_SUFFIXES or start.startswith(_MAGIC) or b"\0" in start[:4096]:
        return Format.OTLP
    if start.lstrip()[:1] in {b"{", b"["}:
        return Format.OTLP if _OTLP_KEY.search(start) else Format.JSONL
    return Format.TEXT


# OTLP


def _otlp(path: Path, start: bytes, stdin: BinaryIO | None = None) -> Iterator[Piece]:
    for request in read(path, stdin=stdin):
        signal = next(
            item for item, service in SERVICES.items() if isinstance(request.message, service.request)
        )
        place = request.place
        yield Piece(
            place.source,
            place.line,
            place.offset,
            signal,
            request.message,
            _writer(signal, start),
            plain=False,
        )


def _writer(signal: Signal, start: bytes) -> Callable[[bytes], bytes]:
    """Write as the input is framed; what was compressed or an intake log becomes JSON lines."""
    if start.startswith(_MAGIC) or start.lstrip()[:1] in {b"{", b"["}:
        return lambda body: _json(signal, body)
    if start[:1] == b"\x0a":
        return lambda body: body
    if start[:1] == b"\0":
        return lambda body: len(body).to_bytes(4, "big") + body
    return lambda body: _varint(len(body)) + body


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:  # noqa: PLR2004  seven bits a byte
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))


def _json(signal: Signal, body: bytes) -> bytes:
    """One line of OTLP/JSON: ids in hexadecimal, enumerations as numbers."""
    message = SERVICES[signal].request()
    message.ParseFromString(body)
    document = _with_hex_ids(MessageToDict(message, use_integers_for_enums=True))
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _with_hex_ids(value: Any) -> Any:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {
            key: base64.b64decode(item).hex()
            if key in _IDS and isinstance(item, str)
            else _with_hex_ids(item)
            for key, item in items
        }
    if isinstance(value, list):
        return [_with_hex_ids(item) for item in cast("list[object]", value)]
    return value


# JSON lines and text


def _lines(file: IO[bytes], name: str, kind: Format) -> Iterator[Piece]:
    number = 1
    for texts in _records(file, name) if kind is Format.JSONL else _blocks(file, name):
        request = ExportLogsServiceRequest()
        records = request.resource_logs.add().scope_logs.add().log_records
        for index, text in enumerate(texts, start=1):
            body = records.add(time_unix_nano=index).body
            try:
                body.string_value = text.decode("utf-8")
            except UnicodeDecodeError:
                body.bytes_value = text
        yield Piece(name, number, 0, Signal.LOGS, request, _bodies, plain=True)
        number += sum(text.count(b"\n") for text in texts)


def _bodies(redacted: bytes) -> bytes:
    request = ExportLogsServiceRequest.FromString(redacted)
    bodies = [
        record.body
        for part in request.resource_logs
        for scope in part.scope_logs
        for record in scope.log_records
    ]
    return b"".join(body.bytes_value or body.string_value.encode() for body in bodies)


def _records(file: IO[bytes], name: str) -> Iterator[list[bytes]]:
    """Lines, some at a time."""
    batch: list[bytes] = []
    size = 0
    while line := _line(file, name):
        batch.append(line)
        size += len(line)
        if size >= _BLOCK or len(batch) >= _LINES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _blocks(file: IO[bytes], name: str) -> Iterator[list[bytes]]:
    """Whole lines up to a size; a block does not end inside a PEM block, nor without need inside a paragraph."""
    lines: list[bytes] = []
    size = 0
    while line := _line(file, name):
        lines.append(line)
        size += len(line)
        if size >= _BLOCK and (size >= 2 * _BLOCK or not line.strip()):
            block = b"".join(lines)
            if not _in_pem(block):
                yield [block]
                block = b""
            lines, size = [block], len(block)
    if size:
        yield [b"".join(lines)]


def _in_pem(block: bytes) -> bool:
    begin = block.rfind(b"-----BEGIN")
    return begin > block.rfind(b"-----END") and len(block) - begin < _BLOCK


def _line(file: IO[bytes], name: str) -> bytes:
    line = file.readline(_LONGEST_LINE + 1)
    if len(line) > _LONGEST_LINE:
        raise InputError(
            f"{name}: a line is longer than {_LONGEST_LINE >> 20} MiB.",
            "break it into lines, or store it as OTLP",
        )
    return line
