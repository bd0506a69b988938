# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The whole configuration file: its four sections joined."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from runrecord.collector.config.exporters import Exporter, LedgerExporter, OtlpGrpcExporter, OtlpHttpExporter
from runrecord.collector.config.extensions import BearerTokenAuth, Extension, MemoryLimiter
from runrecord.collector.config.processors import GatewayProcessors
from runrecord.collector.config.receivers import Receivers
from runrecord.collector.config.service import Pipeline, Service
from runrecord.exporters.settings_model import Section, or_empty
from runrecord.exporters.settings_yaml import is_mapping
from runrecord.processors.signal import Signal


def _processors() -> GatewayProcessors:
    return GatewayProcessors()


def _service() -> Service:
    return Service()


def _default_exporters() -> dict[str, Exporter]:
    return {"ledger": LedgerExporter()}


class GatewayConfig(Section):
    """The whole file."""

    receivers: Receivers = Receivers()
    processors: GatewayProcessors = Field(default_factory=_processors)
    exporters: dict[str, Exporter] = Field(default_factory=_default_exporters)
    extensions: dict[str, Extension] = Field(default_factory=dict[str, Extension])
    service: Service = Field(default_factory=_service)

    _defaults = field_validator("receivers", "processors", "extensions", "service", mode="before")(or_empty)

    @field_validator("exporters", "extensions", mode="before")
    @classmethod
    def _kind_from_name(cls, value: Any) -> Any:
        """``otlp_http/main`` is an exporter of kind otlp_http with the name main."""
        if not is_mapping(value):
            return value
        found: dict[Any, Any] = {}
        for name, section in value.items():
            found[name] = section
            if section is None or is_mapping(section):
                found[name] = {**(section or {}), "kind": str(name).partition("/")[0]}
        return found

    @property
    def memory_limiter(self) -> MemoryLimiter:
        """The one that is in use."""
        found = (self.extensions.get(name) for name in self.service.extensions)
        return next((each for each in found if isinstance(each, MemoryLimiter)), MemoryLimiter())

    @property
    def authenticators(self) -> dict[str, BearerTokenAuth]:
        """The extensions that say who may send, by name."""
        found = ((name, self.extensions.get(name)) for name in self.service.extensions)
        return {name: each for name, each in found if isinstance(each, BearerTokenAuth)}

    def pipelines_of(self, exporter: str) -> dict[Signal, Pipeline]:
        """Return the pipelines that end in an exporter."""
        return {s: p for s, p in self.service.pipelines.items() if exporter in p.ends()}

    @property
    def ledgers(self) -> dict[str, LedgerExporter]:
        """The ledgers that are used by a pipeline."""
        return {
            name: exporter
            for name, exporter in self.exporters.items()
            if isinstance(exporter, LedgerExporter) and self.pipelines_of(name)
        }

    @property
    def forwarders(self) -> dict[str, OtlpHttpExporter | OtlpGrpcExporter]:
        """The OTLP exporters that are used by a pipeline."""
        return {
            name: exporter
            for name, exporter in self.exporters.items()
            if not isinstance(exporter, LedgerExporter) and self.pipelines_of(name)
        }
