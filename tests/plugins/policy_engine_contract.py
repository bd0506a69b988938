# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What holds for every policy engine: where a decision is recorded, whose it is, and what never leaves.

Each engine's tests have a class of this one, and the fixtures ``instrumented`` and ``ask``: whether an amount may be refunded to
ada-example for inv-ada-7, over a fresh engine.
"""

import asyncio
import contextlib
import contextvars
import threading
from typing import Any

import pytest
from opentelemetry.context import Context

from runrecord.instrumentation._remote import RemoteRun, with_remote_run


def facts(span: Any) -> dict[str, Any]:
    return {name.removeprefix("runrecord."): value for name, value in (span.attributes or {}).items()}


@pytest.mark.sdk
@pytest.mark.usefixtures("instrumented")
class Contract:
    """The tests; a class of an engine says which it is."""

    engine: str

    def test_an_allowed_call(self, telemetry: Any, recorder: Any, ask: Any) -> None:
        with recorder.run("refund-agent") as run, run.step(), run.tool("create_refund", call_id="call-1"):
            assert ask(20) is True
        decision = telemetry.one("policy_decision")
        found = facts(decision)
        assert found["decision.outcome"] == "allow"
        assert found["policy.engine"] == self.engine
        assert found["policy.mode"] == "enforce"
        assert (found["subject.type"], found["subject.id"], found["subject.name"]) == (
            "tool_call",
            "call-1",
            "create_refund",
        )
        assert found["subject.digest"].startswith("hmac-sha256:")
        assert found["run.id"] == "id-1"
        assert found["step.index"] == 0
        assert decision.parent.span_id == telemetry.one("execute_tool").context.span_id
        assert decision.status.status_code.name == "UNSET"
        assert decision.start_time <= decision.end_time
        assert [name for name, _ in telemetry.events].count("runrecord.policy.decided") == 1
        telemetry.check_counters()

    def test_a_denied_call_that_the_tool_then_refuses_denies_the_run(
        self, telemetry: Any, recorder: Any, ask: Any
    ) -> None:
        with (
            recorder.run("refund-agent") as run,
            contextlib.suppress(PermissionError),
            run.tool("create_refund", call_id="call-1"),
        ):
            assert ask(80) is False
            raise PermissionError
        found = facts(telemetry.one("policy_decision"))
        assert found["decision.outcome"] == "deny"
        assert telemetry.one("policy_decision").status.status_code.name == "UNSET"
        assert facts(telemetry.one("invoke_agent"))["run.outcome"] == "denied"
        telemetry.check_counters()

    def test_the_same_input_has_the_same_digest_in_one_run(
        self, telemetry: Any, recorder: Any, ask: Any
    ) -> None:
        with recorder.run("refund-agent"):
            for amount in (20, 80, 20):
                ask(amount)
        digests = [facts(span)["subject.digest"] for span in telemetry.named("policy_decision")]
        assert digests[0] == digests[2] != digests[1]

    def test_without_a_tool_call_there_is_no_subject_but_its_digest(
        self, telemetry: Any, recorder: Any, ask: Any
    ) -> None:
        with recorder.run("refund-agent"):
            ask(20)
        assert [name for name in facts(telemetry.one("policy_decision")) if name.startswith("subject.")] == [
            "subject.digest"
        ]

    def test_outside_of_a_run_nothing_is_recorded(self, telemetry: Any, recorder: Any, ask: Any) -> None:
        assert ask(20) is True
        with recorder.run("refund-agent") as run:
            pass
        context = contextvars.copy_context()
        with run:  # a task that outlives the run whose context it has
            assert ask(80) is False
        assert context.run(ask, 20) is True
        assert not telemetry.named("policy_decision")

    def test_a_run_that_was_joined_from_another_process(
        self, telemetry: Any, recorder: Any, ask: Any
    ) -> None:
        remote = with_remote_run(RemoteRun("run-elsewhere", 3), Context())
        with (
            telemetry.recorder().run("refund-agent", run_id="run-elsewhere") as run,
            run.step(index=3),
            recorder.join("act", context=remote),
        ):
            assert ask(80) is False
        found = facts(telemetry.one("policy_decision"))
        assert found["run.id"] == "run-elsewhere"
        assert found["step.index"] == 3
        telemetry.check_counters()

    def test_ten_runs_at_once_in_tasks_and_threads(self, telemetry: Any, recorder: Any, ask: Any) -> None:
        async def a_run(number: int) -> None:
            with (
                recorder.run(f"agent-{number}", run_id=f"run-{number}") as run,
                run.tool("create_refund", call_id=f"call-{number}"),
            ):
                await asyncio.sleep(0)
                asked = asyncio.to_thread(ask, 20) if number % 2 else asyncio.sleep(0, ask(80))
                assert await asked is bool(number % 2)

        async def all_of_them() -> None:
            await asyncio.gather(*map(a_run, range(10)))

        asyncio.run(all_of_them())
        assert sorted(
            (found["run.id"], found["subject.id"], found["decision.outcome"])
            for found in map(facts, telemetry.named("policy_decision"))
        ) == [(f"run-{n}", f"call-{n}", "allow" if n % 2 else "deny") for n in range(10)]
        telemetry.check_counters()

    def test_a_thread_without_the_context_of_the_run_is_in_no_run(
        self, telemetry: Any, recorder: Any, ask: Any
    ) -> None:
        answers: list[bool] = []
        with recorder.run("refund-agent"):
            thread = threading.Thread(
                target=contextvars.Context().run, args=(lambda: answers.append(ask(20)),)
            )
            thread.start()
            thread.join()
        assert answers == [True]
        assert not telemetry.named("policy_decision")

    @pytest.mark.parametrize("capture", ["", "SPAN_AND_EVENT"])
    def test_no_input_leaves(
        self, telemetry: Any, recorder: Any, ask: Any, monkeypatch: pytest.MonkeyPatch, capture: str
    ) -> None:
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", capture)
        with recorder.run("refund-agent"):
            ask(20)
            ask(80)
            with pytest.raises(Exception):  # noqa: B017  # each engine has its own
                ask(object())
        text = telemetry.exported_text()
        assert len(telemetry.named("policy_decision")) >= 2
        assert not [word for word in ("ada-example", "inv-ada-7", "context.amount") if word in text]

    def test_switched_off_again_nothing_is_recorded(
        self, telemetry: Any, recorder: Any, ask: Any, instrumented: Any
    ) -> None:
        instrumented.uninstrument()
        with recorder.run("refund-agent"):
            assert ask(20) is True
            assert ask(80) is False
        assert not telemetry.named("policy_decision")
        instrumented.instrument()
