# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A refund agent: an ordinary LangGraph program, with a model that follows a script.

It imports nothing of Runrecord's telemetry. It is run as anyone would run it, in two processes when a person must agree::

    opentelemetry-instrument python refund_agent.py start  --thread t-1 --customer c-100
    opentelemetry-instrument python refund_agent.py resume --thread t-1 --customer c-100 --decision approve --reviewer u-17
"""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, cast

from langchain.agents import create_agent  # pyright: ignore[reportUnknownVariableType]
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware, InterruptOnConfig
from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command

from runrecord.demo import shop

TOOLS: list[BaseTool] = [
    StructuredTool.from_function(shop.lookup_customer, metadata={"readOnlyHint": True}),
    StructuredTool.from_function(shop.list_invoices, metadata={"readOnlyHint": True}),
    StructuredTool.from_function(
        shop.create_refund,
        metadata={
            "readOnlyHint": False,
            "destructiveHint": True,
            "idempotentHint": False,
            "runrecord.side_effect.type": "pay",
            "runrecord.side_effect.target": "payments",
            "runrecord.side_effect.reversible": False,
        },
    ),
]


class RefundPolicy(AgentMiddleware[Any, Any, Any]):
    """No refund to a customer with a recent chargeback."""

    policy_id = shop.POLICY_ID
    policy_version = shop.POLICY_VERSION
    policy_rule = "recent_chargeback"
    policy_tools = ("create_refund",)

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        """Answer the call instead of the tool when the policy forbids it."""
        call = request.tool_call
        if call["name"] == "create_refund" and shop.has_recent_chargeback(call["args"]["invoice_id"]):
            return ToolMessage(
                "Refused: recent chargeback.", tool_call_id=call["id"], name=call["name"], status="error"
            )
        return handler(request)


def above_the_limit(request: ToolCallRequest) -> bool:
    """Whether a person must agree to this call."""
    arguments = request.tool_call["args"]
    return shop.needs_a_person(arguments["invoice_id"], arguments["amount"])


ABOVE_THE_LIMIT = cast(
    "InterruptOnConfig", {"allowed_decisions": ["approve", "edit", "reject"], "when": above_the_limit}
)


class ScriptedModel(FakeMessagesListChatModel):
    """The SDK's own test double; it ignores the tools, the script names them."""

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> ScriptedModel:
        """Take the tools and go on."""
        del tools, kwargs
        return self


def script(customer_id: str) -> list[BaseMessage]:
    """What the model says, one message a turn."""
    (invoice,) = json.loads(shop.list_invoices(customer_id))

    def call(number: int, name: str, **args: Any) -> AIMessage:
        return AIMessage("", tool_calls=[{"name": name, "args": args, "id": f"call-{customer_id}-{number}"}])

    return [
        call(1, "lookup_customer", customer_id=customer_id),
        call(2, "list_invoices", customer_id=customer_id),
        call(3, "create_refund", invoice_id=invoice["id"], amount=invoice["amount"]),
        AIMessage("Your request has been dealt with."),
    ]


def build(checkpointer: SqliteSaver, customer_id: str, said: int) -> Any:
    """The agent: the model at its place in the script, the tools, the policy, and a person above the limit."""
    return create_agent(
        ScriptedModel(responses=script(customer_id), i=said),
        TOOLS,
        name="refund-agent",
        checkpointer=checkpointer,
        middleware=[
            RefundPolicy(),
            HumanInTheLoopMiddleware(interrupt_on={"create_refund": ABOVE_THE_LIMIT}),
        ],
    )


def main() -> None:
    """Start a run, or resume the one that waits in a thread."""
    parser = argparse.ArgumentParser(description="A refund agent.")
    parser.add_argument("action", choices=["start", "resume"])
    parser.add_argument("--thread", required=True)
    parser.add_argument("--customer", required=True)
    parser.add_argument("--checkpoints", default="checkpoints.sqlite")
    parser.add_argument("--decision", choices=["approve", "reject"], default="approve")
    parser.add_argument("--reviewer", default="u-17")
    options = parser.parse_args()

    config: RunnableConfig = {"configurable": {"thread_id": options.thread}}
    connection = sqlite3.connect(options.checkpoints, check_same_thread=False)
    checkpointer = SqliteSaver(connection)
    if options.action == "start":
        agent = build(checkpointer, options.customer, said=0)
        result = agent.invoke(
            {"messages": [{"role": "user", "content": shop.request_text(options.customer)}]}, config
        )
    else:
        config["configurable"]["langgraph_auth_user_id"] = options.reviewer
        answer: dict[str, Any] = {"type": options.decision}
        if options.decision == "reject":
            answer["message"] = "Not this time."
        agent = build(checkpointer, options.customer, said=3)
        result = agent.invoke(Command(resume={"decisions": [answer]}), config)
    connection.close()
    waits = result.get("__interrupt__")
    print("waits for a person" if waits else result["messages"][-1].content)


if __name__ == "__main__":
    main()
