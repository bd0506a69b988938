# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A request for approval and its answer: bound to what ran, recorded once, and in no case an error."""

from typing import Any

import pytest
from opentelemetry import trace

ARGUMENTS = {"order": "o-1", "amount": 80}


def test_what_was_approved_is_what_ran(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a") as run:
        run.request_approval("c", tool="t", arguments='{"amount": 80, "order": "o-1"}').approved()
        run.tool("t", call_id="c", arguments=ARGUMENTS).stop()
    shown = telemetry.one("request_approval").attributes["runrecord.approval.subject.digest"]
    assert shown == telemetry.one("execute_tool").attributes["runrecord.arguments.digest"]


def test_a_modified_answer_commits_to_both(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a") as run:
        approval = run.request_approval("c", tool="t", arguments=ARGUMENTS)
        approval.modified(arguments={"order": "o-1", "amount": 40})
        run.tool("t", call_id="c", arguments={"order": "o-1", "amount": 40}).stop()
    decided = telemetry.one("approval_decision").attributes
    ran = telemetry.one("execute_tool").attributes["runrecord.arguments.digest"]
    assert decided["runrecord.approval.subject.modified_digest"] == ran
    assert decided["runrecord.approval.subject.digest"] != ran


@pytest.mark.parametrize("status", ["approved", "denied", "modified", "answered", "expired", "cancelled"])
def test_no_answer_is_an_error(telemetry: Any, recorder: Any, status: str) -> None:
    with recorder.run("a") as run:
        approval = run.request_approval("c", tool="t")
        getattr(approval, status)(**({"arguments": ARGUMENTS} if status == "modified" else {}))
        approval.denied()  # the second answer is not recorded
    decided = telemetry.one("approval_decision")
    assert decided.attributes["runrecord.approval.status"] == status
    assert decided.status.status_code is trace.StatusCode.UNSET
    assert [link.context.span_id for link in decided.links] == [
        telemetry.one("request_approval").context.span_id
    ]


def test_a_replayed_request_is_recorded_once(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a") as run:
        approvals = [run.request_approval("c", tool="t", key=("sdk", "thread", "i")) for _ in range(2)]
    assert [item.replayed for item in approvals] == [False, True]
    telemetry.one("request_approval")


KEY = ("sdk", "thread-7", "i-1")


@pytest.fixture
def waiting(telemetry: Any, recorder: Any) -> Any:
    """A run that waits for two answers."""
    with recorder.run("a", conversation_id="thread-7") as run:
        with run.step():
            run.request_approval("c", tool="t", arguments=ARGUMENTS, key=KEY)
            run.request_approval("d", tool="u", arguments=ARGUMENTS, key=KEY)
        run.suspend()
    telemetry.now += 60
    return run


@pytest.mark.usefixtures("waiting")
def test_an_answer_can_be_recorded_where_it_is_given(telemetry: Any) -> None:
    web = telemetry.recorder(new_source=lambda: "e" * 16)
    tracer = telemetry.tracer_provider.get_tracer("web")
    with tracer.start_as_current_span("POST /approvals") as handler:
        web.approval(KEY).approved(actor="human", actor_ref="u-17", channel="web")
        web.approval(KEY).denied(actor="human", actor_ref="u-17")
        assert web.approval(KEY).decided
    first, second = telemetry.named("approval_decision")
    request = telemetry.one("request_approval t")
    assert first.context.trace_id == request.context.trace_id != handler.get_span_context().trace_id
    assert first.parent.span_id == telemetry.one("invoke_agent").context.span_id
    assert [link.context.span_id for link in first.links] == [
        request.context.span_id,
        handler.get_span_context().span_id,
    ]
    assert first.attributes["runrecord.approval.wait_seconds"] == 60
    assert [
        (s.attributes["runrecord.record.seq"], s.attributes["runrecord.run.records"]) for s in (first, second)
    ] == [
        (0, 1),
        (1, 1),
    ]
    telemetry.now += 3600
    with telemetry.recorder(new_source=lambda: "f" * 16).resume(KEY) as run:
        for approval in run.approvals:
            approval.approved()  # as an integration does that only knows that the run goes on
        run.tool("t", call_id="c", arguments=ARGUMENTS).stop()
    assert len(telemetry.named("approval_decision")) == 2
    ended = telemetry.named("invoke_agent")[1].attributes
    assert ended["runrecord.run.outcome"] == "denied"  # of the other call
    telemetry.check_counters()


def test_nothing_waits_under_an_unknown_key(recorder: Any, waiting: Any) -> None:
    assert recorder.approval(("sdk", "thread-8", "i-1")) is None
    assert recorder.approval(KEY, "unknown") is None
    both = waiting.state.core.store.get(KEY).approvals
    assert recorder.approval(KEY, both[1].approval_id).stored == both[1]


@pytest.mark.usefixtures("waiting")
def test_an_answer_while_the_run_goes_on_in_the_same_process_is_one_of_its_records(
    telemetry: Any, recorder: Any
) -> None:
    with recorder.resume(KEY) as run:
        recorder.approval(KEY).expired()
        run.approvals[0].approved()  # has been answered
        run.approvals[1].approved()
    decided = telemetry.named("approval_decision")
    assert [s.attributes["runrecord.approval.status"] for s in decided] == ["expired", "approved"]
    assert all("runrecord.run.records" not in span.attributes for span in decided)
    telemetry.check_counters()


@pytest.mark.usefixtures("waiting")
def test_an_answer_ahead_of_the_segment_that_brings_it_is_recorded_once(telemetry: Any) -> None:
    telemetry.recorder().approval(KEY).approved(actor="human")
    for segment in range(2):
        with telemetry.recorder().resume(KEY) as run:
            run.approvals[0].reopen()  # as an integration does that can't tell a second answer from a first
            run.approvals[0].approved()
            assert len(telemetry.named("approval_decision")) == 1 + segment
            run.suspend()
        telemetry.now += 1


def test_an_answer_in_words_lets_the_run_go_on(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a") as run:
        run.request_approval("c", tool="t", arguments=ARGUMENTS).answered(actor="human", actor_ref="u-17")
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "success"
