# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""One process of an approval: starts an agent that asks, or resumes it with an answer; prints the spans as JSON lines.

``python approval_process.py CHECKPOINTS start|approve|edit|reject MODE``
"""

import json
import sqlite3
import sys
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from runrecord.instrumentation.langgraph import LangGraphInstrumentor


class Scripted(GenericFakeChatModel):
    def bind_tools(self, tools: Any, **kwargs: Any) -> "Scripted":
        return self


@tool
def refund(invoice: str, amount: float) -> str:
    """Pay an invoice back."""
    return f"paid {amount} for {invoice}"


def main(checkpoints: str, action: str, mode: str) -> None:
    provider = TracerProvider()
    provider.add_span_processor(
        SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda span: span.to_json(indent=None) + "\n"))
    )
    LangGraphInstrumentor().instrument(tracer_provider=provider)
    ask = AIMessage(
        "", tool_calls=[{"name": "refund", "args": {"invoice": "inv-1", "amount": 80.0}, "id": "call_1"}]
    )
    turns = [ask, AIMessage("done")] if action == "start" else [AIMessage("done")]
    connection = sqlite3.connect(checkpoints, check_same_thread=False)
    agent = create_agent(
        Scripted(messages=iter(turns)),
        [refund],
        name="helper",
        middleware=[
            HumanInTheLoopMiddleware(
                {"refund": True}, **({"interrupt_mode": mode} if mode != "batched" else {})
            )
        ],
        checkpointer=SqliteSaver(connection),
    )
    config: Any = {"configurable": {"thread_id": "thread-1"}}
    given: Any = {"messages": [("user", "please")]}
    if action != "start":
        config["configurable"]["langgraph_auth_user_id"] = "u-17"
        edited = {"name": "refund", "args": {"invoice": "inv-1", "amount": 40.0}}
        decision: dict[str, Any] = {
            "approve": {"type": "approve"},
            "reject": {"type": "reject", "message": "secret-reason"},
            "edit": {"type": "edit", "edited_action": edited},
        }[action]
        given = Command(resume={"decisions": [decision]} if mode == "batched" else decision)
    result = agent.invoke(given, config)
    connection.close()
    print(json.dumps({"waits": "__interrupt__" in result, "last": str(result["messages"][-1].content)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
