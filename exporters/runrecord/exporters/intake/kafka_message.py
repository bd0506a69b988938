# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""An intake record as a message of Kafka.

The value is the body; headers hold the rest: ``runrecord.signal``, ``runrecord.received`` (Unix nanoseconds, decimal), and behind
``runrecord.header.`` what is kept with the record.
"""

from __future__ import annotations

from typing import Final, cast

from confluent_kafka import Message

from runrecord.exporters.intake.frame import IntakeRecord
from runrecord.processors.signal import Signal

SIGNAL: Final = "runrecord.signal"
RECEIVED: Final = "runrecord.received"
_KEPT: Final = "runrecord.header."
OVERHEAD: Final = 512
"""More bytes than headers and framing add to a message of ours."""


def encode_headers(
    signal: Signal, received_unix_nano: int, headers: tuple[tuple[str, str], ...]
) -> list[tuple[str, str | bytes | None]]:
    """Make the headers of a message."""
    return [
        (SIGNAL, signal.value.encode()),
        (RECEIVED, b"%d" % received_unix_nano),
        *((_KEPT + name, value.encode()) for name, value in headers),
    ]


def decode(message: Message) -> IntakeRecord | None:
    """Make a record of a message; None if it is none of ours."""
    body, offset, partition = message.value(), message.offset(), message.partition()
    if body is None or offset is None or partition is None:
        return None
    headers = cast("list[tuple[str, bytes | None]]", message.headers() or [])
    found = dict(headers)
    try:
        signal = Signal((found[SIGNAL] or b"").decode())
        received = int(found[RECEIVED] or b"")
        kept = tuple(
            (name.removeprefix(_KEPT), (value or b"").decode())
            for name, value in headers
            if name.startswith(_KEPT)
        )
    except (KeyError, ValueError):
        return None
    return IntakeRecord(offset, signal, received, kept, body, partition)
