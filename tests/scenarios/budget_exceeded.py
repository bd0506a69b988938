# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A budget is exceeded.

The run says which budget it had, and how much of it was used when it ended. Where something looks at the budget during the
run, that is a policy decision like any other, and the same numbers are on it. Here two refunds use the limit of the day up:
the third is denied, and a run that a budget stopped has the outcome `budget_exceeded`, which is no error.
"""

from runrecord.instrumentation import Recorder

MATTERS = ("policy_decision daily-limit", "invoke_agent")
LIMIT = 100.0


def reaches_the_daily_limit(recorder: Recorder) -> None:
    paid = 0.0
    with (
        recorder.run("refund-agent", conversation_id="thread-11", autonomy="autonomous") as run,
        run.step("act"),
    ):
        for number, amount in enumerate((55.0, 45.0, 42.0), 1):
            used_up = paid >= LIMIT
            action = "stop" if used_up else "none"
            decision = run.decision("daily-limit", engine="custom", mode="enforce", subject=f"call-{number}")
            decision.budget(
                "daily-refunds", dimension="cost", currency="USD", limit=LIMIT, consumed=paid, action=action
            )
            if used_up:
                decision.deny(reason="daily_limit_reached", action="terminate")
                run.budget(
                    "daily-refunds",
                    dimension="cost",
                    currency="USD",
                    limit=LIMIT,
                    consumed=paid,
                    action=action,
                )
                run.finish(stop_reason="daily_limit_reached")
                break
            decision.allow()
            with run.tool("create_refund", call_id=f"call-{number}", effect="pay", target="payments") as call:
                call.result({"refunded": amount})
            paid += amount
