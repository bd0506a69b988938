# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What supervisor and child say to each other, over a socket that the child inherits; nobody else can reach it.

Down go pickled messages, because they carry the configuration with its secrets; up comes JSON only, because a child handles
what strangers send. When either end is closed the other one knows that its peer is gone, however it died.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from runrecord.collector.config import GatewayConfig

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Begin:
    """The first message to a child: what it is.

    Attributes:
        name: How it is called in logs and health.
        number: Of a receiver, from 1; 0 for the process that consumes.
        config: Its configuration.
        log_level: Of its own log; None for that of the configuration.
    """

    name: str
    number: int
    config: GatewayConfig
    log_level: str | None


@dataclass(frozen=True)
class Reload:
    """Use another configuration from now on."""

    config: GatewayConfig


Command = Begin | Reload | Literal["go", "report", "stop"]


class Channel:
    """One end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Use `open_channel`."""
        self._reader = reader
        self._writer = writer

    async def send_command(self, command: Command) -> None:
        """Send down.

        Raises:
            ConnectionError: The child is gone.
        """
        await self._send(pickle.dumps(command))

    async def receive_command(self) -> Command:
        """Receive from above.

        Raises:
            EOFError: The supervisor is gone.
        """
        command: Command = pickle.loads(await self._receive())  # noqa: S301 - from the process that started this one
        return command

    async def send_answer(self, answer: dict[str, Any]) -> None:
        """Send up."""
        await self._send(json.dumps(answer).encode())

    async def receive_answer(self) -> dict[str, Any]:
        """Receive from below.

        Raises:
            EOFError: The child is gone.
        """
        answer: dict[str, Any] = json.loads(await self._receive())
        return answer

    async def _send(self, data: bytes) -> None:
        self._writer.write(_LENGTH.pack(len(data)) + data)
        await self._writer.drain()

    async def _receive(self) -> bytes:
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            return await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise EOFError from error

    def close(self) -> None:
        """Close this end."""
        self._writer.close()


async def open_channel(end: socket.socket) -> Channel:
    """Make a channel of one end of a socket pair."""
    reader, writer = await asyncio.open_unix_connection(sock=end)
    return Channel(reader, writer)
