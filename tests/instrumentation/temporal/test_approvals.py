# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Requests and answers: each once, bound to what ran, over replays, restarts and three days."""

from typing import Any

import pytest
from temporal_program import PLANTED, Answer, RefundWorkflow, paid
from temporalio.client import WorkflowUpdateFailedError

from runrecord.instrumentation.temporal import answering

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


def segments(telemetry: Any) -> list[list[Any]]:
    """Without those that a worker gave up in their middle."""
    every = (
        facts(span, "run.segment", "run.state", "run.outcome", "run.stop_reason")
        for span in telemetry.named("invoke_workflow")
    )
    return sorted(found[:3] for found in every if found[3] != "handed_over")


async def asked(handle: Any, until: Any, telemetry: Any) -> None:
    await until(lambda: telemetry.named("request_approval"))
    assert await handle.query(RefundWorkflow.is_asked)


def test_an_update_approves(telemetry: Any, temporal: Any, until: Any) -> None:
    async def main(t: Any) -> str:
        async with t.worker():
            handle = await t.start(RefundWorkflow.run, "bob")
            await asked(handle, until, telemetry)
            with answering("u-17"):
                assert await handle.execute_update(RefundWorkflow.decide, Answer("approve")) == "noted"
            return await handle.result()

    assert temporal.run(main) == "paid 80.0"
    assert telemetry.tree() == [
        "invoke_workflow RefundWorkflow",
        "  agent_step act",
        "  policy_decision refunds",
        "  request_approval create_refund",
        "  invoke_workflow RefundWorkflow",
        "    policy_decision decide",
        "    approval_decision create_refund",
        "    agent_step act",
        "      execute_tool create_refund",
    ]
    assert segments(telemetry) == [[0, "suspended", None], [1, "completed", "success"]]
    request, decision = telemetry.one("request_approval"), telemetry.one("approval_decision")
    call, update = telemetry.one("execute_tool"), telemetry.one("policy_decision decide")
    assert facts(decision, "approval.status", "approval.actor.type", "approval.actor.ref") == [
        "approved",
        "human",
        "u-17",
    ]
    assert decision.links[0].context.span_id == request.context.span_id
    assert facts(request, "approval.channel", "approval.status") == ["web", "pending"]
    assert facts(request, "approval.deadline") != [None]
    digests = {*facts(request, "approval.subject.digest"), *facts(decision, "approval.subject.digest")}
    assert {*digests, *facts(call, "arguments.digest")} == digests
    assert len(digests) == 1
    assert facts(call, "approval.id") == facts(request, "approval.id")
    assert [call.attributes["gen_ai.tool.call.id"]] == facts(request, "subject.id")
    assert facts(update, "decision.outcome", "subject.name") == ["allow", "decide"]
    assert facts(call, "side_effect.type", "side_effect.committed", "tool.destructive") == ["pay", True, True]
    assert PLANTED not in telemetry.exported_text()
    telemetry.check_counters()


@pytest.mark.parametrize("how", ["update", "signal"])
@pytest.mark.parametrize("cached", [0, 100])
def test_a_person_denies(telemetry: Any, temporal: Any, until: Any, how: str, cached: int) -> None:
    async def main(t: Any) -> str:
        async with t.worker(max_cached_workflows=cached):
            handle = await t.start(RefundWorkflow.run, "bob")
            await asked(handle, until, telemetry)
            if how == "update":
                await handle.execute_update(RefundWorkflow.decide, Answer("reject"))
            else:
                await handle.signal(RefundWorkflow.reject, PLANTED)
            return await handle.result()

    assert temporal.run(main) == "refused"
    assert not paid
    assert facts(telemetry.one("approval_decision"), "approval.status", "approval.actor.type") == [
        "denied",
        "service",
    ]
    assert segments(telemetry) == [[0, "suspended", None], [1, "completed", "denied"]]
    assert not telemetry.named("execute_tool")
    assert PLANTED not in telemetry.exported_text()
    telemetry.check_counters()


def test_a_signal_without_arguments_answers_by_its_name(telemetry: Any, temporal: Any, until: Any) -> None:
    async def main(t: Any) -> str:
        async with t.worker():
            handle = await t.start(RefundWorkflow.run, "bob")
            await asked(handle, until, telemetry)
            await handle.signal(RefundWorkflow.approve)
            return await handle.result()

    assert temporal.run(main) == "paid 80.0"
    assert facts(telemetry.one("approval_decision"), "approval.status") == ["approved"]
    telemetry.check_counters()


def test_an_answer_that_is_neither_yes_nor_no_is_an_answer(telemetry: Any, temporal: Any, until: Any) -> None:
    async def main(t: Any) -> str:
        async with t.worker():
            handle = await t.start(RefundWorkflow.run, "bob")
            await asked(handle, until, telemetry)
            await handle.signal(RefundWorkflow.say, f"hm, {PLANTED}")
            return await handle.result()

    assert temporal.run(main) == "refused"
    assert facts(telemetry.one("approval_decision"), "approval.status") == ["answered"]
    assert segments(telemetry)[-1] == [1, "completed", "success"]
    assert PLANTED not in telemetry.exported_text()
    telemetry.check_counters()


