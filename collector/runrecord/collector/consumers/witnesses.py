# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Asks witnesses to cosign the newest checkpoint of a ledger from time to time; nothing else ever waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from runrecord.collector.errors import StartError
from runrecord.ledger.errors import LedgerError
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.tlog_policy import TlogPolicy
from runrecord.ledger.witness import Cosigned, cosign

if TYPE_CHECKING:
    from runrecord.collector.config.exporters import WitnessSettings
    from runrecord.collector.consumers.sequencer import LedgerSequencer
    from runrecord.collector.telemetry import Health

_log = logging.getLogger(__name__)


class WitnessedLedger:
    """The witnesses of one ledger.

    Args:
        name: Of the ledger in the configuration.
        settings: Its section ``witnesses``.
        sequencer: Has the ledger, while it is open.
        health: Where it says whether the quorum is met.

    Raises:
        StartError: The policy can't be used.
    """

    def __init__(
        self, name: str, settings: WitnessSettings, sequencer: LedgerSequencer, health: Health
    ) -> None:
        try:
            self._policy = TlogPolicy.parse(settings.policy.read_bytes())
        except OSError as error:
            raise StartError(
                f"{name}: {settings.policy} can't be read ({error.strerror})",
                next_step=f"set exporters.{name}.witnesses.policy to a C2SP tlog-policy file",
            ) from error
        except LedgerError as error:
            raise StartError(
                f"{name}: {settings.policy}: {error.message}", next_step=error.next_step or ""
            ) from error
        if not any(witness.url for witness in self._policy.witnesses.values()):
            raise StartError(
                f"{name}: no witness in {settings.policy} has a URL",
                next_step="write: witness NAME VKEY URL",
            )
        self._name, self._settings, self._sequencer = name, settings, sequencer
        self._health = health.part(f"{name} witnesses")
        self._sizes: dict[str, int] = {}
        self._size = -1
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to ask."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop; a request under way is answered to nobody."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._settings.interval)
            ledger = self._sequencer.ledger
            if ledger is None or ledger.log.checkpoint.size == self._size:
                continue
            try:
                done = await asyncio.to_thread(self._ask, ledger)
            except LedgerError as error:
                self._say(f"the witnesses can't be asked: {error.message}")
            else:
                self._judge(done)

    def _ask(self, ledger: Ledger) -> Cosigned:
        log = ledger.log
        done = cosign(
            log.checkpoint,
            self._policy,
            log.consistency_proof,
            last=self._sizes,
            timeout=self._settings.timeout,
        )
        if done.enough and done.by:
            log.keep_witnessed(done.checkpoint)
        return done

    def _judge(self, done: Cosigned) -> None:
        if done.enough:
            self._size = done.checkpoint.size
            self._say("")
        else:
            why = "; ".join(failure.message for failure in done.failures.values())
            self._say(f"quorum {self._policy.quorum} is not met: {why or 'too few witnesses have a URL'}")

    def _say(self, why: str) -> None:
        if self._health.set(ok=not why, message=why):
            _log.log(
                logging.WARNING if why else logging.INFO,
                "%s: witnesses: %s",
                self._name,
                why or "the quorum is met",
            )
