# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Tail sampling as a part of the gateway: its files, its consumer, and the log from which forwarders take what is kept.

Who takes tail sampling out of the configuration has what was kept before delivered all the same, and what waited as well: it is
kept then.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from runrecord.collector.config.processors import TailSampling
from runrecord.collector.errors import StartError
from runrecord.collector.sampling.sampler import TailSampler, headers_of
from runrecord.collector.sampling.spool import Spool
from runrecord.exporters.errors import IntakeError
from runrecord.exporters.intake import IntakeLimits, IntakeLog
from runrecord.processors.signal import Signal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runrecord.collector.config import GatewayConfig
    from runrecord.collector.consumers.quarantine import Quarantine
    from runrecord.collector.telemetry import GatewayMetrics, Health
    from runrecord.exporters.intake import Intake

NAME: Final = "tail_sampling"
"""The processor in the configuration, and its cursor in the intake log."""
_MIB: Final = 1 << 20


def samples(config: GatewayConfig) -> bool:
    """Whether back ends get a sample of the traces."""
    pipeline = config.service.pipelines.get(Signal.TRACES)
    return pipeline is not None and NAME in pipeline.processors


class SamplingStage:
    """The files of tail sampling, open.

    Attributes:
        log: What is kept; forwarders read it.
        sampler: What fills it; None if the configuration has no tail sampling any more.
    """

    def __init__(self, log: IntakeLog, sampler: TailSampler | None) -> None:
        """Use `open`."""
        self.log = log
        self.sampler = sampler

    @classmethod
    async def open(
        cls,
        config: GatewayConfig,
        intake: Intake,
        consumers: Sequence[str],
        *,
        health: Health,
        metrics: GatewayMetrics,
        quarantine: Quarantine,
    ) -> SamplingStage | None:
        """Open what the configuration asks for, or what an earlier one has left.

        Args:
            config: The configuration.
            intake: The intake log.
            consumers: The cursors of the forwarders of traces.
            health: Where the sampler says how it is.
            metrics: Where it counts.
            quarantine: Where it keeps what is no trace request.

        Returns:
            None if there is nothing to do.

        Raises:
            StartError: A file can't be used.
        """
        directory, path = config.service.state_dir / "sampled", config.service.state_dir / "sampling.sqlite"
        settings = config.processors.tail_sampling if samples(config) else None
        if settings is None and not directory.exists():
            return None
        limits = IntakeLimits(config.service.intake.max_size_mib * _MIB, config.service.intake.max_age)
        try:
            log = IntakeLog(directory, consumers=consumers, limits=limits)
        except IntakeError as error:
            raise StartError(str(error), next_step=error.next_step) from error
        try:
            if settings is None:
                if path.exists():
                    await _release(path, log)
                return cls(log, None)
            spool = _open(path, settings)
        except (sqlite3.Error, IntakeError) as error:
            log.close()
            raise StartError(
                f"{path} can't be used: {error}",
                next_step="make room, or give this user the right to write there; a damaged file may be moved away, and the spans "
                "that wait in it for a decision with it",
            ) from error
        sampler = TailSampler(
            intake.consumer(NAME),
            spool=spool,
            sampled=log,
            health=health,
            metrics=metrics,
            quarantine=quarantine,
        )
        return cls(log, sampler)

    def close(self) -> None:
        """Close the log; the sampler has been stopped by then."""
        self.log.close()


def _open(path: Path, settings: TailSampling) -> Spool:
    return Spool(
        path,
        percentage=settings.sampling_percentage,
        keep=settings.keep,
        decision_wait=settings.decision_wait,
        max_wait=settings.max_wait,
        max_bytes=settings.max_waiting_mib * _MIB,
    )


async def _release(path: Path, log: IntakeLog) -> None:
    """Keep everything that waits, since nobody decides about it any more."""
    spool = _open(path, TailSampling())
    try:
        for kept in spool.release():
            await log.append(Signal.TRACES, kept.body, headers=headers_of(kept))
        spool.commit()
    finally:
        spool.close()
