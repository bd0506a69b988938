# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where a running gateway listens, in one process or in several."""

from __future__ import annotations

from dataclasses import dataclass

from runrecord.collector.values import HostPort


@dataclass(frozen=True)
class Bound:
    """Where a running gateway listens; None for what is off.

    Attributes:
        grpc: OTLP over gRPC.
        http: OTLP over HTTP.
        metrics: Prometheus.
        health: Health.
    """

    grpc: HostPort | None = None
    http: HostPort | None = None
    metrics: HostPort | None = None
    health: HostPort | None = None
