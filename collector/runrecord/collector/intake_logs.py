# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where the intake logs of a configuration are, one for each receiving process, and how each side opens them."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runrecord.collector.errors import StartError
from runrecord.collector.kafka import open_kafka
from runrecord.exporters.errors import IntakeError
from runrecord.exporters.intake import IntakeLimits, IntakeLog
from runrecord.exporters.intake.followed import FollowedLog
from runrecord.exporters.intake.merged import MergedIntake

if TYPE_CHECKING:
    from runrecord.collector.config import GatewayConfig
    from runrecord.exporters.intake import Intake, IntakeWriter
    from runrecord.exporters.intake.wakeup import WakeupReader, WakeupWriter

_MIB: Final = 1 << 20
_PREFIX: Final = "intake-"


def log_directory(state_dir: Path, number: int) -> Path:
    """Return the directory of a receiver's log.

    Args:
        state_dir: That of the configuration.
        number: Of the receiver, from 1. The first one's is the same with one process and with many.
    """
    return state_dir / ("intake" if number == 1 else f"{_PREFIX}{number}")


def former_numbers(state_dir: Path, workers: int) -> list[int]:
    """List the receivers that have a log from an earlier start, and are no more."""
    found = (path.name.removeprefix(_PREFIX) for path in state_dir.glob(f"{_PREFIX}*"))
    return sorted(number for number in map(int, filter(str.isdecimal, found)) if number > workers)


@contextmanager
def open_alone(config: GatewayConfig, consumers: Iterable[str]) -> Generator[tuple[IntakeWriter, Intake]]:
    """Open the log of a gateway in one process, and what is left of earlier receivers; or the topic in its place.

    Args:
        config: The configuration.
        consumers: The names of the cursors.

    Yields:
        Where to write, and what to read.

    Raises:
        StartError: A log can't be used.
    """
    if config.service.intake.kafka is not None:
        with closing(open_kafka(config.service.intake.kafka)) as topic:
            yield topic, topic
        return
    consumers = tuple(consumers)
    with _as_start_error(), ExitStack() as stack:
        log = IntakeLog(
            log_directory(config.service.state_dir, 1), consumers=consumers, limits=_limits(config)
        )
        stack.callback(log.close)
        former = _open_former(config, consumers, stack, 1)
        yield log, MergedIntake({0: log}, former=former, consumers=consumers) if former else log


@contextmanager
def open_for_receiver(config: GatewayConfig, number: int, wake: WakeupWriter) -> Generator[IntakeWriter]:
    """Open the log of one of several receivers, or the topic in its place.

    Args:
        config: The configuration, with this receiver's share of the limits.
        number: Of the receiver, from 1.
        wake: Wakes the process that reads.

    Raises:
        StartError: The log can't be used.
    """
    if config.service.intake.kafka is not None:
        with closing(open_kafka(config.service.intake.kafka)) as topic:
            yield topic
        return
    with _as_start_error():
        directory = log_directory(config.service.state_dir, number)
        log = IntakeLog(directory, consumers=None, limits=_limits(config), wake=wake)
        try:
            yield log
        finally:
            log.close()


@contextmanager
def open_for_consumers(
    config: GatewayConfig, consumers: Iterable[str], wakeup: WakeupReader
) -> Generator[Intake]:
    """Open the logs of several receivers, and what is left of earlier ones, to be read; or the topic in their place.

    Args:
        config: The configuration.
        consumers: The names of the cursors.
        wakeup: Tells that a receiver has appended.

    Raises:
        StartError: A log can't be used.
    """
    if config.service.intake.kafka is not None:
        with closing(open_kafka(config.service.intake.kafka)) as topic:
            yield topic
        return
    consumers = tuple(consumers)
    with _as_start_error(), ExitStack() as stack:
        logs: dict[int, FollowedLog] = {}
        for number in range(1, config.service.workers + 1):
            directory = log_directory(config.service.state_dir, number)
            logs[number - 1] = FollowedLog(directory, consumers=consumers, wakeup=wakeup)
            stack.callback(logs[number - 1].close)
        former = _open_former(config, consumers, stack, config.service.workers)
        yield MergedIntake(logs, former=former, consumers=consumers)


def _open_former(
    config: GatewayConfig, consumers: tuple[str, ...], stack: ExitStack, workers: int
) -> dict[int, IntakeLog]:
    former: dict[int, IntakeLog] = {}
    for number in former_numbers(config.service.state_dir, workers):
        former[number - 1] = IntakeLog(
            log_directory(config.service.state_dir, number), consumers=consumers, limits=_limits(config)
        )
        stack.callback(former[number - 1].close)
    return former


def _limits(config: GatewayConfig) -> IntakeLimits:
    return IntakeLimits(config.service.intake.max_size_mib * _MIB, config.service.intake.max_age)


@contextmanager
def _as_start_error() -> Generator[None]:
    try:
        yield
    except IntakeError as error:
        raise StartError(str(error), next_step=error.next_step) from error
