# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""LangGraph and LangChain agents."""

from collections.abc import Collection
from typing import Any

from runrecord.instrumentation.base import Instrumentor
from runrecord.instrumentation.langgraph.package import CAPABILITIES, INSTRUMENTS
from runrecord.instrumentation.recorder import Recorder

__all__ = ["CAPABILITIES", "INSTRUMENTS", "LangGraphInstrumentor"]


class LangGraphInstrumentor(Instrumentor):
    """Switches the integration on and off; see this package's documentation."""

    scope = "runrecord.instrumentation.langgraph"

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return what must be installed."""
        return INSTRUMENTS

    def _patch(self, recorder: Recorder, **kwargs: Any) -> None:
        del kwargs
        # The SDK is imported here, not with this module: an entry point must load where there is none.
        from runrecord.instrumentation.langgraph import patch  # noqa: PLC0415
        from runrecord.instrumentation.langgraph._handler import Handler  # noqa: PLC0415
        from runrecord.instrumentation.langgraph._tracker import Tracker  # noqa: PLC0415

        tracker = Tracker(recorder)
        self._handler = Handler(tracker)
        self._patches = patch.apply(tracker, self._handler)

    def _unpatch(self, **kwargs: Any) -> None:
        del kwargs
        self._patches.undo()
        self._handler.disable()
