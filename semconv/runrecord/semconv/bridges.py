# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The table of upstream bridges: what of ours corresponds to which open proposal, and how it is said there."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import cast

from runrecord.semconv._yaml import Node, known_keys, load_yaml, nodes, prose, text, texts
from runrecord.semconv.preview import Preview
from runrecord.semconv.registry import Registry

__all__ = ["Bridge", "Bridges", "load_bridges", "previews_module"]

_FILE = Path(__file__).parent / "upstream" / "bridges.yaml"
_PREVIEW_KEYS = frozenset({"of", "event", "when", "attributes", "constants", "values"})
STATUSES = ("open", "draft", "merged", "closed")


@dataclass(frozen=True)
class Bridge:
    """One correspondence. ``upstream`` names may end in ``.*``; ``number`` is the thread in the upstream repository.

    ``preview`` is None where the proposal has no shape that can be said without loss.
    """

    ours: tuple[str, ...]
    upstream: tuple[str, ...]
    number: int
    status: str
    remark: str
    preview: Preview | None = None


@dataclass(frozen=True)
class Bridges:
    """All correspondences, as their threads stood on ``as_of``, an ISO 8601 date."""

    as_of: str
    repository: str
    entries: tuple[Bridge, ...]


def load_bridges(registry: Registry, path: Path = _FILE) -> Bridges:
    """Load the table and check it against the registry.

    Raises:
        RegistryError: the file is wrong, or names an attribute or event that the registry does not have.
    """
    known = {*registry.attributes, *registry.signals}
    top = load_yaml(path)
    entries: list[Bridge] = []
    for node in nodes(top, "bridges"):
        ours = texts(node, "ours")
        for name in ours:
            if name not in known:
                raise node.problem(name, "the registry has no such attribute, event or span")
        number, status = node.get("number"), text(node, "status")
        if not isinstance(number, int):
            raise node.problem("number", "must be the number of the upstream thread")
        if status not in STATUSES:
            raise node.problem("status", f"must be one of {', '.join(STATUSES)}")
        preview = _preview(_mapping(node, "preview"), number, status, known) if "preview" in node else None
        entries.append(Bridge(ours, texts(node, "upstream"), number, status, text(node, "remark"), preview))
    return Bridges(text(top, "as_of"), text(top, "repository"), tuple(entries))


def _preview(node: Node, number: int, status: str, known: set[str]) -> Preview:
    known_keys(node, _PREVIEW_KEYS, "preview")
    given = _mapping(node, "values")
    values: dict[str, Mapping[str, str]] = {name: _texts(given, name) for name in given}
    preview = Preview(
        number=number,
        merged=status == "merged",
        of=text(node, "of"),
        event=prose(node, "event"),
        when=_texts(node, "when"),
        attributes=_texts(node, "attributes"),
        constants=_texts(node, "constants"),
        values=values,
    )
    for name in (preview.of, *preview.when, *preview.attributes, *preview.values):
        if name not in known:
            raise node.problem(name, "the registry has no such attribute, event or span")
    return preview


def _mapping(node: Node, key: str) -> Node:
    value = node.get(key, Node())
    if not isinstance(value, Node):
        raise node.problem(key, "must be a mapping")
    return value


def _texts(node: Node, key: str) -> dict[str, str]:
    value = _mapping(node, key)
    if not all(isinstance(item, str) for item in value.values()):
        raise node.problem(key, "must be a mapping of texts")
    return dict(value)


def previews_module(bridges: Bridges, header: str) -> str:
    """Write the module with the previews, which need neither YAML nor the registry when they are used."""
    parts = [
        header,
        '"""How what we say is said in the upstream proposals; see ``upstream/bridges.yaml``."""\n\n',
        "from typing import Final\n\nfrom runrecord.semconv.preview import Preview\n\n",
        '__all__ = ["PREVIEWS"]\n\n',
        "PREVIEWS: Final[tuple[Preview, ...]] = (\n",
    ]
    for preview in (bridge.preview for bridge in bridges.entries if bridge.preview is not None):
        parts.append("    Preview(\n")
        for item in fields(preview):
            value = getattr(preview, item.name)
            if value or item.name == "merged":
                parts.append(f"        {item.name}={_literal(value, 2)},\n")
        parts.append("    ),\n")
    parts.append(')\n"""One for each row of the table that has a preview."""\n')
    return "".join(parts)


def _literal(value: object, depth: int) -> str:
    if not isinstance(value, dict):
        return json.dumps(value) if isinstance(value, str) else repr(value)
    inner = "    " * (depth + 1)
    items = cast("dict[str, object]", value).items()
    lines = [f"{inner}{json.dumps(name)}: {_literal(item, depth + 1)},\n" for name, item in items]
    return "".join(["{\n", *lines, "    " * depth, "}"])
