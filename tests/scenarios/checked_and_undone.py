# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A result is checked, found wrong, and the effect is undone.

A check that somebody else than the agent makes is a verification; a result that does not stand it is no error of the check.
The official `gen_ai.evaluation.result` event says the same to back ends that know evaluations. The compensation links to
the call whose effect it undoes, and holds the calls that do so.
"""

from runrecord.instrumentation import Recorder

MATTERS = ("verify", "compensate")


def refunds_too_much(recorder: Recorder) -> None:
    with recorder.run("refund-agent", conversation_id="thread-13", tenant_id="shop-eu") as run:
        with (
            run.step("act"),
            run.tool(
                "create_refund",
                call_id="call-1",
                arguments={"invoice": "inv-7002", "amount": 420.0},
                effect="pay",
                target="payments",
                reversible=True,
            ) as paid,
        ):
            paid.result({"refund": "re-0001"})
        with (
            run.step("verify"),
            run.verification("refund_matches_invoice", kind="reconciliation", subject="call-1") as check,
        ):
            check.failed(score=0.0, explanation="The invoice was for 42 USD.")
        with (
            run.step("act"),
            run.compensation("create_refund", subject_id="call-1", of=paid) as undo,
            run.tool("cancel_refund", call_id="call-2", effect="update", target="payments") as call,
        ):
            call.result({"cancelled": "re-0001"})
            undo.outcome("succeeded")
        run.finish("failure", stop_reason="refund_did_not_match")
