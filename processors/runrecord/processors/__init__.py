# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Processors over serialised OTLP export requests: the same in an application and in the gateway."""

from __future__ import annotations

from runrecord.processors.errors import (
    CompatError,
    ContentStoreError,
    EngineUnavailableError,
    PolicyError,
    ProcessorError,
    ProjectionError,
    QuarantineError,
    RedactionError,
)
from runrecord.processors.signal import Signal

__all__ = [
    "CompatError",
    "ContentStoreError",
    "EngineUnavailableError",
    "PolicyError",
    "ProcessorError",
    "ProjectionError",
    "QuarantineError",
    "RedactionError",
    "Signal",
]
