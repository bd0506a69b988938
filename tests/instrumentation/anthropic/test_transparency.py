# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The same program with and without the instrumentation: equal requests, results, exceptions and types."""

import asyncio
from typing import Any

import pytest
from anthropic import beta_async_tool, beta_tool
from anthropic.lib.tools import ToolError

from runrecord.instrumentation.anthropic import AnthropicInstrumentor

pytestmark = [pytest.mark.sdk]

PLANTED = "planted-7f3a"
PARAMS: Any = {
    "model": "m",
    "max_tokens": 100,
    "system": f"You help {PLANTED}.",
    "messages": [{"role": "user", "content": PLANTED}],
}
SESSION = "sesn_1"
HELLO: Any = {"type": "user.message", "content": [{"type": "text", "text": PLANTED}]}


def program(server: Any, client: Any, make: Any) -> list[Any]:
    """Do a little of everything; return what an application sees of it."""
    seen: list[Any] = []

    @beta_tool
    def lookup(order: str) -> str:
        """Look up an order."""
        if "bad" in order:
            raise ToolError(f"no such order {PLANTED}")
        return f"found {order} {PLANTED}"

    @beta_async_tool
    async def alookup(order: str) -> str:
        """Look up an order."""
        return f"found {order}"

    done = {"type": "text", "text": f"Done, {PLANTED}."}
    uses = [server.use(order=PLANTED), server.use(call_id="toolu_2", order=f"bad {PLANTED}")]
    for stream in (False, True):
        server.script(server.calls(*uses, id="msg_a"), server.message(done, id="msg_b"))
        runner = client.beta.messages.tool_runner(**PARAMS, tools=[lookup], stream=stream)
        for turn in runner:
            seen.append(type(turn).__name__)
            if stream:
                seen.extend(event.type for event in turn)
        seen.append(runner.until_done().to_dict())

    async def main() -> None:
        async with make() as made:
            server.script(server.calls(server.use("alookup"), id="msg_c"), server.message(id="msg_d"))
            runner = made.beta.messages.tool_runner(**PARAMS, tools=[alookup])
            seen.extend([message.to_dict() async for message in runner])
            with pytest.raises(TypeError) as caught:
                await made.messages.create(model="m")
            seen.append(str(caught.value))

    asyncio.run(main())
    server.script((529, {"type": "error", "error": {"type": "overloaded_error", "message": PLANTED}}))
    with pytest.raises(Exception) as caught:
        client.messages.create(**PARAMS)
    seen.append((type(caught.value).__name__, str(caught.value)))
    server.script(server.message(id="msg_e"))
    with client.messages.stream(**PARAMS) as events:
        seen.append("".join(events.text_stream))
        seen.append(events.get_final_message().to_dict())
    raw = client.messages.with_raw_response.create(**PARAMS)
    seen.append((type(raw).__name__, raw.parse().to_dict(), raw.http_response.status_code))
    asked, called = server.wants(note=PLANTED), server.wants("read", "allow")
    found = {"tool_use_id": called["id"], "content": [done], "is_error": True}
    happened = [asked, called, server.event("agent.tool_result", **found)]
    server.turns = [
        [*server.running(), *happened, server.idle("requires_action", event_ids=[asked["id"]])],
        [*server.running(), server.idle()],
    ]
    with client.beta.sessions.events.stream(SESSION) as stream:
        seen.append(type(stream).__name__)
        sent = client.beta.sessions.events.send(SESSION, events=[HELLO])
        seen.append(type(sent).__name__)
        for event in stream:
            seen.append(event.type)
            if event.type == "session.status_idle":
                break
    answer: Any = {"type": "user.tool_confirmation", "tool_use_id": asked["id"], "result": "deny"}
    client.beta.sessions.events.send(SESSION, events=[{**answer, "deny_message": f"No, {PLANTED}."}])
    page = client.beta.sessions.events.list(SESSION)
    seen.extend((type(page).__name__, [event.type for event in page]))
    return seen


def test_the_same_with_and_without_and_no_content_leaves(
    telemetry: Any, recorder: Any, server: Any, client: Any, async_client: Any
) -> None:
    bare = program(server, client, async_client)
    requests, server.requests = server.requests, []
    server.history.clear()
    instrumentor = AnthropicInstrumentor()
    instrumentor.instrument(recorder=recorder)
    ours = program(server, client, async_client)
    instrumentor.uninstrument()
    assert ours == bare
    assert server.requests == requests
    made = len(telemetry.spans)
    kinds = {span.name.partition(" ")[0] for span in telemetry.spans}
    assert kinds >= {"invoke_agent", "agent_step", "execute_tool", "request_approval", "approval_decision"}
    assert PLANTED not in telemetry.exported_text()
    assert PLANTED not in "".join(entry.to_json() for entry in telemetry.store._entries.values())
    server.history.clear()
    assert program(server, client, async_client) == bare
    assert len(telemetry.spans) == made  # nothing is left after it is switched off


def test_an_error_of_ours_costs_telemetry_only(
    monkeypatch: pytest.MonkeyPatch, telemetry: Any, recorder: Any, server: Any, client: Any
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    instrumentor = AnthropicInstrumentor()
    instrumentor.instrument(recorder=recorder)
    monkeypatch.setattr(type(recorder), "run", lambda *args, **kwargs: 1 / 0)

    @beta_tool
    def lookup(order: str) -> str:
        """Look up an order."""
        return f"found {order}"

    server.script(server.calls(server.use()), server.message())
    result = client.beta.messages.tool_runner(**PARAMS, tools=[lookup]).until_done()
    assert result.content[0].text == "Done."
    server.turns = [[*server.running(), server.wants(), server.idle()]]
    with client.beta.sessions.events.stream(SESSION) as stream:
        client.beta.sessions.events.send(SESSION, events=[HELLO])
        for event in stream:
            if event.type == "session.status_idle":
                break
    instrumentor.uninstrument()
    assert telemetry.spans == []
