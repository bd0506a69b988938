# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""From a file to a configuration, or to every problem in it: with line, column, key and the nearest valid key."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from runrecord.collector.config import EXPORTER_KINDS, GatewayConfig, Pipeline
from runrecord.collector.errors import ConfigError, Problem
from runrecord.collector.values import is_mapping, parse_address
from runrecord.collector.yaml_marks import Document, read_yaml
from runrecord.processors.signal import Signal

Location = tuple[str | int, ...]

_UNKNOWN_KEY = re.compile(r"unknown key '([^']+)'")  # a section that checks its own keys says so
_RECEIVERS = ("otlp",)
_PROCESSORS = ("redaction", "compat")


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
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(path, [Problem(f"can't be read ({error.strerror})")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError(path, [Problem("is not UTF-8 text")]) from error
    return parse_config(text, path=path, environment=os.environ if environment is None else environment)


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
    document = read_yaml(text, environment or {})
    problems = list(document.problems)
    config: GatewayConfig | None = None
    value: Any = {} if document.value is None else document.value
    if not problems and not is_mapping(value):
        problems.append(
            Problem("must be a mapping with receivers, processors, exporters and service", line=1, column=1)
        )
    if not problems:
        try:
            config = GatewayConfig.model_validate(value)
        except ValidationError as error:
            problems += _translate(error, document)
        else:
            problems += check_references(config, document)
    if problems or config is None:
        raise ConfigError(path, problems)
    return config


# -- what pydantic found -------------------------------------------------------------------------------------------


def _translate(error: ValidationError, document: Document) -> Iterator[Problem]:
    for found in error.errors(include_url=False, include_input=False, include_context=False):
        path = tuple(_in_file(found["loc"], document))
        line, column = document.place(path)
        kind, message, nearest = found["type"], found["msg"], ""
        if kind == "extra_forbidden":
            valid = sorted(_keys_at(GatewayConfig, path[:-1], document.value))
            nearest = _nearest(str(path[-1]), valid)
            message = f"unknown key; valid here: {', '.join(valid)}"
        elif kind == "union_tag_invalid":
            name, _, rest = str(path[-1]).partition("/")
            best = _nearest(name, EXPORTER_KINDS)
            nearest = best and (f"{best}/{rest}" if rest else best)
            message = f"unknown kind of exporter; there are {', '.join(EXPORTER_KINDS)}"
        elif found["loc"][-1] == "[key]":
            nearest = _nearest(str(path[-1]), [signal.value for signal in Signal])
            message = f"unknown signal; there are {', '.join(signal.value for signal in Signal)}"
        elif kind == "missing":
            path = (*path, str(found["loc"][-1]))
            message = "is required"
        else:
            if (unknown := _UNKNOWN_KEY.search(message)) and (*path, unknown[1]) in document.keys:
                path = (*path, unknown[1])
                line, column = document.place(path)
            message = message.removeprefix("Value error, ").removeprefix("Input ")
        yield Problem(message, ".".join(map(str, path)), line, column, nearest)


def _in_file(location: Location, document: Document) -> Iterator[str | int]:
    """Leave out what pydantic adds to a location: the tags of unions, ``[key]``."""
    path: Location = ()
    for part in location:
        if (*path, part) in document.keys:
            path = (*path, part)
            yield part


def _keys_at(model: Any, path: Location, value: Any) -> Iterable[str]:
    """List the keys that are valid in the mapping at a path."""
    if get_origin(model) is Annotated:
        return _keys_at(get_args(model)[0], path, value)
    if get_origin(model) in {Union, UnionType}:
        options = [option for option in get_args(model) if _fits(option, value)]
        return [key for option in options for key in _keys_at(option, path, value)]
    if get_origin(model) in {dict, list, tuple} and path:
        return _keys_at(
            get_args(model)[-1 if get_origin(model) is dict else 0], path[1:], _get(value, path[0], model)
        )
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    if not path:
        return [name for name in fields if name != "kind"]
    return _keys_at(fields.get(str(path[0])), path[1:], _get(value, path[0], model))


def _get(value: Any, key: str | int, model: Any) -> Any:
    found = _mapping(value).get(key)
    if get_origin(model) is dict and is_mapping(found):  # exporters: the kind is in the name
        return {**_mapping(found), "kind": str(key).partition("/")[0]}
    return found


def _fits(option: Any, value: Any) -> bool:
    """Choose the option of a union that the `kind` of a mapping asks for."""
    if isinstance(option, type) and issubclass(option, BaseModel) and "kind" in option.model_fields:
        return _mapping(value).get("kind") in {None, option.model_fields["kind"].default}
    return True


def _mapping(value: Any) -> dict[Any, Any]:
    return value if is_mapping(value) else {}


def _nearest(name: str, valid: Iterable[str]) -> str:
    return next(iter(get_close_matches(name, list(valid), n=1, cutoff=0.5)), "")


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
    for signal, pipeline in config.service.pipelines.items():
        found.pipeline(config, signal, pipeline)
    if config.processors.redaction.on_error == "quarantine":
        message = "quarantine is not available in the gateway in this version; use reject or mask_all"
        found.add(message, "processors", "redaction", "on_error")
    for first, second in _twice(_addresses(config)):
        found.add(f"{'.'.join(first)} has the same address", *second)
    directories = (
        (str(item.directory.absolute()), ("exporters", name)) for name, item in config.ledgers.items()
    )
    for first, second in _twice(directories):
        found.add(f"{'.'.join(first)} has the same directory", *second, "directory")
    return found.problems


class _References:
    def __init__(self, document: Document) -> None:
        self._document = document
        self.problems: list[Problem] = []

    def add(self, message: str, *path: str | int, nearest: str = "") -> None:
        line, column = self._document.place(path)
        self.problems.append(Problem(message, ".".join(map(str, path)), line, column, nearest))

    def pipeline(self, config: GatewayConfig, signal: Signal, pipeline: Pipeline) -> None:
        here = ("service", "pipelines", signal.value)
        self._names(here, "receivers", pipeline.receivers, _RECEIVERS)
        self._names(here, "processors", pipeline.processors, _PROCESSORS)
        self._names(here, "exporters", pipeline.exporters, tuple(config.exporters))
        if "compat" in pipeline.processors and config.processors.compat is None:
            self.add("compat is not configured under processors", *here, "processors")
        if pipeline.processors[:1] != ("redaction",):
            self.add(
                "redaction must be the first processor: nothing is stored or sent before it",
                *here,
                "processors",
            )

    def _names(self, here: tuple[str, ...], kind: str, names: Sequence[str], known: Sequence[str]) -> None:
        for index, name in enumerate(names):
            if name not in known:
                self.add(
                    f"there is no {name!r} under {kind}", *here, kind, index, nearest=_nearest(name, known)
                )
            elif name in names[:index]:
                self.add(f"{name!r} is here a second time", *here, kind, index)


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
