# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
r"""Recording tool calls over the Model Context Protocol, by client and server: calls, refusals, and what people were asked."""

from collections.abc import Collection
from typing import Any

from runrecord.instrumentation.base import Instrumentor
from runrecord.instrumentation.mcp.package import CAPABILITIES, INSTRUMENTS
from runrecord.instrumentation.mcp.patch import shared
from runrecord.instrumentation.recorder import Recorder

__all__ = ["CAPABILITIES", "MCPInstrumentor"]


class MCPInstrumentor(Instrumentor):
    """Records what clients and servers of the MCP SDK do."""

    scope = "runrecord.instrumentation.mcp"

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the supported releases of the SDK."""
        return INSTRUMENTS

    def _patch(self, recorder: Recorder, **kwargs: Any) -> None:
        del kwargs
        shared.acquire(self, recorder)

    def _unpatch(self, **kwargs: Any) -> None:
        del kwargs
        shared.release(self)
