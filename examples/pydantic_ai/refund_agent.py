# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A refund agent: an ordinary Pydantic AI program, with a model that follows a script.

It imports nothing of Runrecord's telemetry. It is run as anyone would run it, in two processes when a person must agree::

    opentelemetry-instrument python refund_agent.py start  --thread t-1 --customer c-100
    opentelemetry-instrument python refund_agent.py resume --thread t-1 --customer c-100 --decision approve --reviewer u-17
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from pydantic_ai import (
    Agent,
    DeferredToolRequests,
    DeferredToolResults,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelResponse,
    RunContext,
    TextPart,
    Tool,
    ToolCallPart,
    ToolDefinition,
    ToolDenied,
)
from pydantic_ai.capabilities import Hooks
from pydantic_ai.exceptions import SkipToolExecution
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.toolsets import FunctionToolset

from runrecord.demo import shop


def above_the_limit(context: RunContext[Any], tool: ToolDefinition, arguments: dict[str, Any]) -> bool:
    """Whether a person must agree to this call."""
    del context, tool
    return shop.needs_a_person(arguments["invoice_id"], arguments["amount"])


async def recent_chargeback(
    context: RunContext[Any], *, call: ToolCallPart, tool_def: ToolDefinition, args: dict[str, Any]
) -> dict[str, Any]:
    """Answer the call instead of the tool when the customer had a recent chargeback."""
    del context, call
    if tool_def.name == "create_refund" and shop.has_recent_chargeback(args["invoice_id"]):
        raise SkipToolExecution("Refused: recent chargeback.")
    return args


# Plain attributes: which policy a function stands for. The SDK has no field for it.
for rule in (above_the_limit, recent_chargeback):
    vars(rule).update(policy_id=shop.POLICY_ID, policy_version=shop.POLICY_VERSION, policy_rule=rule.__name__)

READS = {"readOnlyHint": True}
PAYS = {
    "readOnlyHint": False,
    "destructiveHint": True,
    "idempotentHint": False,
    "runrecord.side_effect.type": "pay",
    "runrecord.side_effect.target": "payments",
    "runrecord.side_effect.reversible": False,
}


def script(customer_id: str) -> list[ModelResponse]:
    """What the model says, one response a turn."""
    (invoice,) = json.loads(shop.list_invoices(customer_id))

    def call(number: int, name: str, **args: Any) -> ModelResponse:
        return ModelResponse([ToolCallPart(name, args, f"call-{customer_id}-{number}")])

    return [
        call(1, "lookup_customer", customer_id=customer_id),
        call(2, "list_invoices", customer_id=customer_id),
        call(3, "create_refund", invoice_id=invoice["id"], amount=invoice["amount"]),
        ModelResponse([TextPart("Your request has been dealt with.")]),
    ]


def build(customer_id: str) -> Agent[None, str | DeferredToolRequests]:
    """The agent: the model, the tools, the policy, and a person above the limit."""

    def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        del info
        return script(customer_id)[sum(isinstance(message, ModelResponse) for message in messages)]

    refunds = FunctionToolset([Tool(shop.create_refund, metadata=PAYS)])
    return Agent(
        FunctionModel(model),
        name="refund-agent",
        instructions="Refund what the policy allows.",
        tools=[Tool(shop.lookup_customer, metadata=READS), Tool(shop.list_invoices, metadata=READS)],
        toolsets=[refunds.approval_required(above_the_limit)],
        capabilities=[Hooks(before_tool_execute=recent_chargeback)],
        output_type=[str, DeferredToolRequests],
    )


def main() -> None:
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
    agent = build(options.customer)
    if options.action == "start":
        result = agent.run_sync(shop.request_text(options.customer), conversation_id=options.thread)
    else:
        history = ModelMessagesTypeAdapter.validate_json(file.read_bytes())
        waiting = [part for part in history[-1].parts if isinstance(part, ToolCallPart)]
        answer = True if options.decision == "approve" else ToolDenied("Not this time.")
        who = {"runrecord.approval.actor.ref": options.reviewer}
        answers = DeferredToolResults(
            approvals={call.tool_call_id: answer for call in waiting},
            metadata={call.tool_call_id: who for call in waiting},
        )
        result = agent.run_sync(message_history=history, deferred_tool_results=answers)
    if isinstance(result.output, DeferredToolRequests):
        file.write_bytes(result.all_messages_json())
        print("waits for a person")
    else:
        print(result.output)


if __name__ == "__main__":
    main()
