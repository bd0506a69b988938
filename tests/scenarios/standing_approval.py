# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""An approval that holds for more than one call, and answers that no person gives.

Somebody may approve not only this call but all of the kind, for the session or from now on: that is the scope of the answer.
The next call is then not asked about; a policy decides that the standing approval covers it, and the call names that
approval. A rule that answers in a person's place is an actor too, of the type `policy`; somebody whom a person named
to answer for them is a `delegate`. Never record a person where code answered.
"""

from runrecord.instrumentation import ContextKey, Recorder

MATTERS = ("approval_decision", "policy_decision", "execute_tool")
FIRST = {"invoice": "inv-7001", "amount": 120.0}
SECOND = {"invoice": "inv-7003", "amount": 310.0}


def the_agent_asks(recorder: Recorder) -> ContextKey:
    with recorder.run("refund-agent", conversation_id="thread-16") as run:
        with run.step("act"):
            small = run.request_approval(
                "call-1", tool="send_voucher", arguments={"amount": 5}, channel="console"
            )
            small.approved(actor="policy", actor_ref="small-vouchers", reason="below_10_usd", scope="once")
            large = run.request_approval("call-2", tool="create_refund", arguments=FIRST, channel="console")
        run.suspend()
    return large.key


def a_delegate_says_always(recorder: Recorder, key: ContextKey) -> None:
    with recorder.resume(key) as run, run.step("act"):
        run.approval.approved(actor="delegate", actor_ref="u-23", scope="always")
        standing = run.approval.approval_id
        for call_id, arguments in (("call-2", FIRST), ("call-3", SECOND)):
            run.decision(
                "standing-approvals", subject=call_id, arguments=arguments, governance_ref="grc-77812"
            ).allow(rule="approved_always")
            with run.tool(
                "create_refund",
                call_id=call_id,
                arguments=arguments,
                effect="pay",
                target="payments",
                approval_id=standing,
            ):
                pass
