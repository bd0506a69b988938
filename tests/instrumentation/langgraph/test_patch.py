# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The seams: what is missing is said once, and what was replaced is put back."""

import logging
from typing import Any

import pytest
import wrapt
from langchain.agents.middleware.types import AgentMiddleware
from langchain_core.callbacks.base import BaseCallbackHandler, BaseCallbackManager
from langchain_core.callbacks.manager import AsyncCallbackManager, CallbackManager
from langchain_core.tools import BaseTool
from langgraph.callbacks import _GraphCallbackManager
from langgraph.pregel import Pregel
from opentelemetry.instrumentation.utils import unwrap

from runrecord.instrumentation import _safety
from runrecord.instrumentation.langgraph._patches import Patches

pytestmark = pytest.mark.sdk

SEAMS = [(CallbackManager, "on_chain_start"), (BaseTool, "arun"), (Pregel, "stream"), (Pregel, "astream")]


def test_a_seam_that_is_gone_is_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_safety, "_seen", set())
    patches = Patches()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert not patches.replace(
                "langgraph.pregel", "Pregel", "no_such_method", lambda original: original
            )
            assert not patches.replace(
                "no_such_module", "Kind", "method", lambda original: original, optional=True
            )
    assert len(caplog.messages) == 1
    assert "langgraph.pregel.Pregel.no_such_method" in caplog.text


@pytest.mark.parametrize("missing", [(Pregel, "stream"), (Pregel, "astream"), (BaseTool, "arun")])
def test_without_a_seam_the_program_runs(
    agents: Any, instrument: Any, monkeypatch: pytest.MonkeyPatch, missing: Any
) -> None:
    kind, name = missing
    replace = Patches.replace

    def without(self: Any, module: str, owner: str, attribute: str, wrapper: Any, **options: Any) -> bool:
        if (owner, attribute) == (kind.__name__, name):
            return False
        return replace(self, module, owner, attribute, wrapper, **options)

    monkeypatch.setattr(Patches, "replace", without)
    instrument()
    assert agents.make("done", tools=[]).invoke(agents.ask)["messages"][-1].content == "done"


def test_everything_is_put_back(instrument: Any) -> None:
    before = [kind.__dict__[name] for kind, name in SEAMS]
    instrumentor = instrument()
    assert [kind.__dict__[name] for kind, name in SEAMS] != before
    instrumentor.uninstrument()
    assert [kind.__dict__[name] for kind, name in SEAMS] == before


@pytest.mark.parametrize("first", ["ours", "theirs"])
@pytest.mark.parametrize("last", ["ours", "theirs"])
def test_no_handler_is_left_whoever_comes_and_goes_first(
    telemetry: Any, agents: Any, instrument: Any, first: str, last: str
) -> None:
    class Theirs(BaseCallbackHandler):
        pass

    theirs = Theirs()

    def add(wrapped: Any, manager: Any, args: Any, kwargs: Any) -> None:
        wrapped(*args, **kwargs)
        manager.add_handler(theirs)

    def switch_on() -> None:  # as the official instrumentation does
        wrapt.wrap_function_wrapper("langchain_core.callbacks", "BaseCallbackManager.__init__", add)

    original = BaseCallbackManager.__init__
    if first == "theirs":
        switch_on()
    instrumentor = instrument()
    if first == "ours":
        switch_on()
    managers = (CallbackManager, AsyncCallbackManager, _GraphCallbackManager)
    for manager in managers:
        assert {type(item).__name__ for item in manager([]).handlers} == {"Theirs", "Handler"}
    if last == "theirs":
        instrumentor.uninstrument()
    unwrap(BaseCallbackManager, "__init__")
    if last == "ours":
        agents.make("done", tools=[]).invoke(agents.ask)
        assert telemetry.one("invoke_agent")
        instrumentor.uninstrument()
    assert BaseCallbackManager.__init__ is original
    assert [manager([]).handlers for manager in managers] == [[], [], []]


def test_a_later_patch_of_somebody_else_stays(
    telemetry: Any, agents: Any, instrument: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    instrumentor = instrument()
    ours = Pregel.__dict__["stream"]

    def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
        return ours(self, *args, **kwargs)

    original = ours.__wrapped__
    monkeypatch.setattr(Pregel, "stream", theirs)
    instrumentor.uninstrument()
    assert Pregel.__dict__["stream"] is theirs
    agents.make("done", tools=[]).invoke(agents.ask)
    assert telemetry.spans == []
    monkeypatch.undo()
    Pregel.stream = original


def test_the_callers_own_list_of_callbacks_is_not_changed(instrument: Any) -> None:
    instrumentor = instrument()
    mine: list[Any] = []
    manager = CallbackManager(mine)
    assert instrumentor._patches.handler not in mine
    assert manager.handlers[0] is instrumentor._patches.handler


def test_middleware_made_after_the_second_time_is_observed(
    instrument: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_safety, "_seen", set())
    instrument().uninstrument()
    assert "__init_subclass__" not in AgentMiddleware.__dict__
    instrument()

    class Later(AgentMiddleware[Any, Any, Any]):
        def wrap_tool_call(self, request: Any, handler: Any) -> Any:
            return handler(request)

    assert hasattr(Later.wrap_tool_call, "__wrapped__")
    assert caplog.messages == []


def test_a_patch_of_somebody_else_below_ours_is_called_as_it_was(
    telemetry: Any, agents: Any, instrument: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[type, int]] = []

    def theirs(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        seen.append((type(instance), len(args)))
        return wrapped(*args, **kwargs)

    monkeypatch.setattr(
        BaseCallbackManager, "__init__", wrapt.FunctionWrapper(BaseCallbackManager.__init__, theirs)
    )
    instrument()
    agents.make("done", tools=[]).invoke(agents.ask)
    assert telemetry.one("invoke_agent")
    assert seen
    assert all(issubclass(kind, BaseCallbackManager) for kind, _ in seen)
