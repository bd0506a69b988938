# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Load a registry: the attributes, signals and metrics of conventions, with every reference resolved.

A registry is a directory with a ``manifest.yaml`` and files in the ``definition/2`` format of the OpenTelemetry registry
tooling (weaver); nothing else lies there, because that tooling reads every YAML file of the directory. What the manifest
names under ``dependencies`` is found by its schema URL among the registries that come with this package (ours, and a
stand-in for the official GenAI conventions), so that no network is needed; or else in the directory ``registry_path``.

Example:
    >>> registry = load_registry()
    >>> registry.attributes["runrecord.decision.outcome"].members[0].value
    'allow'
    >>> registry.official["gen_ai.execute_tool.internal"].operations
    ('execute_tool',)
"""

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

from runrecord.semconv._format import FILE_FORMAT, FILE_KEYS, SECTIONS, parse_attribute
from runrecord.semconv._model import (
    Attribute,
    Instrument,
    Level,
    Member,
    Metric,
    Registry,
    Signal,
    Use,
)
from runrecord.semconv._resolve import Scope, parse_group, resolve_metric, resolve_signal
from runrecord.semconv._yaml import Node, known_keys, load_yaml, nodes, text, texts

__all__ = [
    "PACKAGED",
    "Attribute",
    "Instrument",
    "Level",
    "Member",
    "Metric",
    "Registry",
    "Signal",
    "Use",
    "load_registry",
    "read_registry",
]

_HERE = Path(__file__).parent
PACKAGED = (_HERE / "registry", _HERE / "upstream" / "gen_ai")
"""The registries that come with the package: ours, and what it depends on."""
MANIFEST = "manifest.yaml"
_MANIFEST_KEYS = frozenset({"description", "schema_url", "stability", "dependencies"})
_DEPENDENCY_KEYS = frozenset({"schema_url", "registry_path"})
_SCHEMA_URL = re.compile(r"https?://[^/\s]+(/[^/\s]+)*/[0-9]+(\.[0-9]+)*(-[A-Za-z0-9.]+)?\Z")
_T = TypeVar("_T")


@cache
def load_registry() -> Registry:
    """Load the registry that comes with the package."""
    return read_registry(PACKAGED[0])


def read_registry(directory: Path, packaged: tuple[Path, ...] = PACKAGED) -> Registry:
    """Load a registry together with those that it depends on.

    Args:
        directory: where its manifest and its files lie; files of directories below are read too.
        packaged: directories of registries that a manifest may name by schema URL alone.

    Raises:
        RegistryError: a file is missing, is not YAML or not of the format, or a reference leads nowhere.
    """
    return _read(directory, packaged, ())


def _read(directory: Path, packaged: tuple[Path, ...], within: tuple[str, ...]) -> Registry:
    manifest = load_yaml(directory / MANIFEST)
    known_keys(manifest, _MANIFEST_KEYS, "manifest")
    url = _schema_url(manifest)
    if url in within:
        raise manifest.problem("schema_url", f"the registry depends on itself: {' -> '.join([*within, url])}")
    below = [
        _read(_find(entry, directory, packaged), packaged, (*within, url))
        for entry in nodes(manifest, "dependencies")
    ]
    files = [
        load_yaml(path)
        for path in sorted(directory.rglob("*.y*ml"))
        if path.suffix in (".yaml", ".yml") and path != directory / MANIFEST
    ]
    for file in files:
        known_keys(file, FILE_KEYS, "(file)")
        if file.get("file_format") != FILE_FORMAT:
            raise file.problem("file_format", f"must be {FILE_FORMAT}")
    return _resolve(manifest, url, files, below, _preamble(directory / MANIFEST))


def _preamble(manifest: Path) -> str:
    lines = manifest.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(takewhile(lambda line: line.startswith("#"), lines))


def _schema_url(node: Node) -> str:
    url = text(node, "schema_url")
    if not _SCHEMA_URL.match(url):
        raise node.problem("schema_url", "must be of the form https://HOST/PATH/VERSION, for instance 0.1.0")
    return url


def _find(entry: Node, directory: Path, packaged: tuple[Path, ...]) -> Path:
    """Find the directory of a dependency."""
    known_keys(entry, _DEPENDENCY_KEYS, "dependencies")
    url = _schema_url(entry)
    known = {text(load_yaml(path / MANIFEST), "schema_url"): path for path in packaged}
    if url in known:
        return known[url]
    path = directory / str(entry.get("registry_path", MANIFEST))
    if path.is_dir():
        if (found := _schema_url(load_yaml(path / MANIFEST))) != url:
            raise entry.problem("schema_url", f"is {url}, and what lies in registry_path is {found}")
        return path
    raise entry.problem(
        "schema_url",
        f"{url} does not come with this version of Runrecord, which has {', '.join(known)}; name one of these, or "
        "a directory with the registry as registry_path",
    )


def _resolve(manifest: Node, url: str, files: list[Node], below: list[Registry], preamble: str) -> Registry:
    attributes: dict[str, Attribute] = {}
    for node in _each(files, "attributes"):
        attribute = parse_attribute(node, url)
        _add(attributes, attribute.key, attribute, node, "the attribute is defined twice")
    for registry in below:
        for key, attribute in registry.attributes.items():
            if key in attributes and attributes[key].origin != attribute.origin:
                raise attributes[key].node.problem(key, f"{attribute.origin} defines the attribute already")
            attributes.setdefault(key, attribute)
    groups: dict[str, list[Node]] = {}
    for node in _each(files, "attribute_groups"):
        key, references = parse_group(node)
        _add(groups, key, references, node, "the group is defined twice")
    signals = {
        key: item for registry in below for key, item in {**registry.official, **registry.signals}.items()
    }
    metrics = {
        key: item
        for registry in below
        for key, item in {**registry.official_metrics, **registry.metrics}.items()
    }
    for node in _each(files, "imports", one=True):
        _check_imports(node, signals, metrics)
    # The scope sees what is added below, so that a refinement finds a definition of its own registry.
    scope = Scope(url, attributes, groups, signals, metrics)
    for section in SECTIONS:
        for node in _each(files, section):
            if section.startswith("metric"):
                metric = resolve_metric(section, node, scope)
                _add(metrics, metric.id, metric, node, "the metric is defined twice")
            else:
                signal = resolve_signal(section, node, scope)
                _add(signals, signal.id, signal, node, "the signal is defined twice")
    return Registry(
        schema_url=url,
        description=text(manifest, "description"),
        stability=text(manifest, "stability") if "stability" in manifest else "development",
        attributes=attributes,
        signals={key: item for key, item in signals.items() if not item.official},
        metrics={key: item for key, item in metrics.items() if not item.official},
        official={key: item for key, item in signals.items() if item.official},
        official_metrics={key: item for key, item in metrics.items() if item.official},
        preamble=preamble,
    )


def _each(files: list[Node], section: str, *, one: bool = False) -> Iterator[Node]:
    for file in files:
        if not one:
            yield from nodes(file, section)
        elif section in file:
            if not isinstance(file[section], Node):
                raise file.problem(section, "must be a mapping")
            yield file[section]


def _add(known: dict[str, _T], key: str, item: _T, node: Node, problem: str) -> None:
    if key in known:
        raise node.problem(key, problem)
    known[key] = item


def _check_imports(node: Node, signals: Mapping[str, Signal], metrics: Mapping[str, Metric]) -> None:
    """Check that every wildcard matches something; what a registry depends on is there without being imported."""
    known = {
        "spans": [key for key, signal in signals.items() if signal.form == "span" and not signal.ref],
        "events": [key for key, signal in signals.items() if signal.form == "event" and not signal.ref],
        "metrics": [key for key, metric in metrics.items() if not metric.ref],
    }
    known_keys(node, frozenset(known), "imports")
    for section, names in known.items():
        for pattern in texts(node, section) if section in node else ():
            if not any(fnmatchcase(name, pattern) for name in names):
                raise node.problem(f"imports.{section}", f"{pattern} matches nothing", at=section)
