# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""One process has the answer, another one continues the run.

The person clicks in a web application, which knows the approval but not the agent. It records the answer where it was given,
at the moment it was given, without resuming anything: `approval(key)` finds the request. The decision is in the trace of the
run, links to the request and to the web request that brought it, and says itself that it is one record. The worker that
resumes later finds the answer and does not record it again.
"""

from runrecord.instrumentation import ContextKey, Recorder

MATTERS = ("approval_decision",)
REFUND = {"invoice": "inv-7003", "amount": 310.0}


def the_agent_asks(recorder: Recorder) -> ContextKey:
    with recorder.run("refund-agent", conversation_id="thread-18") as run:
        with run.step("act"):
            run.decision("refunds", version="14", subject="call-1", arguments=REFUND).require_approval()
            approval = run.request_approval("call-1", tool="create_refund", arguments=REFUND, channel="web")
        run.suspend()
    return approval.key


def the_web_application_has_the_answer(recorder: Recorder, key: ContextKey) -> ContextKey:
    with recorder.tracer.start_as_current_span("POST /approvals/{id}"):
        approval = recorder.approval(key)
        if approval is not None:  # else nothing waits under this key, or no longer
            approval.denied(actor="human", actor_ref="u-17", channel="web", reason="not_owed")
    return key


def the_worker_continues(recorder: Recorder, key: ContextKey) -> None:
    with recorder.resume(key) as run, run.step("act"):
        pass  # tells the customer
