# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a program declares of its runs and tools, in the places that an SDK has for metadata."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypedDict, cast

from runrecord.instrumentation._versions import VERSIONS, Versions
from runrecord.semconv import attributes as a

_NAMES: Final = {
    "effect": a.SIDE_EFFECT_TYPE,
    "target": a.SIDE_EFFECT_TARGET,
    "reversible": a.SIDE_EFFECT_REVERSIBLE,
    "read_only": a.TOOL_READ_ONLY,
    "destructive": a.TOOL_DESTRUCTIVE,
    "idempotent": a.TOOL_IDEMPOTENT,
    "open_world": a.TOOL_OPEN_WORLD,
}
_TEXTS: Final = {a.SIDE_EFFECT_TYPE: "effect", a.SIDE_EFFECT_TARGET: "target"}
_FLAGS: Final = {
    a.SIDE_EFFECT_REVERSIBLE: "reversible",
    "readOnlyHint": "read_only",
    "destructiveHint": "destructive",
    "idempotentHint": "idempotent",
    "openWorldHint": "open_world",
    a.TOOL_READ_ONLY: "read_only",
    a.TOOL_DESTRUCTIVE: "destructive",
    a.TOOL_IDEMPOTENT: "idempotent",
    a.TOOL_OPEN_WORLD: "open_world",
}


def get(value: object, name: str) -> Any:
    """Return a member of what may be an object or a mapping; None without it."""
    kind: type[Any] = type(value)
    if is_mapping(kind):  # type: ignore[arg-type]  # a class can be hashed
        return cast("Mapping[str, Any]", value).get(name)
    return getattr(value, name, None)


@lru_cache(maxsize=1024)
def is_mapping(kind: type[Any]) -> bool:
    """Say whether ``kind`` is a mapping: for where that is asked often, since to ask the abstract class is slow."""
    return issubclass(kind, Mapping)


def text(value: object) -> str | None:
    """Return ``value`` if it is a text that says something."""
    return value if isinstance(value, str) and value else None


def mapping(value: object) -> Mapping[str, Any]:
    """Return ``value`` if it is a mapping, else an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


class Hints(TypedDict, total=False):
    """What a tool declares of its effects, as arguments of ``recorder.tool``."""

    effect: str
    target: str
    reversible: bool
    read_only: bool
    destructive: bool
    idempotent: bool
    open_world: bool


def hints_in(*places: object) -> Hints:
    """Read the metadata of a tool, of which a later place wins: MCP's four hints, and ours under our attribute names."""
    hints: dict[str, object] = {}
    for place in places:
        for name, value in mapping(place).items():
            if name in _TEXTS and isinstance(value, str):
                hints[_TEXTS[name]] = value
            elif name in _FLAGS and isinstance(value, bool):
                hints[_FLAGS[name]] = value
    return cast("Hints", hints)


def as_attributes(hints: Hints) -> dict[str, str | bool]:
    """Return hints as attributes."""
    return {_NAMES[name]: cast("str | bool", value) for name, value in hints.items()}


@dataclass(frozen=True)
class Policy:
    """The policy behind a function of the application: a guardrail, a validator, a middleware, a rule that asks a person."""

    policy_id: str
    version: str | None = None
    rule: str | None = None


def policy_of(function: object, name: str) -> Policy:
    """Read ``policy_id``, ``policy_version`` and ``policy_rule`` of a function; its policy is ``name`` without them."""
    return Policy(
        text(get(function, "policy_id")) or name,
        text(get(function, "policy_version")),
        text(get(function, "policy_rule")),
    )


@dataclass(frozen=True)
class Settings:
    """What a run says of itself under our attribute names; a text that says nothing is left out."""

    _said: Mapping[str, str]

    @classmethod
    def of(cls, metadata: object) -> "Settings":
        """Read the metadata of a run."""
        known = cast("Mapping[object, object]", mapping(metadata)).items()
        return cls({k: v for k, v in known if isinstance(k, str) and isinstance(v, str) and v})

    def __getitem__(self, name: str) -> str | None:
        """Return one setting."""
        return self._said.get(name)

    @property
    def versions(self) -> Versions:
        """What is in force."""
        found = {part: self._said[name] for part, name in VERSIONS.items() if name in self._said}
        return cast("Versions", found)
