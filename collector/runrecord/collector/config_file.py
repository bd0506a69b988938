# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""From a file to a configuration, or to every problem in it: with line, column, key and the nearest valid key."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from runrecord.collector.config import GatewayConfig, Pipeline
from runrecord.collector.config.protection import file_faults, protection_faults
from runrecord.collector.errors import ConfigError
from runrecord.collector.values import parse_address
from runrecord.exporters.settings_problems import nearest, policy_problems, validate
from runrecord.exporters.settings_yaml import Document, Problem, is_mapping, load_yaml, read_yaml
from runrecord.processors.signal import Signal

_RECEIVERS = ("otlp",)
_PROCESSORS = ("redaction", "compat", "tail_sampling")


def load_config(path: str | Path, *, environment: Mapping[str, str] | None = None) -> GatewayConfig:
    """Read a configuration file.

    Args:
        path: A YAML file in the collector's shape.
        environment: Where ``${env:NAME}`` looks; the process's environment by default.

    Returns:
        The configuration.

    Raises:
        ConfigError: The file can't be read or is wrong; it carries every problem found.
    """
    document = load_yaml(path, os.environ if environment is None else environment)
    return _config_of(document, Path(path))


def parse_config(
    text: str, *, path: Path | None = None, environment: Mapping[str, str] | None = None
) -> GatewayConfig:
    """Read a configuration from text.

    Args:
        text: YAML.
        path: The name of the file, for messages.
        environment: Where ``${env:NAME}`` looks; empty by default.

    Returns:
        The configuration.

    Raises:
        ConfigError: It is wrong.
    """
    return _config_of(read_yaml(text, environment or {}), path)


def _config_of(document: Document, path: Path | None) -> GatewayConfig:
    if document.problems:
        raise ConfigError(path, document.problems)
    if document.value is not None and not is_mapping(document.value):
        message = "must be a mapping with receivers, processors, exporters and service"
        raise ConfigError(path, [Problem(message, line=1, column=1)])
    config, problems = validate(GatewayConfig, document)
    if config is not None:
        problems += [*check_references(config, document), *_check_files(config, document)]
        if not problems:
            return config
    raise ConfigError(path, problems)


# -- what goes beyond one key --------------------------------------------------------------------------------------


def check_references(config: GatewayConfig, document: Document | None = None) -> list[Problem]:
    """Check what one key alone can't show: names in pipelines, addresses and directories used twice.

    Args:
        config: A valid configuration.
        document: The file it is from, for places.

    Returns:
        The problems.
    """
    found = _References(document or Document())
    if "pipelines" not in config.service.model_fields_set and "ledger" not in config.exporters:
        example = next(iter(config.exporters), "ledger")
        message = f"is required to use these exporters, for example {{traces: {{exporters: [{example}]}}}}"
        found.add(message, "service", "pipelines")
        return found.problems
    for signal, pipeline in config.service.pipelines.items():
        found.pipeline(config, signal, pipeline)
    for fault in protection_faults(config):
        found.add(fault.message, *fault.path, near=fault.near)
    for name in (name for name, exporter in config.forwarders.items() if exporter.stamp_ledger):
        if config.service.intake.kafka is not None:
            message = "is not available with service.intake.kafka: the ledger may be in another process"
            found.add(message, "exporters", name, "stamp_ledger")
        elif not config.ledgers:
            found.add("needs a ledger in a pipeline", "exporters", name, "stamp_ledger")
    for first, second in _twice(_addresses(config)):
        found.add(f"{'.'.join(first)} has the same address", *second)
    places = ((item.where, ("exporters", name)) for name, item in config.ledgers.items())
    for first, second in _twice(places):
        key = "directory" if config.ledgers[second[-1]].store is None else "store"
        found.add(f"{'.'.join(first)} has the same {key}", *second, key)
    return found.problems


def _check_files(config: GatewayConfig, document: Document) -> list[Problem]:
    """Check what the file names outside of itself, as the gateway would when it starts: rules, and certificates."""
    problems = policy_problems(config.processors.redaction, document)
    problems += [document.problem(fault.path, fault.message) for fault in file_faults(config)]
    return problems


class _References:
    def __init__(self, document: Document) -> None:
        self._document = document
        self.problems: list[Problem] = []

    def add(self, message: str, *path: str | int, near: str = "") -> None:
        self.problems.append(self._document.problem(path, message, near))

    def pipeline(self, config: GatewayConfig, signal: Signal, pipeline: Pipeline) -> None:
        here = ("service", "pipelines", signal.value)
        self._names((*here, "receivers"), pipeline.receivers, "receivers", _RECEIVERS)
        self._names((*here, "processors"), pipeline.processors, "processors", _PROCESSORS)
        self._names((*here, "exporters"), pipeline.exporters, "exporters", config.exporters)
        if (routing := pipeline.routing) is not None:
            for tenant, names in routing.table.items():
                self._names((*here, "routing", "table", tenant), names, "exporters", config.exporters)
            self._names((*here, "routing", "default"), routing.default or (), "exporters", config.exporters)
        if "compat" in pipeline.processors and config.processors.compat is None:
            self.add("compat is not configured under processors", *here, "processors")
        if "tail_sampling" in pipeline.processors:
            if config.processors.tail_sampling is None:
                self.add("tail_sampling is not configured under processors", *here, "processors")
            if signal is not Signal.TRACES:
                self.add("tail_sampling is for traces only", *here, "processors")
        if pipeline.processors[:1] != ("redaction",):
            self.add(
                "redaction must be the first processor: nothing is stored or sent before it",
                *here,
                "processors",
            )

    def _names(self, path: tuple[str, ...], names: Sequence[str], kind: str, known: Collection[str]) -> None:
        for index, name in enumerate(names):
            if name not in known:
                self.add(f"there is no {name!r} under {kind}", *path, index, near=nearest(name, known))
            elif name in names[:index]:
                self.add(f"{name!r} is here a second time", *path, index)


def _addresses(config: GatewayConfig) -> Iterator[tuple[str, tuple[str, ...]]]:
    protocols, telemetry = config.receivers.otlp.protocols, config.service.telemetry
    listeners = (
        (protocols.grpc and protocols.grpc.endpoint, ("receivers", "otlp", "protocols", "grpc", "endpoint")),
        (protocols.http and protocols.http.endpoint, ("receivers", "otlp", "protocols", "http", "endpoint")),
        (telemetry.metrics and telemetry.metrics.address, ("service", "telemetry", "metrics", "address")),
        (telemetry.health and telemetry.health.endpoint, ("service", "telemetry", "health", "endpoint")),
    )
    for address, path in listeners:
        if address and parse_address(address).port:
            yield address, path


def _twice(items: Iterable[tuple[str, tuple[str, ...]]]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    seen: dict[str, tuple[str, ...]] = {}
    for value, path in items:
        if value in seen:
            yield seen[value], path
        seen.setdefault(value, path)
