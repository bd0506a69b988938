# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`processors:` of the gateway's configuration: those that an app has too, and tail sampling."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from runrecord.collector.values import Number, Seconds
from runrecord.exporters.settings_model import Processors, Section, or_empty
from runrecord.processors.redaction.policy import Whole


class TailSampling(Section):
    """Which runs back ends get; the ledger gets all.

    Attributes:
        sampling_percentage: The share of all traces that is kept whatever is in them; which ones, follows from their ids.
        keep: What makes a run be kept whole besides.
        decision_wait: Seconds of silence after the end of a run before it is decided, for spans that come late.
        max_wait: Seconds of silence after which a run that has not ended is decided all the same.
        max_waiting_mib: Disk for runs that are not decided; beyond it those that were silent for longest are.
    """

    sampling_percentage: Number = Field(default=10.0, ge=0, le=100)
    keep: tuple[Literal["denial", "approval", "error", "budget", "escalation"], ...] = (
        "denial",
        "approval",
        "error",
        "budget",
        "escalation",
    )
    decision_wait: Seconds = Field(default=30.0, gt=0)
    max_wait: Seconds = Field(default=7 * 86400.0, gt=0)
    max_waiting_mib: Whole = Field(default=1024, ge=1)


class GatewayProcessors(Processors):
    """All processors of the gateway."""

    tail_sampling: TailSampling | None = None

    _tail_sampling = field_validator("tail_sampling", mode="before")(or_empty)
