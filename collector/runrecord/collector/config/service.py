# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`service:` of the configuration: which parts are used, and how."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticKnownError

from runrecord.collector.config.kafka import Kafka
from runrecord.collector.telemetry_config import Telemetry
from runrecord.collector.values import FilePath, HeaderName, Seconds
from runrecord.exporters.settings_model import Section, or_empty
from runrecord.processors.redaction.policy import Whole
from runrecord.processors.signal import Signal
from runrecord.semconv.commitment import state_dir

_Exporters = Annotated[tuple[str, ...], Field(min_length=1)]


class Routing(Section):
    """Exporters by tenant, as the collector's routing connector has pipelines by tenant.

    Attributes:
        resource_attribute: The resource attribute that names the tenant; a request with several is cut between resources.
        header: The header (HTTP) or the metadata key (gRPC) that does, for a request as a whole. One of both must be set.
        table: The exporters of each tenant.
        default: Those of any other tenant and of none; without it, that is refused.
    """

    resource_attribute: str | None = Field(default=None, min_length=1)
    header: HeaderName | None = None
    table: dict[Annotated[str, Field(min_length=1)], _Exporters] = Field(min_length=1)
    default: _Exporters | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Routing:
        if (self.resource_attribute is None) == (self.header is None):
            raise ValueError("set resource_attribute or header, and only one of them")
        return self

    @property
    def what(self) -> str:
        """What names the tenant, in words."""
        return (
            f"its header {self.header}"
            if self.header
            else f"its resource attribute {self.resource_attribute}"
        )

    def route(self, tenant: str | None) -> str | None:
        """Return the key of a tenant in the table; empty for the default, None if there is no way."""
        if tenant is not None and tenant in self.table:
            return tenant
        return None if self.default is None else ""


class Pipeline(Section):
    """The way of one signal. Redaction comes first, always; a policy without packs and keys is how to say "none".

    Attributes:
        receivers: Where it begins.
        processors: What it goes through.
        routing: Exporters by tenant, besides `exporters`.
        exporters: Where all of it ends; may be empty where there is a routing.
    """

    receivers: tuple[str, ...] = Field(default=("otlp",), min_length=1)
    processors: tuple[str, ...] = ("redaction",)
    routing: Routing | None = None
    exporters: tuple[str, ...]

    @field_validator("exporters")
    @classmethod
    def _one_at_least(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not value and info.data.get("routing", ...) is None:
            context = {"field_type": "Tuple", "min_length": 1, "actual_length": 0}
            raise PydanticKnownError("too_short", context)
        return value

    def way_out(self) -> str:
        """Say in words where it ends, for each tenant."""
        ways = [", ".join(self.exporters)] if self.exporters else []
        if self.routing is not None:
            table = {key: ", ".join(names) for key, names in self.routing.table.items()}
            table["others"] = ", ".join(self.routing.default) if self.routing.default else "refused"
            routes = ", ".join(f"{tenant}: {names}" for tenant, names in table.items())
            ways.append(f"by {self.routing.what.removeprefix('its ')} ({routes})")
        return "; ".join(ways)

    def ends(self, route: str | None = None) -> set[str]:
        """Return the exporters in which it ends.

        Args:
            route: Of one record, as `Routing.route` names it; None for all routes.
        """
        if self.routing is None:
            return set(self.exporters)
        default, table = self.routing.default or (), self.routing.table
        routed = [*default, *chain(*table.values())] if route is None else table.get(route, default)
        return {*self.exporters, *routed}


class Intake(Section):
    """The intake log, its limits, and what can take its place.

    Attributes:
        kafka: A topic in its place; `max_age` is then for the topic to say.
        max_size_mib: Above it new requests are refused, retryable. The quarantine of each exporter may grow to it too.
        max_age: Refuse as well while a consumer is so many seconds behind; none by default.
    """

    max_size_mib: Whole = Field(default=4096, ge=1)
    max_age: Seconds | None = None
    kafka: Kafka | None = None


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
        extensions: Those of the section ``extensions`` that are in use.
        pipelines: For each signal the parts it goes through; a signal without one is refused.
        telemetry: What the gateway tells about itself.
        workers: How many processes receive; with more than one there is another that consumes, and a supervisor.
        drain_timeout: Seconds that consumers have to catch up when the gateway is told to stop.
    """

    state_dir: FilePath = Field(default_factory=default_state_dir)
    intake: Intake = Intake()
    extensions: tuple[str, ...] = ()
    pipelines: dict[Signal, Pipeline] = Field(default_factory=_default_pipelines, min_length=1)
    telemetry: Telemetry = Telemetry()
    workers: Whole = Field(default=1, ge=1, le=64)
    drain_timeout: Seconds = Field(default=10.0, ge=0)

    _defaults = field_validator("intake", "telemetry", mode="before")(or_empty)
