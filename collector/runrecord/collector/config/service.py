# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`service:` of the configuration: which parts are used, and how."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from runrecord.collector.telemetry_config import Telemetry
from runrecord.collector.values import FilePath, Seconds
from runrecord.exporters.settings_model import Section, or_empty
from runrecord.processors.redaction.policy import Whole
from runrecord.processors.signal import Signal
from runrecord.semconv.commitment import state_dir


class Pipeline(Section):
    """The way of one signal. Redaction comes first, always; a policy without packs and keys is how to say "none"."""

    receivers: tuple[str, ...] = Field(default=("otlp",), min_length=1)
    processors: tuple[str, ...] = ("redaction",)
    exporters: tuple[str, ...] = Field(min_length=1)


class Intake(Section):
    """Limits of the intake log.

    Attributes:
        max_size_mib: Above it new requests are refused, retryable. The quarantine of each exporter may grow to it too.
        max_age: Refuse as well while a consumer is so many seconds behind; none by default.
    """

    max_size_mib: Whole = Field(default=4096, ge=1)
    max_age: Seconds | None = None


def default_state_dir() -> Path:
    """Where the intake log is if nobody says so."""
    return state_dir() / "gateway"


def _default_pipelines() -> dict[Signal, Pipeline]:
    return {signal: Pipeline(exporters=("ledger",)) for signal in (Signal.TRACES, Signal.LOGS)}


class Service(Section):
    """Which parts are used, and how.

    Attributes:
        state_dir: The intake log is under it.
        intake: Its limits.
        pipelines: For each signal the parts it goes through; a signal without one is refused.
        telemetry: What the gateway tells about itself.
        drain_timeout: Seconds that consumers have to catch up when the gateway is told to stop.
    """

    state_dir: FilePath = Field(default_factory=default_state_dir)
    intake: Intake = Intake()
    pipelines: dict[Signal, Pipeline] = Field(default_factory=_default_pipelines, min_length=1)
    telemetry: Telemetry = Telemetry()
    drain_timeout: Seconds = Field(default=10.0, ge=0)

    _defaults = field_validator("intake", "telemetry", mode="before")(or_empty)
