# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Another service does a part of the run's work.

The run id and the step travel with the trace context, here in the headers of a message to a service of the same trust domain;
to hosts outside they go only where you [allow it](../propagation.md). The service joins the run: its part is a step
with the index of the step that called, its records carry the run's id, and it says how many there are, so that a ledger
notices one that got lost on the way. The run waits meanwhile, without an approval, so the agent names the key by which it is
resumed. Where a message comes with no run, `join` gives None.
"""

from opentelemetry import context as otel_context

from runrecord.instrumentation import Recorder, propagation

MATTERS = ("execute_tool order_refund", "agent_step act", "execute_tool create_refund")
KEY = ("refunds", "thread-19", "call-1")


def the_agent_sends_a_message(recorder: Recorder) -> dict[str, str]:
    headers: dict[str, str] = {}
    with recorder.run("refund-agent", conversation_id="thread-19") as run, run.step("act"):
        run.decision("refunds", version="14", subject="call-1").allow()
        with run.tool("order_refund", call_id="call-1", effect="send", target="refund-queue"):
            propagation.inject_trusted(headers)
        run.suspend(stop_reason="waits_for_payments", key=KEY)
    return headers


def the_payments_service_works(recorder: Recorder, headers: dict[str, str]) -> None:
    token = otel_context.attach(propagation.extract_trusted(headers))
    try:
        part = recorder.join("act", name="pay")
        if part is None:
            return  # nobody's run: the call came from elsewhere
        with part:
            part.decision("refunds", version="14", subject="call-2").allow()
            with part.tool("create_refund", call_id="call-2", effect="pay", target="payments") as call:
                call.result({"refund": "re-0001"})
    finally:
        otel_context.detach(token)


def the_agent_goes_on(recorder: Recorder) -> None:
    with recorder.resume(KEY) as run:
        run.finish("success", stop_reason="final_answer")
