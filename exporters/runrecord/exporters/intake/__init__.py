# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The intake log: redacted requests, durable before they are acknowledged, read by named consumers."""

from runrecord.exporters.errors import (
    IntakeCorrupt,
    IntakeError,
    IntakeFull,
    IntakeLocked,
    IntakeStopped,
    IntakeTooLarge,
    IntakeUnusable,
)
from runrecord.exporters.intake.frame import IntakeRecord
from runrecord.exporters.intake.log import IntakeLimits, IntakeLog
from runrecord.exporters.intake.protocols import Intake, IntakeSource, IntakeWriter
from runrecord.exporters.intake.reader import Consumer

__all__ = [
    "Consumer",
    "Intake",
    "IntakeCorrupt",
    "IntakeError",
    "IntakeFull",
    "IntakeLimits",
    "IntakeLocked",
    "IntakeLog",
    "IntakeRecord",
    "IntakeSource",
    "IntakeStopped",
    "IntakeTooLarge",
    "IntakeUnusable",
    "IntakeWriter",
]
