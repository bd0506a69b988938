# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the conditions of a rule can ask about the place of a text: tool, agent, tenant, environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal

from runrecord.semconv.attributes import (
    GEN_AI_AGENT_NAME,
    GEN_AI_TOOL_NAME,
    TENANT_ID,
)

Fact = Literal["tool", "agent", "tenant", "environment"]

RESOURCE_FACTS: Final[Mapping[bytes, Fact]] = {
    b"deployment.environment.name": "environment",
    TENANT_ID.encode(): "tenant",
}
"""Attributes of a resource, and what they tell."""
RECORD_FACTS: Final[Mapping[bytes, Fact]] = {
    GEN_AI_TOOL_NAME.encode(): "tool",
    GEN_AI_AGENT_NAME.encode(): "agent",
    TENANT_ID.encode(): "tenant",
}
"""Attributes of a span, log record or data point, and what they tell."""


class Context:
    """The facts about one place; read once, when a condition first asks.

    Args:
        read: Reads the facts of this place from its attributes, as text in UTF-8.
        outer: The place around it, whose facts hold unless this one says otherwise.
        tenant: The tenant that the transport has established; no attribute says otherwise.
    """

    def __init__(
        self,
        read: Callable[[], Mapping[Fact, bytes]] | None = None,
        outer: Context | None = None,
        *,
        tenant: bytes | None = None,
    ) -> None:
        self._read = read
        self._outer = outer
        self._tenant: bytes | None = outer._tenant if outer is not None else tenant  # noqa: SLF001  of the same class
        self._facts: Mapping[Fact, bytes] = {}

    def get(self, fact: Fact) -> bytes | None:
        """A fact about this place; None if it is not known."""
        if fact == "tenant" and self._tenant is not None:
            return self._tenant
        if self._read is not None:
            self._facts, self._read = self._read(), None
        found = self._facts.get(fact)
        if found is None and self._outer is not None:
            return self._outer.get(fact)
        return found


NOWHERE: Final = Context()
"""The place of which nothing is known."""
