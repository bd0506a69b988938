# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Recording Temporal workflows."""

import sys
from collections.abc import Collection
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from runrecord.instrumentation._on_import import OnImport
from runrecord.instrumentation.base import Instrumentor
from runrecord.instrumentation.recorder import Recorder
from runrecord.instrumentation.temporal.package import CAPABILITIES, INSTRUMENTS
from runrecord.instrumentation.temporal.tools import tool

if TYPE_CHECKING:
    from runrecord.instrumentation.temporal._openai_agents import AgentsPatch
    from runrecord.instrumentation.temporal.approvals import answering, approval, current
    from runrecord.instrumentation.temporal.patch import Patch

__all__ = ["CAPABILITIES", "TemporalInstrumentor", "answering", "approval", "current", "tool"]


_CLIENT: Final = "temporalio.client"
_WORKER: Final = "temporalio.worker"


class TemporalInstrumentor(Instrumentor):
    """Records what workflows and activities of Temporal do."""

    scope = "runrecord.instrumentation.temporal"

    _applied: "Patch | None" = None
    _agents: "AgentsPatch | None" = None
    _imports: OnImport | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the supported releases of the SDK."""
        return INSTRUMENTS

    def _patch(self, recorder: Recorder, **kwargs: Any) -> None:
        del kwargs

        ready: set[str] = set()

        def apply(module: ModuleType) -> None:
            ready.add(module.__name__)
            # Each imports parts of the other, in whichever order; what is half imported can't be hooked into.
            if (
                _CLIENT not in ready
                or (_WORKER in sys.modules and _WORKER not in ready)
                or self._applied is not None
            ):
                return
            from runrecord.instrumentation.temporal.patch import Patch  # noqa: PLC0415  # it imports the SDK

            self._applied = Patch(recorder)
            self._applied.apply()

        def apply_to_agents(module: ModuleType) -> None:
            del module
            if self._agents is not None:
                return
            from runrecord.instrumentation.temporal._openai_agents import AgentsPatch  # noqa: PLC0415

            self._agents = AgentsPatch()
            self._agents.apply()

        self._imports = OnImport()
        self._imports.when(_CLIENT, apply)
        self._imports.when(_WORKER, apply)
        # Whichever home the plug-in has in this release; the Agents SDK is imported by then.
        self._imports.when("temporalio.openai_agents", apply_to_agents)
        self._imports.when("temporalio.contrib.openai_agents", apply_to_agents)

    def _unpatch(self, **kwargs: Any) -> None:
        del kwargs
        if self._imports is not None:
            self._imports.disarm()
        if self._agents is not None:
            self._agents.remove()
            self._agents = None
        if self._applied is not None:
            self._applied.remove()
            self._applied = None


def __getattr__(name: str) -> Any:
    """Import what workflows use, and with it the SDK, when it is asked for."""
    if name in {"answering", "approval", "current"}:
        return getattr(import_module("runrecord.instrumentation.temporal.approvals"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
