# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A server in a process of its own: who is told of the run, who believes it, and whose records are whose."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import ElicitResult

from runrecord.instrumentation import propagation
from runrecord.semconv.testing import assert_conforms

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

SERVER = str(Path(__file__).with_name("server_process.py"))
ERAS = ["auto", "legacy"]


class Remote:
    """What the server's process recorded."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def spans(self) -> list[dict[str, Any]]:
        return (
            [json.loads(line) for line in self._path.read_text().splitlines()] if self._path.exists() else []
        )

    @property
    def governed(self) -> list[dict[str, Any]]:
        return [span for span in self.spans if "runrecord.record.seq" in span["attributes"]]


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(tmp_path / "spans")


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "OTEL_"))}
    return {**kept, **more}


@pytest.fixture
def stdio(tmp_path: Path) -> StdioServerParameters:
    arguments = [SERVER, str(tmp_path / "spans"), "stdio"]
    return StdioServerParameters(command=sys.executable, args=arguments, env=environment())


@pytest.fixture
def http(tmp_path: Path) -> Generator[Callable[..., str], None, None]:
    """Start the server on a loopback port; returns its URL."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**more: str) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, SERVER, str(tmp_path / "spans"), str(port)]
        started.append(
            subprocess.Popen(
                command, env=environment(**more), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
        )
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return f"http://127.0.0.1:{port}/mcp"
        raise AssertionError("the server did not start")

    yield start
    for process in started:
        process.terminate()
        process.wait()
    propagation.set_policy(None)


async def yes(context: Any, params: Any) -> ElicitResult:
    return ElicitResult(action="accept", content={"agree": True})


def connected(target: Any) -> Any:
    return stdio_client(target) if isinstance(target, StdioServerParameters) else target


def agent(recorder: Any, target: Any, era: str, *, calls: int = 0) -> None:
    async def main() -> None:
        with recorder.run(agent="agent") as run:
            async with Client(connected(target), mode=era, elicitation_callback=yes) as client:
                with run.step("plan"):
                    pass
                with run.step("act"):
                    assert (await client.call_tool("look", {"order": "o-1"})).structured_content == {
                        "result": "o-1"
                    }
                    assert (await client.call_tool("refund", {"amount": 80.0})).structured_content == {
                        "result": "paid"
                    }
                amounts = [float(number) for number in range(calls)]
                confirmed = [client.call_tool("confirm", {"amount": amount}) for amount in amounts]
                results = [result.structured_content for result in await asyncio.gather(*confirmed)]
                assert results == [{"result": f"accept {amount}"} for amount in amounts]

    asyncio.run(main())


def check(telemetry: Any, remote: Remote) -> None:
    """The client asked and recorded each question for the call it was about; every source counts its own records."""
    tools = {
        span.attributes["gen_ai.tool.call.id"]: span.attributes for span in telemetry.named("execute_tool")
    }
    requests = telemetry.named("request_approval")
    for request in requests:
        call = tools[request.attributes["runrecord.subject.id"]]
        assert request.attributes["runrecord.approval.subject.digest"] == call["runrecord.arguments.digest"]
    assert len(requests) == len(telemetry.named("approval_decision")) == len(tools) - 1
    telemetry.check_counters()
    numbers: dict[Any, list[int]] = {}
    for span in remote.governed:
        facts = span["attributes"]
        numbers.setdefault((facts["runrecord.source.id"], facts["runrecord.run.id"]), []).append(
            facts["runrecord.record.seq"]
        )
    assert all(sorted(seen) == list(range(len(seen))) for seen in numbers.values())


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_a_trusted_server_takes_part_in_the_run(  # noqa: PLR0917
    telemetry: Any, recorder: Any, remote: Remote, stdio: Any, http: Any, transport: str, era: str
) -> None:
    target = stdio
    if transport == "http":
        propagation.set_policy(propagation.Policy(hosts=propagation.HostList.of("127.0.0.1")))
        target = http(RUNRECORD_PROPAGATION_ACCEPT="true")
    agent(recorder, target, era, calls=10 if era == "legacy" else 0)
    run = telemetry.one("invoke_agent").attributes["runrecord.run.id"]
    assert {span["attributes"]["runrecord.run.id"] for span in remote.governed} == {run}
    ours = telemetry.one("invoke_agent").attributes["runrecord.source.id"]
    assert ours not in {span["attributes"]["runrecord.source.id"] for span in remote.governed}
    look = next(span for span in remote.governed if span["name"] == "tools/call look")
    client = telemetry.one("execute_tool look")
    for name in (
        "gen_ai.tool.call.id",
        "runrecord.arguments.digest",
        "runrecord.result.digest",
        "runrecord.step.index",
    ):
        assert look["attributes"][name] == client.attributes[name], name
    assert look["attributes"]["runrecord.step.index"] == 1
    assert int(look["context"]["trace_id"], 16) == client.context.trace_id
    # What a person was asked is the client's to record.
    assert not [span for span in remote.governed if "approval" in span["name"]]
    assert not [span for span in remote.governed if "invoke" in span["name"]]
    check(telemetry, remote)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("believes", ["true", "false"])
def test_a_host_that_is_not_allowed_is_told_nothing(  # noqa: PLR0917
    telemetry: Any, recorder: Any, remote: Remote, http: Any, era: str, believes: str
) -> None:
    agent(recorder, http(RUNRECORD_PROPAGATION_ACCEPT=believes), era)
    runs = {span["attributes"]["runrecord.run.id"] for span in remote.governed}
    assert runs
    assert telemetry.one("invoke_agent").attributes["runrecord.run.id"] not in runs
    # It has runs of its own, with what its own people were asked.
    assert [span["name"] for span in remote.governed].count("request_approval refund") == 1
    assert {span["name"] for span in remote.governed if "invoke" in span["name"]} == {
        "invoke_workflow refunds"
    }
    check(telemetry, remote)


def test_a_server_that_does_not_believe_clients_has_runs_of_its_own(
    telemetry: Any, recorder: Any, remote: Remote, http: Any
) -> None:
    propagation.set_policy(propagation.Policy(hosts=propagation.HostList.of("127.0.0.1")))
    agent(recorder, http(), "auto")
    runs = {span["attributes"]["runrecord.run.id"] for span in remote.governed}
    assert telemetry.one("invoke_agent").attributes["runrecord.run.id"] not in runs
    check(telemetry, remote)


def test_a_session_over_bare_streams(telemetry: Any, recorder: Any, remote: Remote, stdio: Any) -> None:
    async def main() -> None:
        with recorder.run(agent="agent"):
            async with stdio_client(stdio) as (read, write), ClientSession(read, write) as session:
                await session.initialize()
                await session.call_tool("look", {"order": "o-1"})

    asyncio.run(main())
    assert {span["attributes"]["runrecord.run.id"] for span in remote.governed} == {"id-1"}
    telemetry.check_counters()


def test_a_session_that_outlives_the_run_it_was_made_in(
    telemetry: Any, recorder: Any, remote: Remote, stdio: Any
) -> None:
    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            with recorder.run(agent="agent"):
                client = await stack.enter_async_context(Client(connected(stdio)))
            with recorder.run(agent="agent"):
                await client.call_tool("look", {"order": "o-1"})
            await client.call_tool("look", {"order": "o-2"})

    asyncio.run(main())
    tools = [
        span["attributes"]["runrecord.run.id"]
        for span in remote.governed
        if span["name"] == "tools/call look"
    ]
    assert tools[0] == "id-2"
    assert tools[1] not in {"id-1", "id-2"}


def test_both_sides_conform(telemetry: Any, recorder: Any, tmp_path: Path) -> None:
    """One process stands for both, so that all of what is recorded can be judged together."""
    sys.path.insert(0, str(Path(SERVER).parent))
    try:
        import server_process
    finally:
        sys.path.pop(0)
    agent(recorder, server_process.build(), "auto")
    assert_conforms(telemetry.spans)
