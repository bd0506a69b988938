# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Streams: the SDK's own objects; a run ends once, whether its stream is read to the end, given up, left unread or broken."""

import asyncio
import gc
from typing import Any

import openai
import pytest
from openai import AsyncStream, Stream

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]


def ended(telemetry: Any) -> list[Any]:
    run = telemetry.one("invoke_agent")
    telemetry.check_counters()
    names = ("state", "stop_reason", "outcome")
    return [run.attributes.get(f"runrecord.run.{name}") for name in names]


def asked(server: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "input": "hi", "tools": [server.MCP], **more}


def test_read_to_the_end(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.response(server.ASKS))
    stream: Any = client.responses.create(stream=True, **asked(server))
    assert type(stream) is Stream
    assert [event.type for event in stream][-1] == "response.completed"
    assert ended(telemetry) == ["suspended", "approval", None]
    assert len(telemetry.named("request_approval")) == 1


def test_read_to_the_end_asynchronously(telemetry: Any, server: Any, async_client: Any) -> None:
    async def main() -> None:
        async with async_client() as made:
            stream: Any = await made.responses.create(stream=True, **asked(server))
            assert type(stream) is AsyncStream
            assert [event.type async for event in stream][-1] == "response.completed"

    server.script(server.response(server.RAN, server.message()))
    asyncio.run(main())
    assert ended(telemetry) == ["completed", None, "success"]
    assert telemetry.one("execute_tool create_refund")


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_stream_of_a_raw_response(
    telemetry: Any, server: Any, client: Any, async_client: Any, asynchronous: bool
) -> None:
    async def main() -> None:
        async with async_client() as made:
            raw = await made.responses.with_raw_response.create(stream=True, **asked(server))
            assert [event.type async for event in raw.parse()][-1] == "response.completed"

    server.script(server.response(server.ASKS))
    if asynchronous:
        asyncio.run(main())
    else:
        raw = client.responses.with_raw_response.create(stream=True, **asked(server))
        assert [event.type for event in raw.parse()][-1] == "response.completed"
    assert ended(telemetry) == ["suspended", "approval", None]


def test_given_up(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.response(server.message()))
    with client.responses.create(stream=True, **asked(server)) as stream:
        next(stream)
    assert ended(telemetry) == ["completed", None, "abandoned"]


def test_given_up_asynchronously(telemetry: Any, server: Any, async_client: Any) -> None:
    async def main() -> None:
        async with async_client() as made:
            async with await made.responses.create(stream=True, **asked(server)) as stream:
                await stream.__anext__()
            assert ended(telemetry) == ["completed", None, "abandoned"]

    server.script(server.response(server.message()))
    asyncio.run(main())


def test_given_up_after_a_person_was_asked(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.response(server.ASKS))
    with client.responses.create(stream=True, **asked(server)) as stream:
        for event in stream:
            if event.type == "response.output_item.done":
                break
    assert telemetry.one("request_approval")
    assert ended(telemetry) == ["suspended", "approval", None]


def test_never_read(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.response(server.message()))
    stream: Any = client.responses.create(stream=True, **asked(server))
    stream.response.close()
    del stream
    gc.collect()
    assert ended(telemetry) == ["completed", None, "abandoned"]


def test_the_connection_breaks(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.response(server.message()))
    server.cut = 1
    with pytest.raises(Exception, match=r"peer closed|Connection error") as caught:
        list(client.responses.create(stream=True, **asked(server)))
    assert ended(telemetry) == ["completed", None, "failure"]
    run = telemetry.one("invoke_agent")
    assert run.attributes["error.type"].endswith(caught.type.__name__)


def test_a_response_that_failed(telemetry: Any, server: Any, client: Any) -> None:
    error = {"code": "server_error", "message": "secret-1"}
    server.script(server.response(status="failed", error=error))
    list(client.responses.create(stream=True, **asked(server)))
    assert ended(telemetry) == ["completed", None, "failure"]
    assert telemetry.one("invoke_agent").attributes["error.type"] == "server_error"
    assert "secret-1" not in telemetry.exported_text()


def test_the_helper_read_to_the_end(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.response(server.ASKS))
    with client.responses.stream(**asked(server)) as stream:
        assert stream.get_final_response().output[0].id == "mcpr_1"
    assert ended(telemetry) == ["suspended", "approval", None]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_helper_given_up(
    telemetry: Any, server: Any, client: Any, async_client: Any, asynchronous: bool
) -> None:
    async def main() -> None:
        async with async_client() as made, made.responses.stream(**asked(server)) as stream:
            async for _ in stream:
                break

    server.script(server.response(server.message()))
    if asynchronous:
        asyncio.run(main())
    else:
        with client.responses.stream(**asked(server)) as stream:
            for _ in stream:
                break
    assert ended(telemetry) == ["completed", None, "abandoned"]


def test_a_cancelled_task(telemetry: Any, server: Any, async_client: Any) -> None:
    async def main() -> None:
        async with async_client() as made:
            stream: Any = await made.responses.create(stream=True, **asked(server))

            async def read() -> None:
                async for _ in stream:
                    seen.set()
                    await asyncio.Event().wait()

            seen = asyncio.Event()
            task = asyncio.create_task(read())
            await seen.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await stream.close()

    server.script(server.response(server.message()))
    asyncio.run(main())
    assert ended(telemetry)[2] in {"abandoned", "cancelled"}


def test_a_refusal_in_a_chat_stream_has_one_decision(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.completion(message={"role": "assistant", "content": None, "refusal": "no"}))
    messages: Any = [{"role": "user", "content": "hi"}]
    with client.chat.completions.stream(model="m", messages=messages) as stream:
        for _ in stream:
            pass
    assert telemetry.one("policy_decision refusal")
    assert ended(telemetry) == ["completed", "refusal", "denied"]


def test_a_chat_stream_that_ends_before_it_is_over_is_an_error_of_the_application_only(
    telemetry: Any, server: Any, client: Any
) -> None:
    server.script((500, {"error": {"message": "x"}}))
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="m", messages=[], stream=True)
    assert not telemetry.spans
