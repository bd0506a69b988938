# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
r"""Recording FastMCP clients and servers: on top of what the MCP integration records, their spans, middleware and tools."""

from collections.abc import Collection
from typing import Any

from runrecord.instrumentation.base import Instrumentor
from runrecord.instrumentation.fastmcp.package import CAPABILITIES, INSTRUMENTS
from runrecord.instrumentation.fastmcp.patch import Patch
from runrecord.instrumentation.mcp.patch import shared
from runrecord.instrumentation.recorder import Recorder

__all__ = ["CAPABILITIES", "FastMCPInstrumentor"]


class FastMCPInstrumentor(Instrumentor):
    """Records what FastMCP clients and servers do, and what the MCP SDK below does."""

    scope = "runrecord.instrumentation.fastmcp"

    _applied: Patch | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the supported releases of FastMCP."""
        return INSTRUMENTS

    def _patch(self, recorder: Recorder, **kwargs: Any) -> None:
        del kwargs
        shared.acquire(self, recorder)
        self._applied = Patch(recorder)
        self._applied.apply()

    def _unpatch(self, **kwargs: Any) -> None:
        del kwargs
        shared.release(self)
        if self._applied is not None:
            self._applied.remove()
            self._applied = None
