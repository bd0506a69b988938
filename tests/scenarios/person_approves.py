# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A person must approve; the process ends, and another one has the answer.

The request is a span that ends at once, with a durable id; a span can't stay open for days. The run is suspended: its first
segment ends, with status UNSET. Whoever has the answer resumes the run by the key of the request. The next segment is in
the same trace, below the first; the decision links to the request, says who answered and after how long, and the call
that then runs names the approval. Its arguments have the same digest as what the person was shown.
"""

from runrecord.instrumentation import ContextKey, Recorder

MATTERS = ("request_approval", "approval_decision", "execute_tool")
REFUND = {"invoice": "inv-7001", "amount": 120.0}


def the_agent_asks(recorder: Recorder) -> ContextKey:
    with recorder.run(
        "refund-agent", conversation_id="thread-7", autonomy="execute_with_approval", tenant_id="shop-eu"
    ) as run:
        with run.step("act"):
            run.decision(
                "refunds", version="14", subject="call-3", subject_name="create_refund", arguments=REFUND
            ).require_approval(rule="over_50_usd", reason="amount_over_limit")
            approval = run.request_approval(
                "call-3",
                tool="create_refund",
                arguments=REFUND,
                deadline="2027-01-16T08:00:00Z",
                channel="slack",
                scope="once",
            )
        run.suspend(stop_reason="waits_for_approval")
    return approval.key


def the_answer_arrives(recorder: Recorder, key: ContextKey) -> None:
    with recorder.resume(key) as run, run.step("act"):
        approval = run.approval
        approval.approved(actor="human", actor_ref="u-17", channel="slack", reason="customer_is_right")
        with run.tool(
            "create_refund",
            call_id="call-3",
            arguments=REFUND,
            effect="pay",
            target="payments",
            approval_id=approval.approval_id,
        ) as call:
            call.result({"refund": "re-0001"})
