# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Recording agents of the OpenAI Agents SDK: runs, turns, tool calls, guardrails, approvals, across processes."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from runrecord.instrumentation.base import Instrumentor
from runrecord.instrumentation.openai_agents.package import CAPABILITIES, INSTRUMENTS
from runrecord.instrumentation.recorder import Recorder

if TYPE_CHECKING:
    from runrecord.instrumentation.openai_agents.patch import Patch

__all__ = ["CAPABILITIES", "OpenAIAgentsInstrumentor"]


class OpenAIAgentsInstrumentor(Instrumentor):
    """Records what agents of the OpenAI Agents SDK do."""

    scope = "runrecord.instrumentation.openai_agents"

    _applied: "Patch | None" = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the supported releases of the SDK."""
        return INSTRUMENTS

    def _patch(self, recorder: Recorder, **kwargs: Any) -> None:
        del kwargs
        from runrecord.instrumentation.openai_agents.patch import Patch  # noqa: PLC0415  # it imports the SDK

        self._applied = Patch(recorder)
        self._applied.apply()

    def _unpatch(self, **kwargs: Any) -> None:
        del kwargs
        if self._applied is not None:
            self._applied.remove()
            self._applied = None
