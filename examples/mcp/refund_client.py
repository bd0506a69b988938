# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A refund agent without an SDK, whose tools are ``refund_server.py``. A person who must agree answers days later, in another process::

    opentelemetry-instrument python refund_client.py start  --thread t-1 --customer c-100
    opentelemetry-instrument python refund_client.py resume --thread t-1 --decision approve --reviewer u-17

A loop of its own has nobody who says where a run begins, so ``start`` does: one ``with``. Under an agent SDK that Runrecord records it is not
needed. ``resume`` says nothing: the request state, which the server gave out, leads back to the run that waits.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import CallToolResult, ElicitResult, InputRequiredResult

from runrecord.demo import shop
from runrecord.instrumentation import recorder

ERA = "2026-07-28"  # in which a question ends a round, instead of holding a call open
SERVER = str(Path(__file__).with_name("refund_server.py"))


def server() -> StdioServerParameters:
    """The server as a child process, instrumented as this one is."""
    instrument = str(Path(sys.executable).with_name("opentelemetry-instrument"))
    return StdioServerParameters(command=instrument, args=[sys.executable, SERVER], env=dict(os.environ))


async def later(context: Any, params: Any) -> ElicitResult:
    """Never called: this agent keeps the question instead of waiting for the answer."""
    raise NotImplementedError


async def refund(
    client: Client, arguments: dict[str, Any], **answer: Any
) -> CallToolResult | InputRequiredResult:
    """Ask for the refund, or ask again with the answer."""
    return await client.session.call_tool("create_refund", arguments, allow_input_required=True, **answer)


async def start(thread: str, customer: str) -> str | dict[str, Any]:
    """Do what the customer asks for, up to the question to a person."""
    (invoice,) = json.loads(shop.list_invoices(customer))
    arguments = {"invoice_id": invoice["id"], "amount": invoice["amount"]}
    with recorder.run(agent="refund-agent", conversation_id=thread) as run:
        run.given(shop.request_text(customer))
        async with Client(stdio_client(server()), mode=ERA, elicitation_callback=later) as client:
            await client.list_tools()
            with run.step("act"):
                await client.call_tool("lookup_customer", {"customer_id": customer})
                await client.call_tool("list_invoices", {"customer_id": customer})
            with run.step("act"):
                try:
                    result = await refund(client, arguments)
                except Exception as refused:  # noqa: BLE001
                    return str(refused)
        if isinstance(result, CallToolResult):
            return "Refunded."
        run.suspend()
        return {
            "arguments": arguments,
            "state": result.request_state,
            "asked": list(result.input_requests or {}),
        }


async def resume(waits: dict[str, Any], decision: str, reviewer: str) -> str:
    """Go on with the answer."""
    who = {"runrecord.approval.actor.ref": reviewer}
    said = (
        ElicitResult(action="accept", content={"agree": True}, _meta=who)
        if decision == "approve"
        else ElicitResult(action="decline", _meta=who)
    )
    answers = dict.fromkeys(waits["asked"], said)
    async with Client(stdio_client(server()), mode=ERA, elicitation_callback=later) as client:
        await client.list_tools()
        result = await refund(
            client, waits["arguments"], input_responses=answers, request_state=waits["state"]
        )
    return "Not refunded." if getattr(result, "is_error", False) else "Refunded."


def main() -> None:
    """Start a run, or resume the one that waits in a thread."""
    parser = argparse.ArgumentParser(description="A refund agent.")
    parser.add_argument("action", choices=["start", "resume"])
    parser.add_argument("--thread", required=True)
    parser.add_argument("--customer", default="c-100")
    parser.add_argument("--decision", choices=["approve", "reject"], default="approve")
    parser.add_argument("--reviewer", default="u-17")
    options = parser.parse_args()
    file = Path(f"{options.thread}.json")
    if options.action == "start":
        done = asyncio.run(start(options.thread, options.customer))
        if isinstance(done, dict):
            file.write_text(json.dumps(done))
            done = "waits for a person"
    else:
        done = asyncio.run(resume(json.loads(file.read_text()), options.decision, options.reviewer))
    print(done)


if __name__ == "__main__":
    main()
