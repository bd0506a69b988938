# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`stamp_ledger`: a forwarder that goes behind the sequencer, so that what it sends says where the ledger holds it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from runrecord.collector.consumers.sequencer import LedgerSequencer
from runrecord.exporters.intake import IntakeRecord
from runrecord.ledger.errors import LedgerError

_log = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 0.02
_AGAIN_SECONDS: Final = 1.0


class LedgerStamp:
    """Waits for the first ledger that takes a record, and sets on the record where it is there."""

    def __init__(self, sequencers: Sequence[LedgerSequencer]) -> None:
        """Keep the ledgers.

        Args:
            sequencers: In the order of the configuration.
        """
        self._sequencers = sequencers

    async def __call__(self, record: IntakeRecord, pause: Callable[[float], Awaitable[None]]) -> bytes:
        """Return the body of a record with its places; as it was if no ledger takes it.

        Args:
            record: Of the intake log.
            pause: Waits some seconds, or raises `Stopped`.

        Raises:
            Stopped: The forwarder was told to stop before the ledger had it.
        """
        sequencer = next((each for each in self._sequencers if each.takes(record)), None)
        if sequencer is None:
            return record.body
        mark = sequencer.mark()
        while not sequencer.is_beyond(mark):
            await pause(_LOOK_SECONDS)
        while True:
            try:
                return await asyncio.to_thread(sequencer.stamped, record)
            except (LedgerError, OSError, sqlite3.Error) as error:
                _log.debug("%s: can't be asked: %s", sequencer.name, type(error).__name__)
                await pause(_AGAIN_SECONDS)
