# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The user's own hooks are called as before, with ours in front."""

import json
from typing import Any

import pytest
from agents import Agent, RunHooks, Runner, function_tool
from agents.testing import ScriptedModel, assistant_message, function_call

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]


def refund(amount: float) -> str:
    """Pay back."""
    return json.dumps({"paid": amount})


def refund_agent(*steps: Any, **kwargs: Any) -> Agent[Any]:
    return Agent(name="refund-agent", model=ScriptedModel(steps), tools=[function_tool(refund)], **kwargs)


CALL = [function_call("refund", '{"amount": 80}', call_id="call_1")]
DONE = [assistant_message("Done.")]


def test_the_users_hooks_get_every_event(telemetry: Any) -> None:
    seen: list[str] = []

    class Hooks(RunHooks[Any]):
        def __getattribute__(self, name: str) -> Any:
            if name.startswith("on_"):

                async def note(*args: Any) -> None:
                    seen.append(name)

                return note
            return super().__getattribute__(name)

    biller = Agent(name="biller", model=ScriptedModel([DONE]))
    agent = refund_agent(CALL, [function_call("transfer_to_biller", "{}", call_id="h")], handoffs=[biller])
    Runner.run_sync(agent, "hi", hooks=Hooks())
    assert set(seen) == {name for name in dir(RunHooks) if name.startswith("on_")}
    telemetry.check_counters()


def test_a_hook_that_raises_fails_the_run_as_before(telemetry: Any) -> None:
    class Hooks(RunHooks[Any]):
        async def on_tool_start(self, *args: Any) -> None:
            raise RuntimeError("from the hook")

    with pytest.raises(Exception, match="from the hook"):
        Runner.run_sync(refund_agent(CALL, DONE), "hi", hooks=Hooks())
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "failure"
    assert not telemetry.named("execute_tool")
    telemetry.check_counters()


def test_hooks_that_the_sdk_refuses_are_refused(telemetry: Any) -> None:
    with pytest.raises(TypeError, match="Run hooks must be instances of RunHooks"):
        Runner.run_sync(refund_agent(DONE), "hi", hooks="no hooks")  # type: ignore[arg-type]
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "failure"
