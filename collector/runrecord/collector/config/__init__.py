# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The configuration of the gateway: the collector's own shape, and nothing in it that would not be used."""

from runrecord.collector.config.exporters import (
    Batch,
    Exporter,
    LedgerExporter,
    OtlpGrpcExporter,
    OtlpHttpExporter,
    Retry,
    SendingQueue,
    default_ledger,
)
from runrecord.collector.config.extensions import Auth, BearerTokenAuth, Extension, MemoryLimiter
from runrecord.collector.config.gateway import GatewayConfig
from runrecord.collector.config.processors import GatewayProcessors, TailSampling
from runrecord.collector.config.receivers import (
    MIB,
    GrpcServer,
    HttpServer,
    OtlpReceiver,
    Protocols,
    Receivers,
)
from runrecord.collector.config.service import Intake, Pipeline, Routing, Service, default_state_dir
from runrecord.collector.config.tls import ClientTls, ServerTls

__all__ = [
    "MIB",
    "Auth",
    "Batch",
    "BearerTokenAuth",
    "ClientTls",
    "Exporter",
    "Extension",
    "GatewayConfig",
    "GatewayProcessors",
    "GrpcServer",
    "HttpServer",
    "Intake",
    "LedgerExporter",
    "MemoryLimiter",
    "OtlpGrpcExporter",
    "OtlpHttpExporter",
    "OtlpReceiver",
    "Pipeline",
    "Protocols",
    "Receivers",
    "Retry",
    "Routing",
    "SendingQueue",
    "ServerTls",
    "Service",
    "TailSampling",
    "default_ledger",
    "default_state_dir",
]
