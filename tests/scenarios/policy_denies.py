# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A policy denies a call.

Record each decision of a policy, also those that allow. The denied call has no `execute_tool` span, because it did not
happen: the decision is the record of it, with the id of the call that was to be. A denial is not an error, so the
status of the span stays UNSET; and a run whose call was denied, and that ends without having made it, has the outcome
`denied` without your saying so.
"""

from runrecord.instrumentation import Recorder

MATTERS = ("policy_decision refunds",)
REFUND = {"invoice": "inv-7002", "amount": 42.0}


def is_stopped_by_a_rule(recorder: Recorder) -> None:
    with recorder.run("refund-agent", conversation_id="thread-8") as run, run.step("act"):
        decision = run.decision(
            "refunds",
            version="14",
            name="refunds",
            engine="opa",
            mode="enforce",
            subject="call-1",
            subject_name="create_refund",
            arguments=REFUND,
        )
        decision.deny(rule="recent_chargeback", action="block", reason="chargeback_within_180_days")
