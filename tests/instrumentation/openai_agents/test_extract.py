# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""From the SDK's objects to our fields; and the program in the documentation runs."""

import asyncio
import inspect
import os
import subprocess
import sys
import textwrap
from types import SimpleNamespace
from typing import Any

import pytest
from agents import Agent, RunConfig, function_tool
from hypothesis import given
from hypothesis import strategies as st

from runrecord.instrumentation import openai_agents
from runrecord.instrumentation._declared import Policy
from runrecord.instrumentation.openai_agents import extract
from runrecord.instrumentation.openai_agents.extract import Call, Ending

pytestmark = [pytest.mark.sdk]


@given(st.integers(1, 2**128 - 1))
def test_trace_ids_round_trip(number: int) -> None:
    assert extract.otel_trace_id(extract.sdk_trace_id(number)) == number


@pytest.mark.parametrize(
    "text", [None, "", "trace_", "trace_" + "0" * 32, "trace_" + "g" * 32, "ab" * 16, "no-op"]
)
def test_what_is_no_trace_id(text: str | None) -> None:
    assert extract.otel_trace_id(text) is None


def test_a_disabled_trace_has_no_id() -> None:
    assert extract.real_trace_id(SimpleNamespace(trace_id="no-op")) is None
    assert extract.state_trace_id(SimpleNamespace(_trace_state=None)) is None


def test_run_ids_differ_by_trace_and_ordinal() -> None:
    ids = [extract.run_id("trace_a"), extract.run_id("trace_b"), extract.run_id("trace_a", 1)]
    assert len(set(ids)) == 3
    assert ids[0] == extract.run_id("trace_a", 0)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"run_config": RunConfig(group_id="g"), "conversation_id": "c"}, "g"),
        ({"run_config": {"group_id": "g"}}, "g"),
        ({"conversation_id": "c", "session": SimpleNamespace(session_id="s")}, "c"),
        ({"session": SimpleNamespace(session_id="s")}, "s"),
        ({}, None),
    ],
)
def test_the_conversation(options: dict[str, Any], expected: str | None) -> None:
    assert extract.conversation_id(None, options) == expected


def test_settings_are_texts_under_our_names() -> None:
    metadata = {"runrecord.version.prompt": "p1", "runrecord.run.autonomy": 3, "customer": "secret"}
    settings = extract.settings_of({"trace_metadata": metadata})
    assert settings["runrecord.version.prompt"] == "p1"
    assert settings["runrecord.run.autonomy"] is None
    assert settings.versions == {"prompt": "p1"}
    assert extract.settings_of(None).versions == {}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"call_id": "c", "name": "t", "arguments": "{}"}, Call("c", "t", "{}")),
        ({"id": "mcpr_1", "name": "t", "arguments": "{}"}, Call("mcpr_1", "t", "{}")),
        ({"call_id": "c", "action": {"commands": ["ls"]}}, Call("c", "shell", {"commands": ["ls"]})),
    ],
)
def test_pending_calls(raw: Any, expected: Call) -> None:
    name = "shell" if "name" not in raw else None
    assert extract.pending_call(SimpleNamespace(raw_item=raw, tool_name=name)) == expected
    assert extract.pending_call(SimpleNamespace(raw_item=SimpleNamespace(**raw), tool_name=name)) == expected


def test_hints_of_a_tool_or_of_its_function() -> None:
    def pay() -> None:
        """Pay."""

    tool = function_tool(pay)
    assert extract.tool_hints(tool) == {}
    vars(tool).update(
        metadata={"readOnlyHint": False, "runrecord.side_effect.type": "pay", "destructiveHint": "x"}
    )
    assert extract.tool_hints(tool) == {"read_only": False, "effect": "pay"}


def test_policies() -> None:
    async def limit(*_: Any) -> bool:
        return True

    def noop() -> None:
        """Do nothing."""

    tool = function_tool(noop, needs_approval=limit)
    agent = Agent(name="a", tools=[tool])
    assert extract.approval_policy({"agent": agent, "tool_name": "noop"}) == Policy("limit")
    vars(limit).update(policy_id="refunds", policy_version="14", policy_rule="r")
    assert extract.approval_policy({"agent": agent, "tool_name": "noop"}) == Policy("refunds", "14", "r")
    assert (
        extract.approval_policy({"agent": agent, "tool_name": "other"})
        == extract.approval_policy({"tool_name": "x"})
        == Policy("needs_approval")
    )
    hosted = {"agent": agent, "raw_item": {"type": "mcp_approval_request", "name": "noop"}}
    assert extract.approval_policy(hosted) == Policy("require_approval")
    assert extract.needs_approval_policy(SimpleNamespace(needs_approval=lambda: True)) == Policy(
        "needs_approval"
    )
    assert extract.guardrail_policy(SimpleNamespace(guardrail_function=lambda: None)) == Policy("guardrail")


def test_endings() -> None:
    assert extract.ending(asyncio.CancelledError()) == Ending("cancelled")
    assert extract.ending(ValueError()) is None


def test_the_program_in_the_documentation_runs() -> None:
    page = inspect.getdoc(openai_agents) or ""
    program = textwrap.dedent(page.split("::\n", 1)[1].split("\n====", 1)[0])
    environment = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "agent_step act",
        "policy_decision needs_approval",
        "request_approval create_refund",
        "invoke_agent refund-agent",
        "approval_decision create_refund",
        "execute_tool create_refund",
        "agent_step act",
        "agent_step act",
        "invoke_agent refund-agent",
    ]
