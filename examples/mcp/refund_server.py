# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A server that refunds: an ordinary program of the MCP SDK, which imports nothing of Runrecord's telemetry.

It refuses what its policy forbids, and asks a person above its limit. ``refund_client.py`` starts it over stdio; with a port it listens on
loopback::

    opentelemetry-instrument python refund_server.py 8765
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

from mcp import MCPError
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp.server.request_state import RequestStateSecurity
from mcp_types import ToolAnnotations
from pydantic import BaseModel

from runrecord.demo import shop

# Every process of the server must have the same key, so that one can go on where another one asked.
STATE_KEY = os.environ.get("REFUND_STATE_KEY", "only for this example, 32 bytes or more")


class Chargebacks:
    """Refuses to refund a customer who had a recent chargeback. What it is called in the records is said in three plain attributes."""

    policy_id = shop.POLICY_ID
    policy_version = shop.POLICY_VERSION
    policy_rule = "recent_chargeback"

    async def __call__(self, ctx: Any, call_next: Any) -> Any:
        refund = ctx.method == "tools/call" and ctx.params["name"] == "create_refund"
        if refund and shop.has_recent_chargeback(ctx.params["arguments"]["invoice_id"]):
            raise MCPError(code=-32050, message="Refused: recent chargeback.")
        return await call_next(ctx)


class Agreement(BaseModel):
    """The form that a person gets to see."""

    agree: bool


async def above_the_limit(invoice_id: str, amount: float) -> Agreement | Elicit[Agreement]:
    """Ask a person if the amount is over the limit."""
    if shop.needs_a_person(invoice_id, amount):
        return Elicit(f"Refund {amount:.2f} USD of {invoice_id}?", Agreement)
    return Agreement(agree=True)


def build() -> MCPServer:
    """The server: its tools, what they say of themselves, and its policy."""
    security = RequestStateSecurity(keys=[STATE_KEY])
    server = MCPServer("refund-server", middleware=[Chargebacks()], request_state_security=security)
    reads = ToolAnnotations(read_only_hint=True)
    server.tool(annotations=reads)(shop.lookup_customer)
    server.tool(annotations=reads)(shop.list_invoices)

    @server.tool(
        annotations=ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False),
        # MCP has no field for these.
        meta={
            "runrecord.side_effect.type": "pay",
            "runrecord.side_effect.target": "payments",
            "runrecord.side_effect.reversible": False,
        },
    )
    def create_refund(
        invoice_id: str, amount: float, agreement: Annotated[Agreement, Resolve(above_the_limit)]
    ) -> str:
        """Pay back an invoice."""
        return shop.create_refund(invoice_id, amount) if agreement.agree else "Not this time."

    return server


if __name__ == "__main__":
    if len(sys.argv) > 1:
        build().run(transport="streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        build().run()
