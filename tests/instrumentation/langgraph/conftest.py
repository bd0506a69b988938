# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The real SDK, a model that follows a script, and the instrumentor switched on for one test."""

import inspect
import json
import re
from collections.abc import Callable, Generator, Iterator
from typing import Annotated, Any, TypedDict

import pytest

pytest.importorskip("langgraph")
pytest.importorskip("langchain")

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware, human_in_the_loop
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

from runrecord.instrumentation.langgraph import LangGraphInstrumentor

# What the SDK has grown since our lower bound: a test with such a parameter has nothing to test without it.
_REVIEW = inspect.getsource(human_in_the_loop)
_LATER = {
    word for word in ("per_call", "respond", "when") if not re.search(rf"\b{word}\b\W*[:\]\",]", _REVIEW)
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    missing = [
        item
        for item in items
        if _LATER & {str(v) for v in getattr(getattr(item, "callspec", None), "params", {}).values()}
    ]
    config.hook.pytest_deselected(items=missing)
    items[:] = [item for item in items if item not in missing]


class Scripted(GenericFakeChatModel):
    """Says what the script says; takes tools and ignores them."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> "Scripted":
        return self

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        said: Any = next(self.messages)
        calls = [
            {"name": item["name"], "args": json.dumps(item["args"]), "id": item["id"], "index": index}
            for index, item in enumerate(said.tool_calls)
        ]
        yield ChatGenerationChunk(message=AIMessageChunk(said.content, tool_call_chunks=calls))


def call(name: str, call_id: str = "call_1", **args: Any) -> dict[str, Any]:
    return {"name": name, "args": args, "id": call_id, "type": "tool_call"}


class Agents:
    """Makes agents whose model says a script: each turn a list of tool calls, or a text."""

    call = staticmethod(call)

    def model(self, *turns: Any) -> Scripted:
        messages = [
            AIMessage(turn) if isinstance(turn, str) else AIMessage("", tool_calls=list(turn))
            for turn in turns
        ]
        return Scripted(messages=iter(messages))

    def counting(self, *turns: Any) -> Scripted:
        """Make a model that says how many tokens it took."""
        usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
        said = [AIMessage(**{**dict(item), "usage_metadata": usage}) for item in self.model(*turns).messages]
        return Scripted(messages=iter(said))

    def make(self, *turns: Any, model: Any = None, **kwargs: Any) -> Any:
        kwargs.setdefault("name", "helper")
        return create_agent(model or self.model(*turns), **kwargs)

    def review(self, interrupt_on: Any, interrupt_mode: str) -> HumanInTheLoopMiddleware[Any, Any, Any]:
        mode: Any = {} if interrupt_mode == "batched" else {"interrupt_mode": interrupt_mode}
        return HumanInTheLoopMiddleware(interrupt_on, **mode)

    def saver(self) -> InMemorySaver:
        return InMemorySaver()

    def config(self, thread: str = "thread-1", **configurable: Any) -> dict[str, Any]:
        return {"configurable": {"thread_id": thread, **configurable}}

    @property
    def ask(self) -> dict[str, Any]:
        return {"messages": [("user", "please")]}


def add(values: list[str], more: list[str]) -> list[str]:
    return values + more


class State(TypedDict):
    seen: Annotated[list[str], add]


def straight(**nodes: Any) -> StateGraph[Any, Any, Any, Any]:
    """Make a graph of nodes, one after the other."""
    builder = StateGraph(State)
    names = list(nodes)
    for name, node in nodes.items():
        builder.add_node(name, node)
    for before, after in zip([START, *names], [*names, END], strict=True):
        builder.add_edge(before, after)
    return builder


@pytest.fixture
def graph() -> Any:
    return straight


@pytest.fixture
def new_graph() -> Any:
    return lambda: StateGraph(State)


@pytest.fixture
def mark() -> Any:
    """A node that says that it ran."""
    return lambda name: lambda state: {"seen": [name]}


@pytest.fixture
def lookup() -> Any:
    @tool
    def lookup(order: str) -> str:
        """Look an order up."""
        return f"order {order}"

    return lookup


@pytest.fixture
def broken() -> Any:
    @tool
    def broken(order: str) -> str:
        """Fail."""
        raise LookupError(f"no order {order}")

    return broken


@pytest.fixture
def agents() -> Agents:
    return Agents()


@pytest.fixture
def instrument(telemetry: Any) -> Generator[Callable[..., LangGraphInstrumentor], None, None]:
    instrumentor = LangGraphInstrumentor()

    def switch_on(**kwargs: Any) -> LangGraphInstrumentor:
        instrumentor.instrument(**{"recorder": telemetry.recorder(), **kwargs})
        return instrumentor

    yield switch_on
    if instrumentor.is_instrumented_by_opentelemetry:
        tracker = instrumentor._patches.handler._tracker
        instrumentor.uninstrument()
        assert (tracker._entries, tracker._graphs) == ({}, {}), "something is still held after the runs"


@pytest.fixture
def on(instrument: Any) -> Any:
    return instrument()
