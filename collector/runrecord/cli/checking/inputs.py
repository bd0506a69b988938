# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Read stored OTLP: JSON lines or a JSON document, protobuf in three framings, intake logs; plain, gzip or zstd.

One request is in memory at a time. What a file is, is told by its first bytes; only which signal a protobuf message carries
may need a word in the file's name (traces, logs, metrics), since OTLP messages do not say it.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, cast

import zstandard
from google.protobuf.message import DecodeError, Message

from runrecord.collector.receiver.otlp_json import json_to_protobuf
from runrecord.collector.receiver.requests import SERVICES
from runrecord.collector.receiver.status import Refusal
from runrecord.exporters.intake.frame import FRAME_OVERHEAD, decode_payload, payload_is_whole
from runrecord.exporters.intake.segment import HEADER_SIZE, heads
from runrecord.processors.signal import Signal
from runrecord.semconv.conformance import Place

__all__ = ["MAX_REQUEST", "InputError", "Request", "files_of", "read"]

MAX_REQUEST: Final = 256 << 20
"""Bytes of one request: a longer one is an error, so that memory stays bounded."""

SUFFIXES: Final = frozenset({".json", ".jsonl", ".ndjson", ".pb", ".binpb", ".bin", ".otlp", ".segment"})
"""What is read in a directory; a file that is named itself may have any name."""

_COMPRESSED: Final = frozenset({".gz", ".zst", ".zstd"})
_GZIP, _ZSTD, _SEGMENT = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"RRINTAKE"
_JSON_KEYS: Final = {
    b"resourceSpans": Signal.TRACES,
    b"resourceLogs": Signal.LOGS,
    b"resourceMetrics": Signal.METRICS,
}
_JSON_KEY: Final = re.compile(rb'"(resourceSpans|resourceLogs|resourceMetrics)"')
_FIRST_FIELD: Final = 0x0A
_LONGEST_VARINT: Final = 5
_CONTINUES: Final = 0x80

Advance = Callable[[int], None]


class InputError(Exception):
    """Input that can't be read.

    Attributes:
        next_step: What the user can do.
    """

    def __init__(self, message: str, next_step: str) -> None:
        """Say what and where, then what to do."""
        super().__init__(message)
        self.next_step = next_step


@dataclass(frozen=True)
class Request:
    """One export request and where it was."""

    message: Message
    place: Place


def files_of(path: Path) -> list[Path]:
    """List what is to be read under a path: itself, or the files of a directory that may hold OTLP, in order.

    Raises:
        InputError: There is nothing there.
    """
    if not path.is_dir():
        return [path]
    found = [file for file in sorted(path.rglob("*")) if file.is_file() and _suffix(file) in SUFFIXES]
    if not found:
        raise InputError(
            f"{path} holds no file of OTLP.",
            f"name files, or a directory with files that end in {', '.join(sorted(SUFFIXES))} (.gz and .zst as well)",
        )
    return found


