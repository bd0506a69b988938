# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The agent only pretends.

A dry run goes through everything and changes nothing: the call says so, and no effect is claimed, whatever the tool
answers. The autonomy of the run tells how far it might have gone.
"""

from runrecord.instrumentation import Recorder

MATTERS = ("execute_tool create_refund",)


def rehearses(recorder: Recorder) -> None:
    with (
        recorder.run("refund-agent", autonomy="propose") as run,
        run.step("act"),
        run.tool(
            "create_refund",
            call_id="call-1",
            arguments={"invoice": "inv-7001", "amount": 120.0},
            effect="pay",
            target="payments",
            dry_run=True,
        ) as call,
    ):
        call.result({"would_refund": 120.0})
