# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A child of the supervisor: a receiver with a log of its own, or the one process that consumes the logs of all."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Protocol

from runrecord.collector.consuming import Consuming, consumer_names
from runrecord.collector.errors import GatewayError
from runrecord.collector.intake_logs import open_for_consumers, open_for_receiver
from runrecord.collector.own_signals import own_signals
from runrecord.collector.receiving import Receiving, load_key, make_redactor
from runrecord.collector.telemetry import GatewayMetrics, Health
from runrecord.collector.workers.channel import Begin, Channel, Command, Reload, open_channel
from runrecord.collector.workers.totals import snapshot
from runrecord.exporters.intake.wakeup import WakeupReader, WakeupWriter

if TYPE_CHECKING:
    from runrecord.collector.config import GatewayConfig

_log = logging.getLogger(__name__)
_WATCH_SECONDS: Final = 1.0


class _Side(Protocol):
    """`Receiving` or `Consuming`."""

    def refresh(self) -> None: ...

    def watch(self) -> None: ...

    async def reload(self, config: GatewayConfig) -> None: ...


class Child:
    """What runs in the process."""

    def __init__(self, begin: Begin, channel: Channel, pipe: int) -> None:
        """Prepare.

        Args:
            begin: What it is.
            channel: To the supervisor.
            pipe: Descriptor of the pipe by which receivers wake the process that consumes.
        """
        self._begin = begin
        self._channel = channel
        self._pipe = pipe
        self._metrics = GatewayMetrics()
        self._health = Health()
        self._go = asyncio.Event()
        self._stop = asyncio.Event()
        self._opened = asyncio.Event()
        self._side: _Side | None = None

    async def run(self) -> None:
        """Open everything, say so, begin when told, and stop when told."""
        commands = asyncio.create_task(self._obey())
        try:
            async with AsyncExitStack() as stack:
                try:
                    opened = await (self._receiver(stack) if self._begin.number else self._consumer(stack))
                except GatewayError as error:
                    await self._channel.send_answer({"failed": str(error), "next_step": error.next_step})
                    return
                self._opened.set()
                await self._channel.send_answer({"ready": opened})
                working = asyncio.create_task(self._work())
                stopping = asyncio.create_task(self._stop.wait())
                stack.callback(working.cancel)
                await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    await working  # it never ends by itself
                self._health.stopping = True
            await self._tell()
        finally:
            commands.cancel()

    async def _receiver(self, stack: AsyncExitStack) -> dict[str, Any]:
        config = self._begin.config
        redactor = await asyncio.to_thread(make_redactor, config, load_key())
        intake = stack.enter_context(open_for_receiver(config, self._begin.number, WakeupWriter(self._pipe)))
        receiving = Receiving(
            config, intake, redactor, metrics=self._metrics, health=self._health, share_ports=True
        )
        stack.push_async_callback(receiving.stop)
        receiving.bind()
        self._side = receiving
        self._starting = receiving.start
        return {"pid": os.getpid()}

    async def _consumer(self, stack: AsyncExitStack) -> dict[str, Any]:
        config = self._begin.config
        wakeup = WakeupReader(self._pipe)
        stack.callback(wakeup.close)
        intake = stack.enter_context(open_for_consumers(config, consumer_names(config), wakeup))
        consuming = Consuming(config, intake, key=load_key(), metrics=self._metrics, health=self._health)
        stack.push_async_callback(consuming.stop)
        await consuming.open()
        self._side = consuming

        async def start() -> None:
            consuming.start()

        self._starting = start
        return {"pid": os.getpid()}

    async def _work(self) -> None:
        await self._go.wait()
        await self._starting()
        while True:
            if self._side is not None:
                self._side.watch()
            await asyncio.sleep(_WATCH_SECONDS)

    async def _obey(self) -> None:
        while True:
            try:
                command = await self._channel.receive_command()
            except EOFError:
                # As after kill -9, which loses nothing: a new supervisor must find ports, logs and ledgers free at once.
                _log.error("%s: the supervisor is gone", self._begin.name)
                os._exit(1)
            await self._do(command)

    async def _do(self, command: Command) -> None:
        if isinstance(command, Reload):
            await self._reload(command.config)
        elif command == "go":
            self._go.set()
        elif command == "report":
            await self._report()
        elif command == "stop":
            self._stop.set()

    async def _report(self) -> None:
        if self._side is not None:
            self._side.refresh()
        await self._tell()

    async def _tell(self) -> None:
        parts = json.loads(self._health.render()[1])["parts"]
        await self._channel.send_answer(
            {"report": {"parts": parts, "metrics": snapshot(self._metrics.registry)}}
        )

    async def _reload(self, config: GatewayConfig) -> None:
        await self._opened.wait()
        problem = ""
        try:
            if self._side is not None:
                await self._side.reload(config)
        except GatewayError as error:
            problem = str(error)
        await self._channel.send_answer({"reloaded": problem})


async def _main(descriptor: int, pipe: int) -> None:
    channel = await open_channel(socket.socket(fileno=descriptor))
    try:
        begin = await channel.receive_command()
    except EOFError:
        return
    if not isinstance(begin, Begin):
        return  # told to stop before it began: another process could not start
    with own_signals(begin.config.service.telemetry, level=begin.log_level, process=begin.name):
        await Child(begin, channel, pipe).run()
    channel.close()


def main(descriptor: int, pipe: int) -> None:
    """Run until told to stop, or until the supervisor is gone.

    Args:
        descriptor: Of the inherited end of the channel.
        pipe: Of the inherited end of the pipe that wakes.
    """
    asyncio.run(_main(descriptor, pipe))
