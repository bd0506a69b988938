# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Personal data goes where it does not belong.

Every reference is to be opaque, yet a careless caller uses an e-mail address as the id of the tenant, which is on every
record, and in other places. Redaction looks at everything that leaves, not only at prompts: it replaces what it finds and
says so on the span or log record, by how many findings, of which kinds, by which version of the rules. The application's own
objects keep what they had. This scenario makes every kind of record, so that every kind shows the marks.
"""

from runrecord.instrumentation import ContextKey, Recorder

MATTERS = ("approval_decision", "invoke_agent")
CAPTURE_MESSAGE_CONTENT = "SPAN_ONLY"
ADA = "ada@mail.example.org"
REFUND = {"invoice": "inv-7001", "amount": 120.0}


def a_careless_caller_asks(recorder: Recorder) -> ContextKey:
    with recorder.run("refund-agent", tenant_id=ADA, principal_ref=ADA, principal_type="user") as run:
        with run.step("act", name=ADA):
            run.decision("refunds", subject="call-1", arguments=REFUND).require_approval()
            approval = run.request_approval(
                "call-1", tool="create_refund", arguments=REFUND, channel=f"mail:{ADA}"
            )
        run.suspend()
    return approval.key


def a_careless_caller_goes_on(recorder: Recorder, key: ContextKey) -> None:
    with recorder.resume(key, tenant_id=ADA) as run, run.step("act"):
        run.approval.approved(actor="human", actor_ref=ADA)
        with run.inference("gpt-5", provider="openai"):
            pass
        with run.tool("create_refund", call_id="call-1", arguments=REFUND, effect="pay", target=ADA) as call:
            call.effect(ref=ADA)
        with run.verification("refund_arrived", subject="call-1") as check:
            check.passed(score=1.0, explanation=f"{ADA} confirmed it.")
        with run.compensation("create_refund", subject_id="call-1", of=call) as undo:
            undo.outcome("not_possible")
        run.breaker(f"mail-to-{ADA}", "open")
        run.escalate("customer_asked", target_type="support_team", target_ref=ADA)
    with recorder.run(workflow="refunds", tenant_id=ADA):
        pass
