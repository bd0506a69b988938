# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A refund agent: an ordinary OpenAI Agents program, with a model that follows a script.

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

from agents import (
    Agent,
    FunctionTool,
    RunConfig,
    RunContextWrapper,
    Runner,
    RunState,
    ToolGuardrailFunctionOutput,
    ToolInputGuardrail,
    ToolInputGuardrailData,
    function_tool,
)
from agents.testing import ScriptedModel, assistant_message, function_call

from runrecord.demo import shop


async def above_the_limit(context: RunContextWrapper[Any], arguments: dict[str, Any], call_id: str) -> bool:
    """Whether a person must agree to this call."""
    del context, call_id
    return shop.needs_a_person(arguments["invoice_id"], arguments["amount"])


def recent_chargeback(data: ToolInputGuardrailData) -> ToolGuardrailFunctionOutput:
    """Answer the call instead of the tool when the customer had a recent chargeback."""
    arguments = json.loads(data.context.tool_arguments)
    if shop.has_recent_chargeback(arguments["invoice_id"]):
        return ToolGuardrailFunctionOutput.reject_content("Refused: recent chargeback.")
    return ToolGuardrailFunctionOutput.allow()


def tools() -> list[FunctionTool]:
    """What the agent can do."""
    lookup_customer = function_tool(shop.lookup_customer)
    list_invoices = function_tool(shop.list_invoices)
    create_refund = function_tool(
        shop.create_refund,
        needs_approval=above_the_limit,
        tool_input_guardrails=[ToolInputGuardrail(recent_chargeback)],
    )
    # Plain attributes: what a tool does to the world, and which policy a function stands for. The SDK has no field for them.
    vars(lookup_customer).update(metadata={"readOnlyHint": True})
    vars(list_invoices).update(metadata={"readOnlyHint": True})
    vars(create_refund).update(
        metadata={
            "readOnlyHint": False,
            "destructiveHint": True,
            "idempotentHint": False,
            "runrecord.side_effect.type": "pay",
            "runrecord.side_effect.target": "payments",
            "runrecord.side_effect.reversible": False,
        }
    )
    for rule in (above_the_limit, recent_chargeback):
        vars(rule).update(
            policy_id=shop.POLICY_ID, policy_version=shop.POLICY_VERSION, policy_rule=rule.__name__
        )
    return [lookup_customer, list_invoices, create_refund]


def script(customer_id: str) -> list[list[Any]]:
    """What the model says, one list a turn."""
    (invoice,) = json.loads(shop.list_invoices(customer_id))

    def call(number: int, name: str, **args: Any) -> list[Any]:
        return [function_call(name, json.dumps(args), call_id=f"call-{customer_id}-{number}")]

    return [
        call(1, "lookup_customer", customer_id=customer_id),
        call(2, "list_invoices", customer_id=customer_id),
        call(3, "create_refund", invoice_id=invoice["id"], amount=invoice["amount"]),
        [assistant_message("Your request has been dealt with.")],
    ]


def build(customer_id: str, said: int) -> Agent[Any]:
    """The agent: the model at its place in the script, the tools, the policy, and a person above the limit."""
    return Agent(
        name="refund-agent",
        instructions="Refund what the policy allows.",
        model=ScriptedModel(script(customer_id)[said:]),
        tools=[*tools()],
    )


async def main() -> None:
    """Start a run, or resume the one that waits in a thread."""
    parser = argparse.ArgumentParser(description="A refund agent.")
    parser.add_argument("action", choices=["start", "resume"])
    parser.add_argument("--thread", required=True)
    parser.add_argument("--customer", required=True)
    parser.add_argument("--states", default=".", help="directory in which a run that waits is kept")
    parser.add_argument("--decision", choices=["approve", "reject"], default="approve")
    parser.add_argument("--reviewer", default="u-17")
    options = parser.parse_args()

    file = Path(options.states) / f"{options.thread}.json"
    if options.action == "start":
        agent = build(options.customer, said=0)
        config = RunConfig(group_id=options.thread)
        result = await Runner.run(agent, shop.request_text(options.customer), run_config=config)
    else:
        agent = build(options.customer, said=3)
        state = await RunState.from_json(agent, json.loads(file.read_text()))
        for item in state.get_interruptions():
            if options.decision == "approve":
                state.approve(item)
            else:
                state.reject(item, rejection_message="Not this time.")
        config = RunConfig(trace_metadata={"runrecord.approval.actor.ref": options.reviewer})
        result = await Runner.run(agent, state, run_config=config)
    if result.interruptions:
        file.write_text(json.dumps(result.to_state().to_json()))
        print("waits for a person")
    else:
        print(result.final_output)


if __name__ == "__main__":
    asyncio.run(main())
