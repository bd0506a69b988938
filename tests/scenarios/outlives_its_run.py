# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Work goes on when the run is over.

The user closes the window while a tool waits in a thread: the run ends, and the tool runs all the same. What begins then belongs to no
segment whose end could count it, so each such record says itself that it is one. A ledger names it late, and `runrecord audit` tells of an effect
after the end; nothing of it is lost, and nothing has to be done for it.
"""

from runrecord.instrumentation import Recorder

MATTERS = ("policy_decision refunds", "execute_tool order_refund", "verify", "compensate")


def the_window_is_closed(recorder: Recorder) -> None:
    with recorder.run("refund-agent", conversation_id="thread-23") as run:
        run.finish("abandoned", stop_reason="client_disconnected")

    # In a thread that nobody stopped:
    run.decision("refunds", version="14", subject="call-1").deny(reason="run_is_over")
    run.request_approval("call-2", tool="order_refund", arguments={"order": "A-17"})
    with run.tool("order_refund", call_id="call-2", effect="send", target="refund-queue") as call:
        call.result({"queued": True})
    with run.verification("refund_is_queued", kind="reconciliation", subject="call-2") as check:
        check.failed(score=0.0)
    with run.compensation("order_refund", subject_id="call-2", of=call) as undo:
        undo.outcome("succeeded")
