# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""One child seen from the supervisor: started, asked how it is, and started again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from runrecord.collector.errors import StartError
from runrecord.collector.telemetry import Health, PartHealth
from runrecord.collector.workers.channel import Begin, Channel, Command, Reload, open_channel

if TYPE_CHECKING:
    from runrecord.collector.config import GatewayConfig
    from runrecord.collector.workers.totals import Totals

_log = logging.getLogger(__name__)
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 30.0
_LONG_LIFE: Final = 60.0
"""Seconds after which a child counts as one that works: should it die, it is started again at once."""


class Supervised:
    """A child and its successors of the same name.

    Attributes:
        name: ``receiver-1`` and so on, or ``consumers``.
        restarts: How often it was started again.
    """

    def __init__(
        self,
        name: str,
        number: int,
        *,
        pipe: int,
        config: Callable[[], GatewayConfig],
        log_level: str | None,
        health: Health,
        totals: Totals,
    ) -> None:
        """Prepare; `spawn` starts the process.

        Args:
            name: How it is called.
            number: Of a receiver, from 1; 0 for the process that consumes.
            pipe: Its end of the pipe by which receivers wake the one that consumes.
            config: Returns what it runs with, now.
            log_level: Of its log.
            health: Where it is shown.
            totals: Where its metrics are added.
        """
        self.name = name
        self.restarts = 0
        self._number = number
        self._pipe = pipe
        self._config = config
        self._log_level = log_level
        self._health = health
        self._totals = totals
        self._own = health.part(name, self._facts)
        self._parts: dict[str, PartHealth] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel | None = None
        self._answers: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._stopping = False
        self._waiting: dict[str, list[asyncio.Future[Any]]] = {}

    def _facts(self) -> dict[str, Any]:
        process = self._process
        return {"pid": process.pid if process else None, "restarts": self.restarts}

    # -- life ------------------------------------------------------------------------------------------------------

    async def spawn(self) -> None:
        """Start the process, which takes a second to import what it needs, and says nothing until it is told to `open`."""
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "runrecord.collector.workers", self.name]
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                str(theirs.fileno()),
                str(self._pipe),
                pass_fds=(theirs.fileno(), self._pipe),
                stdin=asyncio.subprocess.DEVNULL,
                env={**os.environ, "PYTHONSAFEPATH": "1"},  # no module of the directory it is started in
            )
        self._channel = await open_channel(ours)
        self._answers = asyncio.create_task(self._listen(self._channel))

    async def open(self) -> None:
        """Tell it what it is, and return when it has opened what it needs.

        Raises:
            StartError: It can't.
        """
        assert self._process is not None
        ready = self._expect("ready")
        await self._send(Begin(self.name, self._number, self._config(), self._log_level))
        try:
            await ready
        except EOFError:
            code = await self._process.wait()
            raise StartError(f"{self.name} ended while it started ({_how(code)})") from None

    async def go(self) -> None:
        """Let it begin, and keep it alive from now on."""
        await self._send("go")
        self._keeping = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            assert self._process is not None
            since = time.monotonic()
            code = await self._process.wait()
            await self._forget()
            if self._stopping:
                return
            if time.monotonic() - since > _LONG_LIFE:
                pause = _FIRST_PAUSE
            why = f"died ({_how(code)})"
            while not self._stopping:
                self._own.set(ok=False, message=f"{why}; it is started again")
                _log.error("%s %s; it is started again", self.name, why)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                self.restarts += 1
                try:
                    await self.spawn()
                    await self.open()
                    await self._send("go")
                except (StartError, OSError) as error:
                    why = f"does not start: {error}"
                    await self.kill()
                else:
                    self._own.set(ok=True)
                    _log.info("%s works", self.name)
                    break

    async def _forget(self) -> None:
        """Close what belongs to a life that is over; what it counted is kept."""
        if self._answers is not None:
            await self._answers  # what it said before it died is worth to be heard
        if self._channel is not None:
            self._channel.close()
        self._totals.ended(self.name)

    async def stop(self, timeout: float) -> None:
        """Tell it to stop, and kill it if it has not after so many seconds."""
        self._stopping = True
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._process is None:
            return
        await self._send("stop")
        try:
            await asyncio.wait_for(self._process.wait(), timeout)
        except asyncio.TimeoutError:
            _log.error("%s does not stop; it is killed, which loses nothing", self.name)
        await self.kill()

    async def kill(self) -> None:
        """End it now."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            await self._forget()

    # -- questions -------------------------------------------------------------------------------------------------

    async def report(self, timeout: float) -> None:
        """Bring health and metrics up to date; what was known stays if it does not answer in time."""
        if self._keeping is None or self._keeping.done() or not self._own.ok:
            return
        reported = self._expect("report")
        await self._send("report")
        with contextlib.suppress(asyncio.TimeoutError, EOFError):
            await asyncio.wait_for(reported, timeout)

    async def reload(self, config: GatewayConfig) -> str:
        """Let it use another configuration.

        Returns:
            Why it does not; empty if it does, or if it is being started, which will be with that one.
        """
        reloaded = self._expect("reloaded")
        await self._send(Reload(config))
        try:
            return str(await reloaded)
        except EOFError:
            return ""

    async def _send(self, command: Command) -> None:
        if self._channel is not None:
            with contextlib.suppress(ConnectionError):  # whoever waits for the answer is told
                await self._channel.send_command(command)

    def _expect(self, kind: str) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._answers is None or self._answers.done():
            future.set_exception(EOFError())
        else:
            self._waiting.setdefault(kind, []).append(future)
        return future

    async def _listen(self, channel: Channel) -> None:
        while True:
            try:
                answer = await channel.receive_answer()
            except EOFError:
                for future in (future for each in self._waiting.values() for future in each):
                    if not future.done():
                        future.set_exception(EOFError())
                self._waiting.clear()
                return
            if "failed" in answer:
                self._settle("ready", StartError(answer["failed"], next_step=answer["next_step"]))
                continue
            for kind, value in answer.items():
                if kind == "report":
                    self._take(value)
                self._settle(kind, value)

    def _settle(self, kind: str, value: Any) -> None:
        for future in self._waiting.pop(kind, []):
            if future.done():
                continue
            if isinstance(value, Exception):
                future.set_exception(value)
            else:
                future.set_result(value)

    def _take(self, report: dict[str, Any]) -> None:
        """Show what a child reports as if it were of this process."""
        self._totals.update(self.name, report["metrics"])
        prefix = f"{self.name} " if self._number else ""
        for name in self._parts.keys() - report["parts"].keys():
            del self._parts[name]
            self._health.drop(prefix + name)
        for name, told in report["parts"].items():
            facts = {key: value for key, value in told.items() if key not in {"status", "message", "since"}}
            part = self._parts.get(name)
            if part is None:
                part = self._parts[name] = self._health.part(prefix + name)
            part.facts = facts.copy
            part.set(ok=told["status"] == "ok", message=told.get("message", ""))


def _how(code: int) -> str:
    """Say how a process ended."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