def test_other_arguments_than_shown(telemetry: Any, temporal: Any, until: Any) -> None:
    async def main(t: Any) -> str:
        async with t.worker():
            handle = await t.start(RefundWorkflow.run, "bob")
            await asked(handle, until, telemetry)
            await handle.execute_update(RefundWorkflow.decide, Answer("approve", amount=60.0))
            return await handle.result()

    assert temporal.run(main) == "paid 60.0"
    decision, call = telemetry.one("approval_decision"), telemetry.one("execute_tool")
    assert facts(decision, "approval.status", "approval.actor.ref", "approval.actor.type") == [
        "modified",
        "u-17",
        "human",
    ]
    assert facts(decision, "approval.subject.modified_digest") == facts(call, "arguments.digest")
    assert facts(decision, "approval.subject.digest") == facts(
        telemetry.one("request_approval"), "approval.subject.digest"
    )
    assert facts(decision, "approval.subject.digest") != facts(call, "arguments.digest")
    telemetry.check_counters()


def test_nobody_answers_for_three_days(telemetry: Any, temporal: Any) -> None:
    async def main(t: Any) -> str:
        async with t.worker():
            handle = await t.start(RefundWorkflow.run, "bob")
            return await handle.result()

    assert temporal.run(main, skip_time=True) == "expired"
    decision = telemetry.one("approval_decision")
    assert facts(decision, "approval.status") == ["expired"]
    assert facts(decision, "approval.wait_seconds")[0] == pytest.approx(3 * 24 * 3600, abs=60)
    assert segments(telemetry) == [[0, "suspended", None], [1, "completed", "denied"]]
    telemetry.check_counters()


def test_the_workflow_is_cancelled_while_it_waits(telemetry: Any, temporal: Any, until: Any) -> None:
    async def main(t: Any) -> str:
        async with t.worker():
            handle = await t.start(RefundWorkflow.run, "bob")
            await asked(handle, until, telemetry)
            await handle.cancel()
            try:
                await handle.result()
            except Exception as error:  # noqa: BLE001
                return type(error.__cause__).__name__
            return ""

    assert temporal.run(main) == "CancelledError"
    assert facts(telemetry.one("approval_decision"), "approval.status", "approval.reason_code") == [
        "cancelled",
        "run_cancelled",
    ]
    assert segments(telemetry) == [[0, "suspended", None], [1, "completed", "cancelled"]]
    telemetry.check_counters()


def test_a_validator_that_rejects_is_a_policy_that_denies(telemetry: Any, temporal: Any, until: Any) -> None:
    async def main(t: Any) -> list[str]:
        errors = []
        async with t.worker():
            handle = await t.start(RefundWorkflow.run, "bob")
            await asked(handle, until, telemetry)
            for number in range(2):
                try:
                    await handle.execute_update(RefundWorkflow.decide, Answer(""), id=f"update-{number}")
                except WorkflowUpdateFailedError as error:
                    errors.append(str(error.__cause__))
            await handle.execute_update(RefundWorkflow.decide, Answer("reject"), id="update-2")
            await handle.result()
        return errors

    assert temporal.run(main) == [PLANTED, PLANTED]
    assert [
        facts(span, "policy.id", "subject.id", "decision.outcome", "decision.action")
        for span in telemetry.named("policy_decision decide")
    ] == [
        ["decide", "update-0", "deny", "block"],
        ["decide", "update-1", "deny", "block"],
        ["decide", "update-2", "allow", None],
    ]
    assert facts(telemetry.one("approval_decision"), "approval.status") == ["denied"]
    assert PLANTED not in telemetry.exported_text()
    telemetry.check_counters()


def test_below_the_limit_the_policy_allows_and_nobody_is_asked(telemetry: Any, temporal: Any) -> None:
    async def main(t: Any) -> str:
        async with t.worker():
            return await (await t.start(RefundWorkflow.run, "bob", 20.0)).result()

    assert temporal.run(main) == "paid 20.0"
    assert facts(telemetry.one("policy_decision refunds"), "decision.outcome", "policy.version") == [
        "allow",
        "14",
    ]
    assert not telemetry.named("request_approval")
    assert segments(telemetry) == [[0, "completed", "success"]]
    telemetry.check_counters()


@pytest.mark.parametrize("cached", [0, 100])
def test_replays_give_one_request_and_one_decision(
    telemetry: Any, temporal: Any, until: Any, cached: int
) -> None:
    """Without a cache, the code runs from its start for every task."""

    async def main(t: Any) -> str:
        async with t.worker(max_cached_workflows=cached):
            handle = await t.start(RefundWorkflow.run, "bob")
            await asked(handle, until, telemetry)
            for _ in range(3):
                assert await handle.query(RefundWorkflow.is_asked)
            await handle.execute_update(RefundWorkflow.decide, Answer("approve"))
            return await handle.result()

    assert temporal.run(main) == "paid 80.0"
    for name in (
        "request_approval",
        "approval_decision",
        "policy_decision refunds",
        "policy_decision decide",
        "execute_tool",
    ):
        assert telemetry.one(name)
    decision, request = telemetry.one("approval_decision"), telemetry.one("request_approval")
    assert decision.links[0].context.span_id == request.context.span_id
    assert {span.context.trace_id for span in telemetry.spans} == {request.context.trace_id}
    telemetry.check_counters()
