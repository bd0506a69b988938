# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The person edits the arguments before agreeing.

The status is `modified`: the decision carries the commitment to what was shown, and the commitment to what was approved in
its place. The call that then runs must have the second one; an audit finds a call that has neither.
"""

from runrecord.instrumentation import ContextKey, Recorder

MATTERS = ("approval_decision", "execute_tool")
ASKED = {"invoice": "inv-7001", "amount": 120.0}
APPROVED = {"invoice": "inv-7001", "amount": 60.0}


def the_agent_asks(recorder: Recorder) -> ContextKey:
    with recorder.run("refund-agent", conversation_id="thread-7") as run:
        with run.step("act"):
            run.decision("refunds", version="14", subject="call-3", arguments=ASKED).require_approval()
            approval = run.request_approval("call-3", tool="create_refund", arguments=ASKED)
        run.suspend()
    return approval.key


def a_person_says_half(recorder: Recorder, key: ContextKey) -> None:
    with recorder.resume(key) as run, run.step("act"):
        run.approval.modified(arguments=APPROVED, actor="human", actor_ref="u-17", reason="half_is_fair")
        with run.tool(
            "create_refund",
            call_id="call-3",
            arguments=APPROVED,
            effect="pay",
            target="payments",
            approval_id=run.approval.approval_id,
        ) as call:
            call.result({"refund": "re-0001"})