def size_of(path: Path) -> int:
    """Return the bytes of a file, or 0."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix if path.suffix in _COMPRESSED else path.suffix


def read(
    path: Path, advance: Advance = lambda _size: None, stdin: BinaryIO | None = None
) -> Iterator[Request]:
    """Read the requests of a file; ``-`` is the standard input.

    Args:
        path: The file.
        advance: Is told how many more bytes of the file were read.
        stdin: The standard input, if somebody has had a look at it already.

    Raises:
        InputError: It can't be opened or is no OTLP; names file and line or byte, and the key in JSON.
    """
    name = "<stdin>" if str(path) == "-" else str(path)
    try:
        if name == "<stdin>":
            yield from _read(stdin or cast("BinaryIO", sys.stdin.buffer), name, advance)
            return
        with path.open("rb") as file:
            if file.read(len(_SEGMENT)) == _SEGMENT:
                yield from _intake(path, name, advance)
                return
            file.seek(0)
            yield from _read(file, name, advance)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else "it is damaged or cut off"
        raise InputError(f"{name} can't be read: {what}.", "check the path and the file") from error


class _Counted(io.RawIOBase):
    """Tells how much of a file was read, before anything is decompressed."""

    def __init__(self, file: IO[bytes], advance: Advance) -> None:
        self._file, self._advance = file, advance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._advance(len(data))
        return len(data)


def _read(file: IO[bytes], name: str, advance: Advance) -> Iterator[Request]:
    raw = io.BufferedReader(cast("io.RawIOBase", _Counted(file, advance)), 1 << 18)
    start = raw.peek(4)
    plain = raw
    if start.startswith(_GZIP):
        plain = io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=raw)), 1 << 18)
    elif start.startswith(_ZSTD):
        stream = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        plain = io.BufferedReader(cast("io.RawIOBase", stream), 1 << 18)
    first = plain.peek(64)
    if not first:
        return
    if first.lstrip()[:1] in {b"{", b"["}:
        yield from _json(plain, name)
    elif first[0] == _FIRST_FIELD:
        body = _limited(plain, name, 0, MAX_REQUEST)
        yield _protobuf(body, None, name, 0)
    else:
        yield from _framed(plain, name, first[0] == 0)


# JSON


def _json(file: IO[bytes], name: str) -> Iterator[Request]:
    line = file.readline(MAX_REQUEST + 1)
    number = 1
    while line and not line.strip():
        line, number = file.readline(MAX_REQUEST + 1), number + 1
    if (
        not line.rstrip().endswith((b"}", b"]"))
        or line.strip() in {b"{}", b"[]"}
        or line.lstrip()[:1] == b"["
    ):
        yield from _document(line + _limited(file, name, 0, MAX_REQUEST), name, number)
        return
    while line:
        if len(line) > MAX_REQUEST:
            raise _too_long(f"{name}:{number}")
        if line.strip():
            yield _json_request(line, name, number)
        line, number = file.readline(MAX_REQUEST + 1), number + 1


def _document(body: bytes, name: str, number: int) -> Iterator[Request]:
    if body.lstrip()[:1] != b"[":
        if body.strip() != b"{}":
            yield _json_request(body, name, number)
        return
    try:
        requests: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1) + number - 1
        raise _not_otlp(f"{name}:{line}", "this is not valid JSON") from None
    for request in requests:
        yield _json_request(json.dumps(request).encode(), name, number)


def _json_request(body: bytes, name: str, number: int) -> Request:
    found = _JSON_KEY.search(body)
    if found is None:
        what = "a request has one of the keys resourceSpans, resourceLogs and resourceMetrics; there is none"
        raise _not_otlp(f"{name}:{number}", what)
    signal = _JSON_KEYS[found[1]]
    try:
        message = SERVICES[signal].request()
        message.ParseFromString(json_to_protobuf(signal, body))
    except Refusal as refusal:
        place = re.search(r"line (\d+), column \d+", refusal.message)
        line = number + int(place[1]) - 1 if place else number
        raise _not_otlp(f"{name}:{line}", refusal.message) from None
    return Request(message, Place(name, number))


# Protobuf


def _framed(file: IO[bytes], name: str, big_endian: bool) -> Iterator[Request]:
    """Read requests with their length before them: four bytes (the collector's file exporter) or a varint."""
    offset = 0
    last: Signal | None = None
    while True:
        length, size = _length(file, name, offset, big_endian)
        if not size:
            return
        if length > MAX_REQUEST:
            raise _not_otlp(f"{name}@{offset}", "this is neither JSON nor OTLP in protobuf")
        body = file.read(length)
        if len(body) < length:
            raise _not_otlp(f"{name}@{offset}", "the file ends inside a request, or is no OTLP")
        request = _protobuf(body, last, name, offset)
        last = _signal_of(request.message)
        yield request
        offset += size + length


def _length(file: IO[bytes], name: str, offset: int, big_endian: bool) -> tuple[int, int]:
    """Return a length and how many bytes it took; 0 of them at the end."""
    if big_endian:
        data = file.read(4)
        if data and len(data) < 4:  # noqa: PLR2004 - the four bytes
            raise _not_otlp(f"{name}@{offset}", "the file ends inside the length of a request")
        return int.from_bytes(data, "big"), len(data)
    value = 0
    for index in range(_LONGEST_VARINT):
        byte = file.read(1)
        if not byte:
            if index:
                raise _not_otlp(f"{name}@{offset}", "the file ends inside the length of a request")
            return 0, 0
        value |= (byte[0] & (_CONTINUES - 1)) << 7 * index
        if byte[0] < _CONTINUES:
            return value, index + 1
    raise _not_otlp(f"{name}@{offset}", "this is neither JSON nor OTLP in protobuf")


def _protobuf(body: bytes, last: Signal | None, name: str, offset: int) -> Request:
    word = next((signal for signal in Signal if signal.value in Path(name).name.lower()), None)
    for signal in dict.fromkeys([item for item in (word, last) if item is not None] + list(Signal)):
        message: Any = SERVICES[signal].request()
        try:
            message.ParseFromString(body)
        except DecodeError:
            continue
        if signal is word or not body or _is_plausible(signal, message):
            return Request(message, Place(name, 0, offset))
    raise _not_otlp(
        f"{name}@{offset}", "this is neither JSON nor OTLP in protobuf, or its records have no times"
    )


def _signal_of(message: Message) -> Signal:
    return next(signal for signal, service in SERVICES.items() if isinstance(message, service.request))


def _is_plausible(signal: Signal, message: Any) -> bool:
    """Say whether a message that can be parsed as a signal is one; times and data have other types in each of them."""
    if signal is Signal.TRACES:
        return any(
            span.start_time_unix_nano or span.end_time_unix_nano
            for part in message.resource_spans
            for scope in part.scope_spans
            for span in scope.spans
        )
    if signal is Signal.LOGS:
        return any(
            record.time_unix_nano or record.observed_time_unix_nano
            for part in message.resource_logs
            for scope in part.scope_logs
            for record in scope.log_records
        )
    return any(
        metric.name and metric.WhichOneof("data")
        for part in message.resource_metrics
        for scope in part.scope_metrics
        for metric in scope.metrics
    )


def _intake(path: Path, name: str, advance: Advance) -> Iterator[Request]:
    """Read a segment of an intake log without locking it; a torn tail is where it ends."""
    end = path.stat().st_size
    with path.open("rb") as file:
        for offset, head, _ in heads(path, HEADER_SIZE, end):
            file.seek(offset + FRAME_OVERHEAD)
            payload = file.read(head.length)
            advance(head.size)
            if not payload_is_whole(head, payload):
                raise _not_otlp(f"{name}@{offset}", "the record of the intake log is damaged")
            record = decode_payload(head.sequence, payload)
            message = SERVICES[record.signal].request()
            message.ParseFromString(record.body)
            yield Request(message, Place(name, 0, offset))


def _limited(file: IO[bytes], name: str, offset: int, limit: int) -> bytes:
    body = file.read(limit + 1)
    if len(body) > limit:
        raise _too_long(f"{name}@{offset}")
    return body


def _too_long(where: str) -> InputError:
    return InputError(
        f"{where}: the request is longer than {MAX_REQUEST >> 20} MiB.",
        "store one request a line, or a frame",
    )


def _not_otlp(where: str, what: str) -> InputError:
    return InputError(
        f"{where}: {what}.",
        "check that it is OTLP: JSON lines, a JSON document, or export requests in protobuf",
    )
