# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The run is handed to a person.

The agent stops and somebody else takes over, which is not the same as asking for an approval and going on. The outcome is
`escalated`, the reason a short word, the receiver a kind and an opaque reference. The log event is the record of when and
to whom; the run span repeats the reason, for user interfaces that show no logs.
"""

from runrecord.instrumentation import Recorder

MATTERS = ("invoke_agent",)


def gives_up(recorder: Recorder) -> None:
    with recorder.run("refund-agent", conversation_id="thread-14", tenant_id="shop-eu") as run:
        with (
            run.step("act"),
            run.tool(
                "list_invoices", call_id="call-1", arguments={"customer": "c-300"}, read_only=True
            ) as call,
        ):
            call.result([])
        with run.step("reflect"):
            run.escalate("no_invoice_found", target_type="support_team", target_ref="queue-3")
