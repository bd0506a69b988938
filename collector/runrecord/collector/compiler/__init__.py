# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The configuration of the gateway as that of a stock OpenTelemetry Collector, and a report of what that can't express."""

from runrecord.collector.compiler.otelcol import Compiled, compile_otelcol
from runrecord.collector.compiler.report import Difference, Effect, Report

__all__ = ["Compiled", "Difference", "Effect", "Report", "compile_otelcol"]
