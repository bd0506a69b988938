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


@pytest.mark.parametrize("status", ["approved", "denied", "modified", "expired", "cancelled"])
def test_no_answer_is_an_error(telemetry: Any, recorder: Any, status: str) -> None:
    with recorder.run("a") as run:
        approval = run.request_approval("c", tool="t")
        getattr(approval, status)()
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
