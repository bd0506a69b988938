# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Computer use: safety checks as a policy and an approval, the application's own check of each action, and the actions."""

from typing import Any

import pytest

from runrecord.instrumentation.openai import approval_key

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

CLICK = {"type": "click", "x": 1, "y": 2, "button": "left"}
CALL = {
    "id": "cu_1",
    "type": "computer_call",
    "call_id": "call_1",
    "status": "completed",
    "action": CLICK,
    "pending_safety_checks": [
        {"id": "sc_1", "code": "malicious_instructions", "message": "secret-1"},
        {"id": "sc_2", "code": "irrelevant_domain", "message": "secret-1"},
    ],
}
TOOL = {"type": "computer_use_preview", "display_width": 9, "display_height": 9, "environment": "browser"}


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


def test_checks_that_the_application_acknowledges_itself(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.response(CALL), server.response(server.message()))
    first = client.responses.create(model="m", input="hi", tools=[TOOL])
    answer = {
        "type": "computer_call_output",
        "call_id": "call_1",
        "acknowledged_safety_checks": CALL["pending_safety_checks"],
        "output": {"type": "computer_screenshot", "image_url": "data:image/png;base64,eA=="},
    }
    client.responses.create(model="m", input=[answer], previous_response_id=first.id, tools=[TOOL])
    assert [line.strip() for line in telemetry.tree()] == [
        "invoke_agent",
        "agent_step act",
        "policy_decision safety_checks",
        "policy_decision safety_checks",
        "request_approval computer",
        "invoke_agent",
        "agent_step act",
        "approval_decision computer",
    ]
    assert [facts(span, "policy.rule.id")[0] for span in telemetry.named("policy_decision")] == [
        "malicious_instructions",
        "irrelevant_domain",
    ]
    assert facts(telemetry.one("approval_decision"), "approval.status") == ["approved"]
    assert [facts(span, "run.state")[0] for span in telemetry.named("invoke_agent")] == [
        "suspended",
        "completed",
    ]
    assert telemetry.store.get(approval_key("call_1")).closed
    assert "secret-1" not in telemetry.exported_text()
    telemetry.check_counters()


class Driver:
    """A computer of which nothing happens."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def act(*_: Any, **__: Any) -> None:
            self.done.append(name)

        return act

    def screenshot(self) -> Any:
        return {"type": "computer_screenshot", "image_url": "data:image/png;base64,eA=="}


@pytest.mark.newest
@pytest.mark.parametrize("checks", [True, False, None])
@pytest.mark.parametrize("before", [True, False, None])
def test_the_sdks_computer(telemetry: Any, server: Any, client: Any, checks: Any, before: Any) -> None:
    pytest.importorskip("openai.lib.computer", reason="this release has no computer")
    from openai.lib.computer import ComputerToolset, ComputerUseError

    call = {**CALL, "actions": [CLICK]}
    call.pop("action")
    server.script(server.response(call), server.response(server.message()))
    asked: dict[str, Any] = {}
    seen: list[str] = []

    def may(action: Any) -> Any:
        seen.append(action.type)
        return before

    if checks is not None:

        def answers(_: Any) -> Any:
            return checks

        asked["approve_safety_checks"] = answers
    if before is not None:
        asked["before_action"] = may
        may.policy_id = "screen"  # type: ignore[attr-defined]
    driver: Any = Driver()
    done: list[str] = driver.done
    params: Any = {"model": "m", "input": "hi"}
    allowed = checks is True and before is not False
    try:
        ComputerToolset(driver).run(client, params, **asked)
    except ComputerUseError:
        assert not allowed
    else:
        assert allowed
    assert ("click" in done) is allowed
    assert len(telemetry.named("request_approval")) == 1
    answered = [facts(span, "approval.status")[0] for span in telemetry.named("approval_decision")]
    assert answered == ([] if checks is None else ["approved" if checks else "denied"])
    judged = telemetry.named("policy_decision screen")
    assert len(judged) == len(seen)
    assert all(facts(span, "decision.outcome") == ["allow" if before else "deny"] for span in judged)
    tool = telemetry.one("execute_tool computer")
    assert facts(tool, "arguments.digest") == facts(
        telemetry.one("request_approval"), "approval.subject.digest"
    )
    assert tool.status.status_code.name == "UNSET"
    assert facts(tool, "side_effect.committed") == [None if checks else False]
    outcome = "success" if allowed else "denied"
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == [outcome]
    telemetry.check_counters()
