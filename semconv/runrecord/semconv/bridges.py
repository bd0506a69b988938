# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Load the table of upstream bridges: what of ours corresponds to which open proposal."""

from dataclasses import dataclass
from pathlib import Path

from runrecord.semconv._yaml import load_yaml, nodes, text, texts
from runrecord.semconv.registry import Registry

__all__ = ["Bridge", "Bridges", "load_bridges"]

_FILE = Path(__file__).parent / "upstream" / "bridges.yaml"
STATUSES = ("open", "draft", "merged", "closed")


@dataclass(frozen=True)
class Bridge:
    """One correspondence. ``upstream`` names may end in ``.*``; ``number`` is the thread in the upstream repository."""

    ours: tuple[str, ...]
    upstream: tuple[str, ...]
    number: int
    status: str
    remark: str


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
                raise node.problem(name, "the registry has no such attribute or event")
        number, status = node.get("number"), text(node, "status")
        if not isinstance(number, int):
            raise node.problem("number", "must be the number of the upstream thread")
        if status not in STATUSES:
            raise node.problem("status", f"must be one of {', '.join(STATUSES)}")
        entries.append(Bridge(ours, texts(node, "upstream"), number, status, text(node, "remark")))
    return Bridges(text(top, "as_of"), text(top, "repository"), tuple(entries))
