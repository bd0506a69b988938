# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The SDK's browser in a tool runner: each of its calls is a tool call, and one that did not succeed says so."""

import json
from typing import Any

import pytest

pytest.importorskip("openai.lib.browser", reason="this release has no browser")

from openai.lib.browser import BrowserToolset
from openai.lib.responses_tool_runner import ResponsesToolRunner

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]


class Driver:
    """A browser that shows one page."""

    def __init__(self) -> None:
        self.visited: list[str] = []

    def state(self) -> Any:
        return {"tabs": [{"id": "t", "title": "Shop", "url": "https://shop.example.org/", "active": True}]}

    def navigate(self, action: Any) -> None:
        self.visited.append(action["url"])


@pytest.mark.parametrize("confirms", [True, False, None])
@pytest.mark.parametrize("breaks", [False, True])
def test_a_call_of_the_browser(
    telemetry: Any, server: Any, client: Any, confirms: bool | None, breaks: bool
) -> None:
    driver: Any = Driver()
    if breaks:
        driver.visited = None

    def confirm(_: Any) -> bool:
        if confirms is None:
            raise ValueError("secret-1")
        return confirms

    browser = BrowserToolset(driver, members=["navigate"], confirm=confirm, url_policy=lambda *_: True)
    called = {
        "id": "fc_1",
        "type": "function_call",
        "call_id": "call_1",
        "name": "browser_navigate",
        "arguments": json.dumps({"tab_id": "t", "url": "https://shop.example.org/orders"}),
        "status": "completed",
    }
    server.script(server.response(called), server.response(server.message()))
    ResponsesToolRunner(browser=browser).run(client, {"model": "m", "input": "hi"})
    tool, decision = telemetry.one("execute_tool browser_navigate"), telemetry.one("policy_decision confirm")
    assert tool.attributes["gen_ai.tool.call.id"] == decision.attributes["runrecord.subject.id"] == "call_1"
    works = confirms is True and not breaks
    assert driver.visited == (None if breaks else ["https://shop.example.org/orders"] if works else [])
    outcome = {None: None, True: "allow", False: "deny"}[confirms]
    assert decision.attributes.get("runrecord.decision.outcome") == outcome
    assert tool.status.status_code.name == ("ERROR" if confirms and breaks else "UNSET")
    assert tool.attributes.get("runrecord.side_effect.committed") is (None if confirms else False)
    assert ("runrecord.result.digest" in tool.attributes) is works
    assert "secret-1" not in telemetry.exported_text()
    telemetry.check_counters()
