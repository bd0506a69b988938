# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Marking an activity as a tool of the agent."""

from collections.abc import Callable
from typing import Any, TypeVar

from runrecord.semconv import attributes as a

HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
"""MCP's hints, by the names that tool metadata has for them everywhere."""

_F = TypeVar("_F", bound=Callable[..., Any])


def tool(
    *,
    effect: str | None = None,
    target: str | None = None,
    reversible: bool | None = None,
    read_only: bool | None = None,
    destructive: bool | None = None,
    idempotent: bool | None = None,
    open_world: bool | None = None,
) -> Callable[[_F], _F]:
    """Say that an activity is a tool of the agent, and what it does to the world.

    It only sets the function's attribute ``metadata``, which a program may also set itself.

    Args:
        effect: none, read, create, update, delete, send, execute or pay.
        target: The system that changes, not a record in it.
        reversible: Whether the effect can be undone.
        read_only: MCP's hint of that name, and so are the next three.
        destructive: It may delete or overwrite.
        idempotent: Calling it again changes nothing more.
        open_world: It reaches systems that are not yours.
    """
    said: dict[str, object] = {
        a.SIDE_EFFECT_TYPE: effect,
        a.SIDE_EFFECT_TARGET: target,
        a.SIDE_EFFECT_REVERSIBLE: reversible,
    }
    hints = (read_only, destructive, idempotent, open_world)
    said.update(zip(HINTS, hints, strict=True))
    metadata = {name: value for name, value in said.items() if value is not None}

    def mark(function: _F) -> _F:
        vars(function)["metadata"] = metadata
        return function

    return mark
