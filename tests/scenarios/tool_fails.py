# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A tool fails, is called again, and a circuit breaker opens.

Each attempt is a tool call of its own, with the same call id and the number of the attempt. A call that raises ends with
status ERROR and the class of the error, never its text; nothing is claimed of the effect, which may or may not have
happened. A breaker that changes its state is a log event; whether it lets a call through is a policy decision like any
other. The step is then attempted again, and finds the service well.
"""

from contextlib import suppress

from runrecord.instrumentation import Recorder

MATTERS = ("execute_tool create_refund", "runrecord.breaker.changed")


class PaymentsDownError(Exception):
    """The payment service does not answer."""


def tries_again(recorder: Recorder) -> None:
    with recorder.run("refund-agent", conversation_id="thread-12") as run:
        with suppress(PaymentsDownError), run.step("act", name="refund", step_id="node-refund"):
            run.decision("breaker", subject="call-1").allow(reason="breaker_closed")
            for attempt in range(2):
                with (
                    suppress(PaymentsDownError),
                    run.tool(
                        "create_refund", call_id="call-1", effect="pay", target="payments", attempt=attempt
                    ),
                ):
                    raise PaymentsDownError
            run.breaker("payments", "open", trigger="error_rate")
            run.decision("breaker", subject="call-1").deny(reason="breaker_open")
            raise PaymentsDownError
        with run.step("act", index=0, name="refund", attempt=1):
            run.breaker("payments", "half_open", trigger="timer")
            run.decision("breaker", subject="call-1").allow(reason="breaker_half_open")
            with run.tool(
                "create_refund", call_id="call-1", effect="pay", target="payments", attempt=2
            ) as call:
                call.result({"refund": "re-0001"})
            run.breaker("payments", "closed", trigger="call_succeeded")
