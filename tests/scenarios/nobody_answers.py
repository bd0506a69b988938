# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Nobody answers in time, or the question is withdrawn.

Set a deadline only where something enforces it. Whoever notices that it passed, here a clean-up job, resumes the run and
records `expired`; nobody acted, so there is no actor. A question that the agent itself takes back, here because the
customer changed their mind, is `cancelled`. Neither is an error. A run that ends with a call that nobody approved has
the outcome `denied`; say `finish("cancelled")` where it was stopped for another reason.
"""

from runrecord.instrumentation import ContextKey, Recorder

MATTERS = ("approval_decision", "invoke_agent")


def the_agent_asks(recorder: Recorder) -> ContextKey:
    with recorder.run("refund-agent", conversation_id="thread-9") as run:
        with run.step("wait"):
            approval = run.request_approval(
                "call-1",
                tool="create_refund",
                arguments={"invoice": "inv-7003", "amount": 310.0},
                deadline="2027-01-15T09:00:00Z",
                channel="web",
            )
        run.suspend(stop_reason="waits_for_approval")
    return approval.key


def a_job_sees_that_the_deadline_passed(recorder: Recorder, key: ContextKey) -> ContextKey:
    with recorder.resume(key) as run:
        run.approval.expired()
        run.finish(stop_reason="approval_expired")
    with recorder.run("refund-agent", conversation_id="thread-10") as run:
        approval = run.request_approval("call-2", tool="create_refund")
        run.suspend()
    return approval.key


def the_customer_takes_it_back(recorder: Recorder, key: ContextKey) -> None:
    with recorder.resume(key) as run:
        run.approval.cancelled(reason="customer_withdrew")
        run.finish("cancelled", stop_reason="customer_withdrew")
