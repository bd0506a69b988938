# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A graph of LangGraph in a workflow, by Temporal's own plug-in: one node runs in the workflow, the others are activities."""

from datetime import timedelta
from typing import Any, TypedDict

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from langchain_core.tools import tool
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.graph import END, START, StateGraph
    from langgraph.types import Command, interrupt
    from temporalio.langgraph import LangGraphPlugin, graph

PLANTED = "planted-4111-secret"
paid: list[float] = []


class State(TypedDict, total=False):
    """What the nodes share."""

    amount: float
    agreed: bool
    said: str


def look(state: State) -> State:
    """An activity in a thread."""
    return {"said": f"{PLANTED} {state['amount']}"}


async def ask(state: State) -> State:
    """Ask a person; runs again from its start when the answer comes."""
    return {"agreed": interrupt({"question": f"Refund {PLANTED}?"}) is True}


@tool
async def create_refund(amount: float, note: str) -> str:
    """Pay back."""
    paid.append(amount)
    return f"{note} paid"


create_refund.metadata = {"runrecord.side_effect.type": "pay"}


async def pay(state: State) -> State:
    """An activity that calls a tool."""
    if not state["agreed"]:
        return {"said": "no"}
    arguments = {"amount": state["amount"], "note": PLANTED}
    called = {"type": "tool_call", "id": "call_1", "name": "create_refund", "args": arguments}
    return {"said": str(await create_refund.ainvoke(called))}


async def review(_state: State) -> State:
    """Ask about two tool calls at once, as HumanInTheLoopMiddleware does."""
    actions = [
        {"name": "create_refund", "args": {"amount": amount, "note": PLANTED}} for amount in (1.0, 2.0)
    ]
    decided: Any = interrupt({"action_requests": actions, "review_configs": []})
    return {"said": " ".join(decision["type"] for decision in decided["decisions"])}


def plugin(asks_in: str) -> Any:
    """Return Temporal's plug-in with the graph."""
    made = StateGraph(State)
    made.add_node("look", look, metadata={"execute_in": "activity"})
    made.add_node("ask", ask, metadata={"execute_in": asks_in})
    made.add_node("pay", pay, metadata={"execute_in": "activity"})
    made.add_edge(START, "look")
    made.add_edge("look", "ask")
    made.add_edge("ask", "pay")
    made.add_edge("pay", END)
    soon = {"start_to_close_timeout": timedelta(seconds=20)}
    batch = StateGraph(State)
    batch.add_node("review", review, metadata={"execute_in": asks_in})
    batch.add_edge(START, "review")
    batch.add_edge("review", END)
    return LangGraphPlugin(graphs={"refund": made, "batch": batch}, default_activity_options=soon)


@workflow.defn
class GraphWorkflow:
    def __init__(self) -> None:
        self.answer: bool | None = None
        self.waits = False

    @workflow.run
    async def run(self, amount: float) -> str:
        app = graph("refund").compile(checkpointer=InMemorySaver())
        config: Any = {"configurable": {"thread_id": "1"}}
        result = await app.ainvoke({"amount": amount}, config)
        if "__interrupt__" in result:
            self.waits = True
            await workflow.wait_condition(lambda: self.answer is not None)
            result = await app.ainvoke(Command(resume=self.answer), config)
        return str(result["agreed"])

    @workflow.query
    def waiting(self) -> bool:
        return self.waits

    @workflow.signal
    def decide(self, answer: bool) -> None:
        self.answer = answer


@workflow.defn
class BatchWorkflow:
    def __init__(self) -> None:
        self.answer: list[Any] = []

    @workflow.run
    async def run(self) -> str:
        app = graph("batch").compile(checkpointer=InMemorySaver())
        config: Any = {"configurable": {"thread_id": "1"}}
        async for _ in app.astream({}, config, stream_mode="updates"):
            pass
        await workflow.wait_condition(lambda: bool(self.answer))
        given = Command(resume={"decisions": self.answer})
        results = [item async for item in app.astream(given, config, stream_mode=["values"])]
        return str(results[-1][-1]["said"])

    @workflow.update
    def decide(self, answer: list[Any]) -> None:
        self.answer = answer
