# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A refund agent: an ordinary program of the Claude Agent SDK, with a model that follows a script.

It imports nothing of Runrecord's telemetry. It is run as anyone would run it, in two processes when a person must agree::

    opentelemetry-instrument python refund_agent.py start  --thread t-1 --customer c-100
    opentelemetry-instrument python refund_agent.py resume --thread t-1 --customer c-100 --decision approve --reviewer u-17
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

import model_server
from claude_agent_sdk import (
    ClaudeAgentOptions,
    ClaudeSDKClient,
    HookMatcher,
    ResultMessage,
    ToolAnnotations,
    create_sdk_mcp_server,
    tool,
)

from runrecord.demo import shop

READS = ToolAnnotations(readOnlyHint=True)
PAYS = ToolAnnotations(readOnlyHint=False, destructiveHint=True, idempotentHint=False)


def said(text: str) -> dict[str, Any]:
    """What a tool answers with."""
    return {"content": [{"type": "text", "text": text}]}


@tool("lookup_customer", "Look a customer up.", {"customer_id": str}, annotations=READS)
async def lookup_customer(given: dict[str, Any]) -> dict[str, Any]:
    """Look a customer up."""
    return said(shop.lookup_customer(given["customer_id"]))


@tool("list_invoices", "List the invoices of a customer.", {"customer_id": str}, annotations=READS)
async def list_invoices(given: dict[str, Any]) -> dict[str, Any]:
    """List the invoices of a customer."""
    return said(shop.list_invoices(given["customer_id"]))


@tool("create_refund", "Pay money back.", {"invoice_id": str, "amount": float}, annotations=PAYS)
async def create_refund(given: dict[str, Any]) -> dict[str, Any]:
    """Pay money back."""
    return said(shop.create_refund(given["invoice_id"], given["amount"]))


def refunds(decision: str | None) -> Any:
    """The policy: no refund after a recent chargeback; over the limit it waits for a person, whose ``decision`` comes later."""

    async def refunds(given: Any, _call_id: str | None, _context: Any) -> Any:
        refund = given["tool_input"]
        if shop.has_recent_chargeback(refund["invoice_id"]):
            answer = "deny"
        elif decision is not None:
            answer = {"approve": "allow", "reject": "deny"}[decision]
        else:
            answer = "defer" if shop.needs_a_person(refund["invoice_id"], refund["amount"]) else "allow"
        return {"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": answer}}

    # Plain attributes: which policy a hook stands for. The SDK has no field for that.
    vars(refunds).update(policy_id=shop.POLICY_ID, policy_version=shop.POLICY_VERSION)
    return refunds


def options(address: str, session: str | None, decision: str | None, reviewer: str) -> ClaudeAgentOptions:
    """The agent: the shop's tools, the policy, and nothing of this machine's own settings."""
    home = Path("claude-home").resolve()
    home.mkdir(exist_ok=True)
    tools = [lookup_customer, list_invoices, create_refund]
    made = ClaudeAgentOptions(
        cwd=home,
        tools=[],
        mcp_servers={"shop": create_sdk_mcp_server("shop", tools=tools)},
        allowed_tools=["mcp__shop__lookup_customer", "mcp__shop__list_invoices"],
        hooks={"PreToolUse": [HookMatcher(matcher="mcp__shop__create_refund", hooks=[refunds(decision)])]},
        setting_sources=[],
        resume=session,
        env={
            "HOME": str(home),
            "CLAUDE_CONFIG_DIR": str(home),
            "ANTHROPIC_BASE_URL": address,
            "ANTHROPIC_API_KEY": "sk-ant-not-a-key",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "ENABLE_TOOL_SEARCH": "false",
        },
    )
    metadata = {"gen_ai.agent.name": "refund-agent", "runrecord.approval.actor.ref": reviewer}
    vars(made).update(metadata=metadata)
    return made


async def answer(given: argparse.Namespace, session: str | None) -> ResultMessage:
    """Ask the agent, or let it go on in a session; return how that ended."""
    decision = given.decision if session is not None else None
    with model_server.serving(given.customer) as address:
        async with ClaudeSDKClient(options(address, session, decision, given.reviewer)) as client:
            if session is None:
                await client.query(shop.request_text(given.customer))
            messages = [message async for message in client.receive_response()]
    (result,) = [message for message in messages if isinstance(message, ResultMessage)]
    return result


def main() -> None:
    """Start a run, or resume the one that waits in a thread."""
    parser = argparse.ArgumentParser(description="A refund agent.")
    parser.add_argument("action", choices=["start", "resume"])
    parser.add_argument("--thread", required=True)
    parser.add_argument("--customer", required=True)
    parser.add_argument("--decision", choices=["approve", "reject"], default="approve")
    parser.add_argument("--reviewer", default="u-17")
    given = parser.parse_args()

    file = Path(f"{given.thread}.json")
    session = json.loads(file.read_text())["session"] if given.action == "resume" else None
    result = asyncio.run(answer(given, session))
    if result.deferred_tool_use is not None:
        file.write_text(json.dumps({"session": result.session_id}))
        print("waits for a person")
    else:
        print(result.result)


if __name__ == "__main__":
    main()
