# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
r"""Recording FastMCP clients and servers: their spans, middleware and tools, on top of what the MCP integration records.

Nothing changes in the program. Either run it under ``opentelemetry-instrument``, or switch the recording on in code::

    import asyncio

    from fastmcp import Client, FastMCP
    from fastmcp.exceptions import ToolError
    from fastmcp.server.middleware import Middleware
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
    from runrecord.instrumentation import recorder
    from runrecord.instrumentation.fastmcp import FastMCPInstrumentor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda span: span.name + "\n")))
    trace.set_tracer_provider(provider)
    FastMCPInstrumentor().instrument()

    class Limit(Middleware):
        policy_id, policy_version, policy_rule = "refunds", "14", "over_50_usd"

        async def on_call_tool(self, context, call_next):
            if context.message.arguments["amount"] > 50:
                raise ToolError("Too much.")
            return await call_next(context)

    server = FastMCP("refunds", middleware=[Limit()])

    @server.tool(annotations={"destructiveHint": True})
    def create_refund(amount: float) -> str:
        return "paid"

    async def main() -> None:
        async with Client(server) as client:
            with recorder.run(agent="refund-agent"):  # or an agent SDK, which Runrecord records
                await client.call_tool("create_refund", {"amount": 20.0})

    asyncio.run(main())

=======================================================  =====================================================
in the program                                           span
=======================================================  =====================================================
``Client.call_tool`` in a run, over all of its rounds    FastMCP's client span ``tools/call {tool}`` gets our
                                                         attributes
a tool that a server runs                                FastMCP's server span ``tools/call {tool}`` does
``AuthMiddleware``, rate limits, middleware that         ``policy_decision {policy}``, allow or deny
names its policy
other middleware that raises or answers an error         ``policy_decision {class}``, deny
instead of calling on; ``auth`` of a tool
``ctx.elicit``, a tool that returns what it asks         ``request_approval {tool}``, ``approval_decision {tool}``
=======================================================  =====================================================

Where FastMCP makes no spans (``telemetry_mode`` is ``propagation_only`` or ``off``, or telemetry is suppressed), ``execute_tool {tool}`` spans of ours are
the records. Middleware that changes the arguments is recorded as a policy that allowed with ``modify``; the digest of the call is that of what ran.

Runs, questions, rounds, who is told of a run, what is not recorded, and where a program can say more: as in
:mod:`runrecord.instrumentation.mcp`, which is at work below; both may be switched on.
"""

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
