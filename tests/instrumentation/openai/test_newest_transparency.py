# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A tool runner is the same with and without us: what it returns, sends, asks, says on the way and raises."""

import json
from typing import Any

import pytest

pytest.importorskip("openai.lib.responses_tool_runner", reason="this release has no tool runners")

from openai.lib.responses_tool_runner import RegisteredFunction, ResponsesToolRunner, ToolRunnerError

from runrecord.instrumentation.openai import OpenAIInstrumentor

pytestmark = [pytest.mark.sdk]

PLANTED = "planted-7f3a"
LOOKUP: Any = {"type": "function", "name": "lookup", "parameters": {"type": "object"}, "strict": None}


def call(number: int) -> dict[str, Any]:
    return {
        "id": f"fc_{number}",
        "type": "function_call",
        "call_id": f"call_{number}",
        "name": "lookup",
        "arguments": json.dumps({"order": PLANTED}),
        "status": "completed",
    }


def story(server: Any, client: Any, stream: bool) -> list[Any]:
    """Everything that an application can see of its runs."""
    seen: list[Any] = []

    def lookup(arguments: dict[str, object], *, cancelled: Any) -> str:
        seen.append(("lookup", arguments, cancelled is None))
        if len(server.requests) > 3:
            raise ValueError(PLANTED)
        return f"found {PLANTED}"

    def approve(item: Any) -> bool:
        seen.append(("approve", item.to_dict()))
        return True

    def heard(said: Any) -> None:
        seen.append({**said, "duration_ms": None})
        raise RuntimeError(PLANTED)  # which the runner does not mind

    options: dict[str, Any] = {
        "stream": stream,
        "approve_mcp": approve,
        "on_diagnostic": heard,
        "cancelled": lambda: seen.append("cancelled?"),
    }
    message = {**server.message(PLANTED), "id": "msg_1"}
    answers = [[call(1)], [server.ASKS], [server.RAN, message], [call(2)]]
    server.script(*({**server.response(*output), "id": "resp"} for output in answers))
    server.requests = []
    function: Any = lookup  # which takes what the runner offers beside the arguments
    runner = ResponsesToolRunner(functions=[RegisteredFunction(LOOKUP, function)])
    params: Any = {"model": "m", "input": PLANTED, "tools": [server.MCP]}
    for turn in runner.iterate(client, params, **options):
        seen.append(  # noqa: PERF401  # the callbacks append, too
            (turn.step, turn.final, turn.attempted_call_ids, turn.completed_call_ids, turn.response.to_dict())
        )
    with pytest.raises(ToolRunnerError) as caught:
        runner.run(client, params, **options)
    seen.append((str(caught.value), caught.value.attempted_call_ids, caught.value.completed_call_ids))
    return [*seen, server.requests, runner.close()]


@pytest.mark.parametrize("stream", [False, True])
def test_same_runs_with_and_without_and_no_content_leaves(
    telemetry: Any, recorder: Any, server: Any, client: Any, stream: bool
) -> None:
    without = story(server, client, stream)
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(recorder=recorder)
    try:
        with_us = story(server, client, stream)
    finally:
        instrumentor.uninstrument()
    assert json.dumps(with_us, sort_keys=True) == json.dumps(without, sort_keys=True)
    assert [span.attributes["runrecord.run.outcome"] for span in telemetry.named("invoke_agent")] == [
        "success",
        "failure",
    ]
    assert len(telemetry.named("execute_tool")) == 3
    assert PLANTED not in telemetry.exported_text()
    telemetry.check_counters()


def test_switched_off_the_runners_are_what_they_were(recorder: Any) -> None:
    from openai.lib import browser, computer, decisions_tool_runner, responses_tool_runner

    def patched() -> list[Any]:
        return [
            *(
                vars(vars(responses_tool_runner)[f"{kind}ResponsesToolRunner"])[name]
                for kind in ("", "Async")
                for name in ("iterate", "_execute_function")
            ),
            *(
                vars(vars(decisions_tool_runner)[f"{kind}DecisionsToolRunner"])["run"]
                for kind in ("", "Async")
            ),
            vars(decisions_tool_runner)["invoke"],
            *(
                vars(vars(computer)[f"{kind}ComputerToolset"])[name]
                for kind in ("", "Async")
                for name in ("run", "_dispatch")
            ),
            *(vars(vars(browser)[f"{kind}BrowserToolset"])["_execute"] for kind in ("", "Async")),
        ]

    before = patched()
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(recorder=recorder)
    assert all(now is not then for now, then in zip(patched(), before, strict=True))
    instrumentor.uninstrument()
    assert all(now is then for now, then in zip(patched(), before, strict=True))
