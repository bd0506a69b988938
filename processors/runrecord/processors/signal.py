# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The three signals whose serialised export requests the processors work on."""

from __future__ import annotations

from enum import Enum


class Signal(str, Enum):
    """An OTLP signal; the value is the word of the OTLP/HTTP path ``/v1/<value>``."""

    TRACES = "traces"
    LOGS = "logs"
    METRICS = "metrics"
